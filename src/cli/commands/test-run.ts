import { isVhostTarget, openTarget, openVhostTarget } from 'stopcopy/devices';
import { CRITERION_NAMES, type Criterion, generateSuite } from '../../generate/index.js';
import { PROFILES } from '../../machines/profiles.js';
import {
  type DeviceFacts,
  people,
  type RunOptions,
  type RunResult,
  runSuite,
  type TestReport,
} from '../../run/index.js';
import type { Suite } from '../../suite/index.js';
import { TargetError } from '../../target/index.js';
import { jsonText } from '../../text/json.js';
import type { TraceEvent } from '../../trace/event.js';
import { ndjsonHead, ndjsonLine } from '../../trace/writer.js';
import { reporterNamed } from '../../validate/reporters/index.js';
import { wantsColor } from '../color.js';
import { EXIT, UsageError } from '../exit.js';
import { withHtmlReport } from '../html-report.js';
import { fileOutput, type Output, stdoutOutput } from '../output.js';
import { packageVersion } from '../package.js';
import { RULE_TEXTS } from '../rule-texts.js';
import { didYouMean } from '../suggest.js';
import { CaseProgress } from '../test/case-progress.js';
import { testKvm } from '../test/kvm.js';
import type { OtherRun } from '../test/other-run.js';
import { readSuite } from '../test/read-suite.js';
import { replayCommand } from '../test/replay.js';
import { testVhost } from '../test/vhost.js';
import type { TestFlags } from './test.js';

const EXIT_OF: Readonly<Record<TestReport['verdict'], number>> = {
  pass: EXIT.ok,
  fail: EXIT.violation,
  error: EXIT.inconclusive,
};

/**
 * What a suite tries when nobody says it; `guest` where the target has one, and early: a run may end at its
 * limit of failures, and what a guest sees nothing else does.
 */
const USUAL: readonly Criterion[] = ['requests', 'guest', 'sessions', 'errors', 'm-complete'];

/** Runs `stopcopy test` and returns its exit code. */
export async function runTest(flags: TestFlags): Promise<number> {
  return withHtmlReport(flags, async (own) => {
    const other = otherTarget(own);
    if (other !== undefined) return runOther(own, other);
    return EXIT_OF[(await testTarget(own)).verdict];
  });
}

/** What runs a target that is no VFIO device; undefined: it is one. */
function otherTarget(
  flags: TestFlags,
): ((emit: (event: TraceEvent) => void) => Promise<OtherRun>) | undefined {
  const { target, seed } = flags;
  if (target.startsWith('kvm:')) return (emit) => testKvm(flags, emit);
  if (isVhostTarget(target)) return (emit) => testVhost(flags, () => openVhostTarget(target, seed), emit);
  return undefined;
}

async function runOther(
  flags: TestFlags,
  run: (emit: (event: TraceEvent) => void) => Promise<OtherRun>,
): Promise<number> {
  checkFlags(flags);
  const output = flags.output === undefined ? stdoutOutput() : fileOutput(flags.output);
  const recorder = flags.record === undefined ? null : new Recorder(fileOutput(flags.record));
  const { text, exit } = await run((event) => recorder?.take(event)).finally(() => recorder?.end());
  await output.write(text);
  output.close();
  return exit;
}

/** Runs a suite on a target, and writes the report as the flags say. */
export async function testTarget(flags: TestFlags): Promise<TestReport> {
  checkFlags(flags);
  const suite = flags.suite === undefined ? suiteMaker(flags) : readSuite(flags.suite);
  const output = flags.output === undefined ? stdoutOutput() : fileOutput(flags.output);
  const recorder = flags.record === undefined ? null : new Recorder(fileOutput(flags.record));
  const result = await run(flags, suite, recorder).finally(() => recorder?.end());
  await output.write(await formOf(result, flags));
  output.close();
  return result.report;
}

function checkFlags({ suite, coverage, profile, format, json }: TestFlags): void {
  if (suite !== undefined && coverage.length > 0)
    throw new UsageError('--suite says what is tried; --coverage is for a suite that is made here');
  for (const name of coverage)
    if (!CRITERION_NAMES.some((each) => each === name))
      throw new UsageError(
        `unknown criterion '${name}'${didYouMean(name, CRITERION_NAMES)}; there are ${CRITERION_NAMES.join(', ')}`,
      );
  const profiles = ['uapi', ...PROFILES.map(({ name }) => name)];
  if (profile !== undefined && !profiles.includes(profile))
    throw new UsageError(
      `unknown profile '${profile}'${didYouMean(profile, profiles)}; there are ${profiles.join(', ')}`,
    );
  if (json && format !== 'people' && format !== 'json')
    throw new UsageError(`--json and --format ${format} are two forms; choose one`);
}

function suiteMaker({ coverage, seed }: TestFlags): (facts: DeviceFacts) => Suite {
  return ({ capabilities, lacks, scenarios }) => {
    const usual = USUAL.filter((criterion) => criterion !== 'guest' || scenarios.length > 0);
    const criteria = coverage.length > 0 ? (coverage as Criterion[]) : usual;
    return generateSuite({ capabilities, lacks, scenarios, seed, coverage: criteria });
  };
}

async function run(
  flags: TestFlags,
  suite: RunOptions['suite'],
  recorder: Recorder | null,
): Promise<RunResult> {
  const progress = new CaseProgress();
  try {
    return await runSuite({
      target: openTarget(flags.target, flags.seed),
      suite,
      only: flags.only,
      profile: flags.profile,
      timeout: flags.timeout,
      maxFailures: flags.maxFailures,
      ...(flags.shrink ? {} : { shrinkTries: 0 }),
      emit: (event) => recorder?.take(event),
      progress: (done, total, failures) => progress.update(done, total, failures),
    });
  } catch (error) {
    if (error instanceof TargetError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  } finally {
    progress.end();
  }
}

async function formOf({ report, findings }: RunResult, flags: TestFlags): Promise<Iterable<string>> {
  const color = flags.output === undefined && wantsColor(flags.color);
  const format = flags.json ? 'json' : flags.format;
  if (format === 'json') return jsonText(report);
  if (format === 'people') return people(report, { color, replay: (id) => replayCommand(flags, id) });
  const render = await reporterNamed(format)!.load();
  const cwd = process.cwd();
  return render(findings, {
    version: packageVersion(),
    cwd,
    root: process.env.GITHUB_WORKSPACE || cwd,
    rules: RULE_TEXTS,
    failOn: 'should',
    color,
    quiet: false,
    excerpts: new Map(),
  });
}

/** Lines that are gathered before they are written. */
const BATCH = 1000;

/** Writes the events of a run. */
class Recorder {
  readonly #output: Output;
  #lines: string[] = [ndjsonHead()];
  #writing: Promise<void> = Promise.resolve();

  constructor(output: Output) {
    this.#output = output;
  }

  take(event: TraceEvent): void {
    this.#lines.push(ndjsonLine(event));
    if (this.#lines.length >= BATCH) this.#flush();
  }

  #flush(): void {
    const lines = this.#lines;
    this.#lines = [];
    this.#writing = this.#writing.then(() => this.#output.write(lines));
    // The error is told when the run has ended.
    this.#writing.catch(() => {});
  }

  async end(): Promise<void> {
    this.#flush();
    await this.#writing;
    this.#output.close();
  }
}
