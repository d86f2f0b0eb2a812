import { PROFILES } from '../machines/profiles.js';
import { RULES } from '../rules/index.js';
import type { Level } from '../rules/rule.js';
import { plural } from '../text/words.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import { distinctHosts, type ReadSummary, readTrace, type TraceInput } from '../trace/open.js';
import { InputError } from '../trace/reader.js';
import { crowdRemark } from './crowd.js';
import { Engine } from './engine.js';
import { makeReport } from './make-report.js';
import type { Report } from './report.js';

export type { Report } from './report.js';

/** How traces are judged, and who hears of it. */
export interface ValidateOptions {
  /** Name of a profile: deviations that it is known for become notes. The default is that of the format, if any. */
  profile?: string | undefined;
  /** The mildest level that makes the verdict a violation; the default is `should`. */
  failOn?: Level | undefined;
  /**
   * Kinds of event that are known to have been switched on when the trace was taken. A finding stands
   * only when each kind that its rule needs did occur, or is among these.
   */
  traced?: ReadonlySet<EventKind> | undefined;
  /** Most findings in the report; the default is 100. */
  maxFindings?: number | undefined;
  /** Called now and then with the bytes read of the file at hand. */
  progress?(file: string, done: number, total: number | undefined): void;
  /** Takes an input that could not be read; without it the first one ends the run with its InputError. */
  onUnreadable?(input: TraceInput, error: InputError): void;
}

/** Most findings that a report lists when nothing else is said. */
export const DEFAULT_MAX_FINDINGS = 100;

/** Every kind of event that some machine, rule or measurement listens to. */
export function wantedKinds(): ReadonlySet<EventKind> {
  return Engine.wanted(RULES);
}

/**
 * Reads the inputs one after another, runs the machines and rules over them, and reports.
 * @throws InputError when an input cannot be read and `onUnreadable` is absent, or the profile is unknown
 */
export async function validateInputs(
  inputs: readonly TraceInput[],
  options: ValidateOptions = {},
): Promise<Report> {
  checkProfile(options.profile);
  const engine = newEngine(options);
  const wants = wantedKinds();
  const summaries: ReadSummary[] = [];
  for (const input of distinctHosts(inputs)) {
    try {
      const before = engine.crowd.turnedAway;
      const summary = await readTrace(input, {
        emit: (event) => engine.process(event),
        wants,
        opened: ({ profile }) => {
          engine.findings.profile = options.profile ?? profile;
        },
        progress: (done, total) => options.progress?.(input.file, done, total),
      });
      const turnedAway = engine.crowd.turnedAway - before;
      if (turnedAway > 0) summary.remarks.push(crowdRemark(turnedAway));
      summaries.push(summary);
    } catch (error) {
      if (!(error instanceof InputError) || !options.onUnreadable) throw error;
      options.onUnreadable(input, error);
    }
  }
  engine.finish();
  const unlisted = unlistedRemark(engine);
  if (unlisted !== null) summaries.at(-1)?.remarks.push(unlisted);
  return makeReport(engine, summaries, options);
}

/** What the measurements leave out, or null. */
function unlistedRemark({ measure: { unlisted } }: Engine): string | null {
  const parts = [
    ...(unlisted.migrations > 0 ? [plural(unlisted.migrations, 'migration')] : []),
    ...(unlisted.spans > 0 ? [plural(unlisted.spans, 'change of state', 'changes of state')] : []),
  ];
  return parts.length === 0 ? null : `judged and not listed, for there are too many: ${parts.join(' and ')}`;
}

/**
 * Judges events that are already at hand, such as those of a run of our own.
 * @param shows kinds that the recorder of the events can show; the default is those that came
 */
export function validateEvents(
  events: Iterable<TraceEvent>,
  options: ValidateOptions & { shows?: ReadonlySet<EventKind> } = {},
): Report {
  checkProfile(options.profile);
  const engine = newEngine(options);
  let lines = 0;
  for (const event of events) {
    lines++;
    engine.process(event);
  }
  engine.finish();
  const shows = options.shows ?? engine.seen;
  const counts = { lines, decoded: lines, ignored: 0, malformed: 0, unknown: new Map<string, number>() };
  const summary: ReadSummary = {
    file: '',
    host: '',
    format: 'events',
    shows,
    bytes: 0,
    cut: false,
    counts,
    remarks: [],
  };
  return makeReport(engine, [summary], options);
}

function newEngine(options: ValidateOptions): Engine {
  return new Engine(RULES, {
    profile: options.profile,
    limit: options.maxFindings ?? DEFAULT_MAX_FINDINGS,
    traced: options.traced,
  });
}

function checkProfile(profile: string | undefined): void {
  if (profile === undefined || profile === 'uapi' || PROFILES.some(({ name }) => name === profile)) return;
  const known = PROFILES.map(({ name }) => name).join(', ');
  throw new InputError(`unknown profile '${profile}'; there are uapi (none of them), ${known}`);
}
