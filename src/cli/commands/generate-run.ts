import type { EmittedFile } from '../../generate/emitters/index.js';
import { emit } from '../../generate/emitters/index.js';
import {
  CRITERION_NAMES,
  type Criterion,
  type GenerateOptions,
  generateSuite,
  MODEL,
} from '../../generate/index.js';
import { CAPABILITY_SETS, type CapabilitySet, MACHINES } from '../../machines/index.js';
import type { Suite } from '../../suite/index.js';
import { jsonText } from '../../text/json.js';
import { OPTIONAL_CALLS } from '../../uapi/optional-call.js';
import { appendNames } from '../arguments.js';
import { capabilitiesNamed } from '../capabilities.js';
import { UsageError } from '../exit.js';
import { writeSuite } from '../generate/write-suite.js';
import { print } from '../output.js';
import { didYouMean } from '../suggest.js';
import type { GenerateFlags } from './generate.js';

const LIST_SCHEMA = 'stopcopy-cases-1';

/** Runs `stopcopy generate`. */
export async function runGenerate(model: string, flags: GenerateFlags): Promise<void> {
  checkModel(model);
  const given =
    flags.capabilities === undefined ? null : capabilitiesNamed(appendNames(flags.capabilities, []));
  const options = optionsOf(flags, given ?? CAPABILITY_SETS.at(-1)!);
  try {
    if (flags.stats) return await printStats(options, given === null, flags);
    const suite = only(generateSuite(options), flags.only);
    if (flags.list) return await printCases(suite, flags.json === true);
    if (flags.json)
      throw new UsageError('--json goes with --stats or --list; a suite as JSON is --emit json');
    return await deliver(emit(suite, flags.emit), flags);
  } catch (error) {
    // A suite that would be too large to make.
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

/** @throws UsageError unless suites are made from the machine */
function checkModel(name: string): void {
  if (name === MODEL) return;
  const names = MACHINES.map((machine) => machine.name);
  if (!names.includes(name))
    throw new UsageError(
      `unknown machine '${name}'${didYouMean(name, names)}; suites are made from ${MODEL}`,
    );
  throw new UsageError(
    `${name} does not describe what a device under test is asked for; suites are made from ${MODEL}`,
  );
}

function optionsOf(flags: GenerateFlags, caps: CapabilitySet): GenerateOptions {
  if (flags.coverage.length === 0)
    throw new UsageError(`say what the suite has to try: --coverage ${CRITERION_NAMES.join(',')}`);
  if (flags.coverage.includes('guest') && flags.scenarios.length === 0)
    throw new UsageError('guest needs the names of migrations that the target can play: --scenarios NAMES');
  return {
    capabilities: caps,
    coverage: flags.coverage.map((name) => known<Criterion>('criterion', name, CRITERION_NAMES)),
    lacks: flags.lacks.map((name) => known('call', name, OPTIONAL_CALLS)),
    scenarios: flags.scenarios,
    status: flags.status,
    seed: flags.seed,
    extraStates: flags.extraStates,
    method: flags.method,
    ...(flags.budget !== undefined && { budget: flags.budget }),
  };
}

function known<T extends string>(kind: string, name: string, names: readonly T[]): T {
  const found = names.find((each) => each === name);
  if (found !== undefined) return found;
  throw new UsageError(`unknown ${kind} '${name}'${didYouMean(name, names)}; there are ${names.join(', ')}`);
}

/** @throws UsageError when no case has the id */
function only(suite: Suite, id: string | undefined): Suite {
  if (id === undefined) return suite;
  const cases = suite.cases.filter((each) => each.id === id);
  if (cases.length > 0) return { ...suite, guarantee: null, cases };
  const ids = suite.cases.map((each) => each.id);
  throw new UsageError(`no case '${id}' in the suite${didYouMean(id, ids)}; --list shows them`);
}

async function printStats(options: GenerateOptions, ofAll: boolean, flags: GenerateFlags): Promise<void> {
  if (flags.only !== undefined)
    throw new UsageError('--only picks one case; --stats tells of the whole suite');
  const { suiteStats } = await import('../../generate/index.js');
  const stats = suiteStats(options);
  if (!ofAll && flags.json) return print(jsonText(stats));
  const all = ofAll ? CAPABILITY_SETS.map((each) => suiteStats({ ...options, capabilities: each })) : [stats];
  if (flags.json) return print(jsonText({ ...stats, capabilitySets: all }));
  const { statsText } = await import('../generate/stats-text.js');
  await print(statsText(all));
}

async function printCases(suite: Suite, json: boolean): Promise<void> {
  const cases = suite.cases.map(({ id, title, criterion, steps }) => ({
    id,
    criterion,
    title,
    steps: steps.length,
  }));
  if (json) return print(jsonText({ schema: LIST_SCHEMA, cases }));
  const { table } = await import('../../document/table.js');
  const rows = cases.map(({ id, steps, title }) => [id, `${steps}`, title]);
  await print(`${table([['CASE', 'STEPS', 'TITLE'], ...rows], '').join('\n')}\n`);
}

async function deliver(files: readonly EmittedFile[], flags: GenerateFlags): Promise<void> {
  if (flags.output !== undefined) {
    const written = writeSuite(files, flags.output, flags.force === true);
    if (process.stderr.isTTY) process.stderr.write(`${written.map((path) => `wrote ${path}`).join('\n')}\n`);
    return;
  }
  if (files.length > 1)
    throw new UsageError(`--emit ${flags.emit} makes ${files.length} files: say where with -o FOLDER`);
  await print(files[0]!.text);
}
