import { openTarget } from 'stopcopy/devices';
import {
  DeviceTeacher,
  differences,
  type Learned,
  type LearnReport,
  learnedDot,
  learnedMermaid,
  learnMachine,
  learnReport,
  placesOf,
  protocolExpectation,
} from '../../learn/index.js';
import { type CapabilitySet, capabilityNames } from '../../machines/index.js';
import { TargetError } from '../../target/index.js';
import { jsonText } from '../../text/json.js';
import { painter, plural } from '../../text/words.js';
import { capabilitiesNamed } from '../capabilities.js';
import { wantsColor } from '../color.js';
import { EXIT, UsageError } from '../exit.js';
import { learnFromTraces, type PassiveOutcome } from '../learn/passive.js';
import { learnText } from '../learn/text.js';
import { fileOutput, stdoutOutput, withNewlines } from '../output.js';
import { StatusLine } from '../status-line.js';
import { LEVELS, type LearnFlags } from './learn.js';

/** Runs `stopcopy learn` and returns its exit code. */
export async function runLearn(flags: LearnFlags): Promise<number> {
  const given = flags.caps === undefined ? null : capabilitiesNamed(flags.caps.split(','));
  if (flags.json && flags.format !== 'text' && flags.format !== 'json')
    throw new UsageError(`--json and --format ${flags.format} are two forms; choose one`);
  const output = flags.output === undefined ? stdoutOutput() : fileOutput(flags.output);
  try {
    const { learned, found, places, against } = await (flags.from === undefined
      ? learn(flags, given)
      : learnFromTraces({ from: flags.from, device: flags.device, given, diff: flags.diff }));
    const report = learnReport(learned, against, found);
    await output.write(textOf(flags, learned, report, places));
    return exitOf(report);
  } catch (error) {
    if (error instanceof TargetError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  } finally {
    output.close();
  }
}

/** Learns; an interrupt ends it, and what is known by then is told. */
async function learn(flags: LearnFlags, given: CapabilitySet | null): Promise<PassiveOutcome> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  const status = new StatusLine(300);
  const teacher = await DeviceTeacher.open(() => openTarget(flags.target!, flags.seed), {
    groups: LEVELS[flags.level],
    damaged: flags.damaged === true,
    status: flags.get,
    timeout: flags.timeout,
    ...(flags.fresh !== undefined && { fresh: flags.fresh }),
  });
  const caps = given ?? teacher.capabilities;
  const expectation = protocolExpectation(caps, teacher.alphabet);
  process.once('SIGINT', interrupt);
  try {
    const learned = await learnMachine(teacher, {
      ...(flags.diff !== undefined && {
        suspects: (machine) => differences(machine, expectation).map(({ word }) => word),
      }),
      extraStates: flags.extraStates,
      seed: flags.seed,
      maxRequests: flags.budget,
      signal: stop.signal,
      ...(flags.maxTime !== undefined && { maxMilliseconds: 1000 * flags.maxTime }),
      progress: ({ requests, words, states, examination }) =>
        status.show(
          () =>
            `${plural(requests, 'request')}, ${plural(words, 'word')}, ${plural(states, 'state')}` +
            (examination === null ? '' : `, examined ${examination.done} of ${examination.words}`),
        ),
    });
    if (flags.diff === undefined) return { learned, found: [], places: new Set(), against: null };
    // A device is not accused of what it was not seen to answer.
    const found = differences(learned.machine, expectation).filter(
      ({ word }) => learned.wasPut?.(word) ?? true,
    );
    return {
      learned,
      found,
      places: placesOf(learned.machine, found),
      against: `${flags.diff} (${capabilityNames(caps).join(', ')})`,
    };
  } finally {
    status.end();
    process.off('SIGINT', interrupt);
    await teacher.close();
  }
}

function* textOf(
  flags: LearnFlags,
  learned: Learned,
  report: LearnReport,
  places: ReadonlySet<number>,
): Generator<string> {
  const format = flags.json ? 'json' : flags.format;
  if (format === 'json') return yield* jsonText(report);
  const color = flags.output === undefined && wantsColor(flags.color);
  const lines =
    format === 'mermaid'
      ? learnedMermaid(learned.machine, places)
      : format === 'dot'
        ? learnedDot(learned.machine, places)
        : learnText(report, painter(color));
  yield* withNewlines(lines);
}

function exitOf({ differences: found, complete, reason, requests }: LearnReport): number {
  if (found.length > 0) return EXIT.violation;
  if (reason === 'recorded') return requests > 0 ? EXIT.ok : EXIT.inconclusive;
  return complete ? EXIT.ok : EXIT.inconclusive;
}
