import type { VhostTarget } from '../../target/vhost-target.js';
import type { TraceEvent } from '../../trace/event.js';
import { DeviceError } from '../../uapi/device.js';
import { type Report, validateEvents } from '../../validate/index.js';
import type { VhostCase } from './case.js';
import { VHOST_CASES } from './cases.js';
import { VHOST_TEST_SCHEMA, type VhostTestFailure, type VhostTestReport } from './report.js';
import { CaseFailure, CaseSkipped, VhostRig } from './rig.js';

export interface VhostRunOptions {
  readonly target: VhostTarget;
  /** Only the case with this id. */
  readonly only?: string | undefined;
  /** Implementation whose known deviations are no failures; default the target's. */
  readonly profile?: string | undefined;
  /** How long a case may take, in milliseconds. */
  readonly timeout: number;
  /** End after so many failing cases. */
  readonly maxFailures: number;
  emit?(event: TraceEvent): void;
  progress?(done: number, total: number, failures: number): void;
}

/** What came of one case. */
interface Outcome {
  readonly events: TraceEvent[];
  readonly failure: string | null;
  readonly skipped: string | null;
}

/**
 * Runs the cases on a back end, each on one that was opened anew, and judges them by what they expect and by
 * the rules of the trace that they leave.
 * @throws TargetError when the target cannot be used at all; RangeError when no case has the id of `only`
 */
export async function runVhostCases(options: VhostRunOptions): Promise<VhostTestReport> {
  const { target, maxFailures } = options;
  const cases = casesOf(options);
  const started = performance.now();
  const result = new Result(options);
  try {
    for (const [done, each] of cases.entries()) {
      if (result.failed.size >= maxFailures) break;
      options.progress?.(done, cases.length, result.failed.size);
      result.take(each, await runCase(each, options, result));
      if (result.lost !== null) break;
    }
  } finally {
    await target.close();
  }
  return result.report(performance.now() - started);
}

function casesOf({ target, only }: VhostRunOptions): readonly VhostCase[] {
  const fitting = VHOST_CASES.filter(({ interfaces }) => interfaces?.includes(target.interface) ?? true);
  if (only === undefined) return fitting;
  const found = fitting.filter(({ id }) => id === only);
  if (found.length > 0) return found;
  throw new RangeError(`no case is called ${only}; there are ${fitting.map(({ id }) => id).join(', ')}`);
}

async function runCase(each: VhostCase, options: VhostRunOptions, result: Result): Promise<Outcome> {
  const events: TraceEvent[] = [];
  const emit = (event: TraceEvent) => {
    events.push(event);
    options.emit?.(event);
  };
  const rig = await VhostRig.open({ ...each.rig, target: options.target, emit });
  result.met(rig);
  let failure: string | null = null;
  let skipped: string | null = null;
  try {
    await inTime(each.run(rig), options.timeout);
  } catch (error) {
    if (error instanceof CaseSkipped) skipped = error.message;
    else if (error instanceof HungCase) {
      failure = error.message;
      result.lost = error.message;
    } else if (error instanceof CaseFailure || error instanceof DeviceError || error instanceof RangeError)
      failure = error.message;
    else throw error;
  } finally {
    result.look(rig);
    await rig.close().catch(() => {});
  }
  return { events, failure, skipped };
}

/** A case did not come to its end: the back end cannot be tried any further. */
class HungCase extends Error {}

async function inTime(run: Promise<void>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new HungCase(`the case has not ended after ${milliseconds / 1000} s`)),
      milliseconds,
    );
  });
  try {
    await Promise.race([run, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Gathers what the report is made of. */
class Result {
  readonly failures: VhostTestFailure[] = [];
  readonly failed = new Set<string>();
  readonly skipped: VhostTestReport['skipped'] = [];
  readonly known: VhostTestReport['known'] = [];
  /** Why no further case can be run. */
  lost: string | null = null;
  #cases = 0;
  #events = 0;
  #device: string | null = null;
  #offered: VhostTestReport['offered'] = null;
  readonly #options: VhostRunOptions;
  readonly #profile: string | undefined;

  constructor(options: VhostRunOptions) {
    this.#options = options;
    this.#profile = options.profile ?? options.target.profile;
  }

  met(rig: VhostRig): void {
    this.#device = rig.backend.name;
  }

  look({ offered, protocolFeatures, backend }: VhostRig): void {
    if (offered === 0n) return;
    this.#offered = {
      features: `0x${offered.toString(16)}`,
      protocolFeatures: backend.interface === 'user' ? `0x${protocolFeatures.toString(16)}` : null,
    };
  }

  take(each: VhostCase, { events, failure, skipped }: Outcome): void {
    this.#events += events.length;
    const report = validateEvents(events, { profile: this.#profile });
    const found = this.#findings(each, report);
    if (failure !== null) found.push(ownFailure(each, failure));
    if (found.length > 0) {
      this.#cases++;
      this.failed.add(each.id);
      this.failures.push(...found);
    } else if (skipped !== null) this.skipped.push({ case: each.id, reason: skipped });
    else this.#cases++;
  }

  #findings(each: VhostCase, { violations }: Report): VhostTestFailure[] {
    const found = new Map<string, VhostTestFailure>();
    for (const { rule, title, party, level, message, clause, cause, known } of violations) {
      if (known !== null) this.known.push({ case: each.id, rule, words: known });
      // What the VMM's half is to blame for was done by the case on purpose.
      if (level === 'note' || party === 'vmm' || found.has(rule)) continue;
      found.set(rule, {
        case: each.id,
        title: each.title,
        rule,
        ruleTitle: title,
        party,
        message,
        clause,
        cause,
      });
    }
    return [...found.values()];
  }

  report(durationMs: number): VhostTestReport {
    const { target } = this.#options;
    const failed = this.failed.size;
    const verdict = failed > 0 ? 'fail' : this.#cases > 0 ? 'pass' : 'error';
    return {
      schema: VHOST_TEST_SCHEMA,
      target: target.uri,
      device: this.#device,
      interface: target.interface,
      verdict,
      reason: verdict === 'error' ? 'no case could be run' : null,
      cases: this.#cases,
      passed: this.#cases - failed,
      failures: this.failures,
      skipped: this.skipped,
      known: this.known,
      offered: this.#offered,
      events: this.#events,
      profile: this.#profile ?? null,
      durationMs,
    };
  }
}

function ownFailure({ id, title }: VhostCase, message: string): VhostTestFailure {
  return {
    case: id,
    title,
    rule: null,
    ruleTitle: null,
    party: 'driver',
    message,
    clause: null,
    cause: null,
  };
}
