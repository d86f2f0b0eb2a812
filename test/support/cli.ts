import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Report } from '../../src/validate/report.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The built command. */
export const MAIN = join(ROOT, 'dist/cli/main.js');

/** What a run of the command gave. */
export interface Run {
  code: number | null;
  out: string;
  err: string;
  /** Peak memory of the process in MB. */
  peak: number;
}

export interface RunOptions {
  input?: string | Uint8Array;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

/** Makes a Node process write its peak memory (KiB) to the file of PEAK_FILE when it ends. */
const HOOK = `--import=data:text/javascript,${encodeURIComponent(
  "import { writeFileSync } from 'node:fs';" +
    "process.on('exit', () => writeFileSync(process.env.PEAK_FILE, String(process.resourceUsage().maxRSS)));",
)}`;

/** Runs the built command as a process of its own. */
export function stopcopy(
  args: readonly string[],
  { input = '', env = {}, cwd = ROOT }: RunOptions = {},
): Run {
  const scratch = mkdtempSync(join(tmpdir(), 'stopcopy-run-'));
  const peakFile = join(scratch, 'peak');
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, [HOOK, MAIN, ...args], {
      input,
      cwd,
      encoding: 'utf8',
      maxBuffer: 1 << 29,
      env: { ...process.env, ...PLAIN, ...env, PEAK_FILE: peakFile },
    });
    const peak = existsSync(peakFile) ? Number(readFileSync(peakFile, 'utf8')) / 1024 : Number.NaN;
    return { code: status, out: stdout, err: stderr, peak };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** The environment of the person who runs the tests must not change what the command prints. */
const PLAIN = { NO_COLOR: '', FORCE_COLOR: '', GITHUB_STEP_SUMMARY: '', NODE_OPTIONS: '' };

/** The report of `validate --json`, and how the command ended. */
export function validate(
  files: readonly string[],
  options: RunOptions & { flags?: readonly string[] } = {},
): Run & { report: Report } {
  const run = stopcopy(['validate', '--json', ...(options.flags ?? []), ...files], options);
  expect(run.out, run.err).toMatch(/^\{[\s\S]*\}\n$/);
  return { ...run, report: JSON.parse(run.out) as Report };
}

/** Holds a run to be a refusal: exit code 2, nothing on standard output, one line and no stack trace. */
export function expectRefusal({ code, out, err }: Run, words: RegExp): void {
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expectOneLine(err, words);
}

/** Holds standard error to be one line for people. */
export function expectOneLine(err: string, words: RegExp): void {
  expect(err).toMatch(/^stopcopy: [^\n]+\n$/);
  expect(err).toMatch(words);
  expect(err).not.toMatch(/ at .*:\d+:\d+|node:internal/);
}
