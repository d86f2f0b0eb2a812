import type { Finding, Report, Verdict } from '../../validate/report.js';
import { people } from '../../validate/reporters/people.js';
import type { ProxyEnd } from '../../vhost-user/index.js';
import { wantsColor } from '../color.js';
import { complain } from '../output.js';
import { packageVersion } from '../package.js';
import { RULE_TEXTS } from '../rule-texts.js';

/** What happens to a proxy. */
export type ProxyEvent =
  | { readonly event: 'listening'; readonly socket: string; readonly connect: string }
  | { readonly event: 'connected' }
  | { readonly event: 'finding'; readonly finding: Finding }
  | { readonly event: 'trouble'; readonly message: string }
  | ({ readonly event: 'closed' } & ProxyEnd)
  | {
      readonly event: 'verdict';
      readonly verdict: Verdict;
      /** Messages that were not judged. */
      readonly missed: number;
      readonly report: Report | null;
    };

/** Name and version of the lines that `--json` prints. */
const SCHEMA = 'stopcopy-proxy-1';

/** For programs: a line of JSON for each. */
export function tellingLines(event: ProxyEvent): void {
  process.stdout.write(`${JSON.stringify({ schema: SCHEMA, ...event })}\n`);
}

/** For people: what happens on standard error, the report on standard output. */
export function tellingPeople(event: ProxyEvent): void {
  if (event.event === 'listening') say(`listening at ${event.socket} for a VMM; SIGINT ends it`);
  else if (event.event === 'connected') say('the VMM is there, and so is the back end');
  else if (event.event === 'finding') complain(inOneLine(event.finding));
  else if (event.event === 'trouble') complain(event.message);
  else if (event.event === 'closed') say(closing(event));
  else if (event.report === null) say('inconclusive: there is no report');
  else print(event.report, event.missed);
}

/** The first line of a capture is its head. */
function inOneLine({ rule, level, line, message }: Finding): string {
  return `${level} ${rule}: ${message}${line === null ? '' : ` (message ${line - 1})`}`;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function closing({ closed, failure, f2b, b2f }: ProxyEnd): string {
  const who = closed === null ? 'ended here' : `closed by the ${closed} end`;
  const why = failure === null ? '' : ` (${failure})`;
  return `${who}${why} after ${f2b} messages of the front end and ${b2f} of the back end`;
}

function print(report: Report, missed: number): void {
  const cwd = process.cwd();
  const text = people(report, {
    version: packageVersion(),
    cwd,
    root: cwd,
    rules: RULE_TEXTS,
    failOn: 'should',
    color: wantsColor(undefined),
    quiet: false,
    excerpts: new Map(),
  });
  process.stdout.write([...text].join(''));
  if (missed > 0) say(`${missed} messages were not judged`);
}
