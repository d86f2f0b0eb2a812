import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { validateInputs } from '../validate/index.js';
import type { Report } from '../validate/report.js';
import { readExcerpts } from '../validate/reporters/excerpts.js';
import { html } from '../validate/reporters/html.js';
import { htmlParts } from './html-parts.js';
import { fileOutput } from './output.js';
import { packageVersion } from './package.js';
import { RULE_TEXTS } from './rule-texts.js';

/** Flags of a command that records what happens, and can have it judged and drawn. */
interface RecordedFlags {
  readonly record?: string;
  readonly html?: string;
  readonly profile?: string;
}

/**
 * Runs a command with its recording, and writes the HTML report of that to the file of `--html`. Without the flag the
 * command runs as it is.
 */
export async function withHtmlReport<F extends RecordedFlags, R>(
  flags: F,
  run: (flags: F) => Promise<R>,
): Promise<R> {
  const { html: file } = flags;
  if (file === undefined) return run(flags);
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-'));
  try {
    const record = flags.record ?? join(folder, 'run.ndjson');
    // What cannot be written is known before the run, and not after it.
    fileOutput(file).close();
    const result = await run({ ...flags, record });
    await writeReport({ record, kept: flags.record !== undefined }, file, flags.profile);
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a recording that is gone after the run is called in its report. */
const THIS_RUN = '(this run)';

async function writeReport(
  { record, kept }: { record: string; kept: boolean },
  file: string,
  profile: string | undefined,
): Promise<void> {
  const report = await validateInputs([{ file: record }], { profile });
  const excerpts = await readExcerpts(report);
  const output = fileOutput(file);
  const options = {
    version: packageVersion(),
    cwd: process.cwd(),
    root: process.cwd(),
    rules: RULE_TEXTS,
    failOn: 'should',
    color: false,
    quiet: false,
    page: htmlParts(),
  } as const;
  await output.write(
    kept
      ? html(report, { ...options, excerpts })
      : html(renamed(report, THIS_RUN), {
          ...options,
          excerpts: new Map([...excerpts.values()].map((lines) => [THIS_RUN, lines])),
        }),
  );
  output.close();
}

/** The report of a single input, under another name. */
function renamed(report: Report, file: string): Report {
  return {
    ...report,
    inputs: report.inputs.map((input) => ({ ...input, file })),
    violations: report.violations.map((finding) => ({
      ...finding,
      file: finding.file === null ? null : file,
    })),
  };
}
