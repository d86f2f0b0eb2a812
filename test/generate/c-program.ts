import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cMachine } from '../../src/generate/emitters/c-tables.js';
import { cUapi } from '../../src/generate/emitters/c-uapi.js';
import { emit } from '../../src/generate/emitters/index.js';
import { capabilitySet } from '../../src/machines/index.js';
import type { Suite } from '../../src/suite/index.js';

const FAKE = fileURLToPath(new URL('fake-vfio.c', import.meta.url));

/** Whether a compiler is here. */
export function hasCompiler(compiler: string): boolean {
  try {
    execFileSync(compiler, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function compile(compiler: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(compiler, args, (error, _out, messages) =>
      error === null && messages === '' ? resolve() : reject(new Error(`${compiler}: ${messages || error}`)),
    );
  });
}

/** Compiles the suite's program; a warning is an error. @returns its path */
export async function buildProgram(
  suite: Suite,
  folder: string,
  compiler = 'gcc',
  flags: readonly string[] = [],
) {
  mkdirSync(folder, { recursive: true });
  const [file] = emit(suite, 'c');
  const source = join(folder, file!.name);
  const program = join(folder, 'suite');
  writeFileSync(source, file!.text);
  const strict = ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Werror', ...flags];
  await compile(compiler, [...strict, '-o', program, source]);
  return program;
}

/** Compiles model-harness.c, which stands in the folder, with the suite's program in it. @returns its path */
export async function buildHarness(suite: Suite, folder: string): Promise<string> {
  writeFileSync(join(folder, 'vfio-device.c'), emit(suite, 'c')[0]!.text);
  const harness = join(folder, 'harness');
  await compile('gcc', ['-std=c11', '-Wall', '-o', harness, join(folder, 'model-harness.c')]);
  return harness;
}

/** Compiles the device that is not there, for the suite's capabilities. @returns what to preload */
export async function buildFake({ capabilities }: Suite, folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'fake-tables.h'), `${cUapi()}\n${cMachine(capabilitySet(capabilities))}\n`);
  const library = join(folder, 'fake-vfio.so');
  await compile('gcc', [
    '-shared',
    '-fPIC',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-I',
    folder,
    '-o',
    library,
    FAKE,
    '-ldl',
  ]);
  return library;
}

export interface TapRun {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
  /** What became of each case. */
  readonly results: ReadonlyMap<string, 'ok' | 'not ok' | 'skip'>;
  /** The rules that are named. */
  readonly rules: ReadonlySet<string>;
}

/** Runs a program on the device that is not there. */
export function runProgram(program: string, args: readonly string[], fake = '', fault = ''): Promise<TapRun> {
  const env = { ...process.env, LD_PRELOAD: fake, FAKE_FAULT: fault };
  return new Promise((resolve) => {
    const child = execFile(program, args, { env, maxBuffer: 1 << 26 }, (_error, output, errors) => {
      const tests = output.matchAll(/^(not ok|ok) (\d+) (\S+)( # SKIP .*)?$/gm);
      const results = new Map(
        Array.from(
          tests,
          ([, word, , id, skip]) => [id!, skip ? 'skip' : (word as 'ok' | 'not ok')] as const,
        ),
      );
      const rules = new Set(Array.from(output.matchAll(/^# rule: (\S+)$/gm), ([, rule]) => rule!));
      resolve({ status: child.exitCode, output, errors, results, rules });
    });
  });
}
