/**
 * The program of the process that judges a capture while it is written: it takes the lines on its standard input, and
 * puts out one line of JSON for each finding as soon as it stands, and the report when the input ends. It is a process
 * of its own so that nothing that goes wrong here can harm the connection that is captured.
 */
import { writeSync } from 'node:fs';
import { RULES } from '../../rules/index.js';
import type { ReadSummary } from '../../trace/open.js';
import type { ParseContext } from '../../trace/reader.js';
import { READERS } from '../../trace/readers/index.js';
import { Engine } from '../../validate/engine.js';
import { DEFAULT_MAX_FINDINGS, type Report, wantedKinds } from '../../validate/index.js';
import { makeReport } from '../../validate/make-report.js';
import type { Finding } from '../../validate/report.js';

/** What the process says. */
export type ValidatorLine = { readonly finding: Finding } | { readonly report: Report };

const FORMAT = 'vhost-user-capture';
const NAME = 'proxy';

function say(line: ValidatorLine): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}

const reader = READERS.find(({ format }) => format === FORMAT)!;
const engine = new Engine(RULES, { limit: DEFAULT_MAX_FINDINGS });
const remarks: string[] = [];
const context: ParseContext = {
  file: NAME,
  host: NAME,
  wants: wantedKinds(),
  emit: (event) => engine.process(event),
  remark: (text) => remarks.push(text),
};
const parser = reader.open(context);
const told = new Set<Finding>();
let bytes = 0;

function tellNew(): void {
  for (const finding of engine.findings.standing()) {
    if (told.has(finding)) continue;
    told.add(finding);
    say({ finding });
  }
}

for await (const block of process.stdin) {
  bytes += (block as Buffer).length;
  parser.write(block as Buffer);
  tellNew();
}
const { cut } = parser.end();
engine.finish();
tellNew();
const summary: ReadSummary = {
  file: NAME,
  host: NAME,
  format: FORMAT,
  shows: parser.shows ?? reader.shows,
  bytes,
  cut,
  counts: parser.counts,
  remarks,
};
say({ report: makeReport(engine, [summary], {}) });
