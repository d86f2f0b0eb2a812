import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { validateInputs } from '../validate/index.js';
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
    await writeReport(record, file, flags.profile);
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function writeReport(record: string, file: string, profile: string | undefined): Promise<void> {
  const report = await validateInputs([{ file: record }], { profile });
  const output = fileOutput(file);
  const options = {
    version: packageVersion(),
    cwd: process.cwd(),
    root: process.cwd(),
    rules: RULE_TEXTS,
    failOn: 'should',
    color: false,
    quiet: false,
    excerpts: await readExcerpts(report),
    page: htmlParts(),
  } as const;
  await output.write(html(report, options));
  output.close();
}
