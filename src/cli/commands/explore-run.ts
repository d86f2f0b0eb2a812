import {
  type Exploration,
  type ExploreProgress,
  type ExploreReport,
  explore,
  exploreReport,
  exploreText,
  kindsOf,
  type Model,
  type ModelEntry,
  ModelError,
  type ModelOptions,
  modelNamed,
  modelOptions,
  traceOf,
  vitestFile,
} from '../../explore/index.js';
import { MODELS } from '../../explore/models/index.js';
import { CAPABILITY_SETS, type CapabilitySet } from '../../machines/index.js';
import { jsonText } from '../../text/json.js';
import { painter, plural } from '../../text/words.js';
import { ndjsonHead, ndjsonLine } from '../../trace/writer.js';
import { capabilitiesNamed } from '../capabilities.js';
import { wantsColor } from '../color.js';
import { EXIT, UsageError } from '../exit.js';
import { readCheckpoint, writeCheckpoint } from '../explore/checkpoint-file.js';
import { exported, tlaFiles } from '../explore/export.js';
import { modelsData, modelsText, modelText } from '../explore/list.js';
import { fileOutput, type Output, stdoutOutput, withNewlines } from '../output.js';
import { StatusLine } from '../status-line.js';
import { didYouMean } from '../suggest.js';
import type { ExploreFlags } from './explore.js';

const EXIT_OF: Readonly<Record<Exploration['verdict'], number>> = {
  holds: EXIT.ok,
  violated: EXIT.violation,
  unknown: EXIT.inconclusive,
};

/** Runs `stopcopy explore` and returns its exit code. */
export async function runExplore(name: string | undefined, flags: ExploreFlags): Promise<number> {
  try {
    if (name !== undefined && !flags.list && flags.export === 'tla' && flags.output !== undefined)
      return await writeTla(modelOf(name, flags), flags.output);
    const output = flags.output === undefined ? stdoutOutput() : fileOutput(flags.output);
    return await work(name, flags, output).finally(() => output.close());
  } catch (error) {
    if (error instanceof ModelError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

/** Writes the module, and beside it TLC's configurations and the module of `leadsTo`. */
async function writeTla(model: Model, path: string): Promise<number> {
  for (const file of tlaFiles(model, path)) await write(file.path, [file.text]);
  return EXIT.ok;
}

function modelOf(name: string, flags: ExploreFlags): Model {
  const entry = entryNamed(name);
  return entry.make(modelOptions(entry, given(flags)));
}

async function work(name: string | undefined, flags: ExploreFlags, output: Output): Promise<number> {
  if (name === undefined || flags.list) {
    const entries = name === undefined ? MODELS : [entryNamed(name)];
    const text = name === undefined ? modelsText() : modelText(entries[0]!);
    await output.write(flags.json ? jsonText(modelsData(entries)) : withNewlines(text));
    return EXIT.ok;
  }
  const model = modelOf(name, flags);
  if (flags.export !== undefined) {
    await output.write([exported(model, flags.export)]);
    return EXIT.ok;
  }
  const report = exploreReport(model, await search(model, flags));
  await writeCounterexample(model, report, flags);
  await output.write(flags.json ? jsonText(report) : withNewlines(peopleText(model, report, flags)));
  return EXIT_OF[report.verdict];
}

/** @throws UsageError for a name that no model has */
function entryNamed(name: string): ModelEntry {
  const names = MODELS.map((each) => each.name);
  const entry = modelNamed(name);
  if (entry !== undefined) return entry;
  throw new UsageError(`unknown model '${name}'${didYouMean(name, names)}; there are ${names.join(', ')}`);
}

function given({ devices, pages, faults, caps, variant }: ExploreFlags): Partial<ModelOptions> {
  return {
    ...(devices !== undefined && { devices }),
    ...(pages !== undefined && { pages }),
    ...(faults !== undefined && { faults }),
    ...(caps !== undefined && { capabilities: caps.split('/').map(capabilities) }),
    ...(variant !== undefined && { variant }),
  };
}

function capabilities(text: string): CapabilitySet {
  if (text === 'all') return CAPABILITY_SETS.at(-1)!;
  return capabilitiesNamed(text.split(','));
}

/** Explores; an interrupt ends the search, and what it has seen is reported. */
async function search(model: Model, flags: ExploreFlags): Promise<Exploration> {
  const status = new StatusLine(300);
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const file = flags.checkpoint ?? flags.resume;
  try {
    return await explore(model, {
      properties: flags.property.length > 0 ? flags.property : null,
      memory: flags.maxMemory,
      states: flags.maxStates ?? null,
      depth: flags.maxDepth ?? null,
      time: flags.maxTime ?? null,
      symmetry: flags.symmetry,
      signal: stop.signal,
      resume: flags.resume === undefined ? null : readCheckpoint(flags.resume),
      checkpoint:
        file === undefined
          ? null
          : { seconds: flags.checkpointEvery, save: (parts) => writeCheckpoint(file, parts) },
      progress: (progress) => status.show(() => progressText(progress)),
    });
  } finally {
    status.end();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

function progressText({ states, edges, depth, frontier, cycles }: ExploreProgress): string {
  const so = `${plural(states, 'state')}, ${plural(edges, 'edge')}`;
  if (cycles !== null)
    return `${so}; ${cycles.property}: ${plural(cycles.checked, 'state')} looked at for cycles`;
  return `${so}, depth ${depth}, ${plural(frontier, 'state')} to go`;
}

/** Writes the first counterexample, or else the first witness, where a file was named for it. */
async function writeCounterexample(
  model: Model,
  report: ExploreReport,
  { trace, vitest }: ExploreFlags,
): Promise<void> {
  if (trace === undefined && vitest === undefined) return;
  const result =
    report.properties.find((each) => each.counterexample !== null) ??
    report.properties.find((each) => each.witness !== null);
  const shown = result?.counterexample ?? result?.witness;
  if (result === undefined || !shown)
    throw new UsageError(`nothing to write: ${model.name} has no counterexample and no witness here`);
  const { actions, end, loop } = shown;
  const property = model.properties.find(({ id }) => id === result.id)!;
  if (trace !== undefined)
    await write(trace, [
      ndjsonHead({ shows: kindsOf(model) }),
      ...traceOf(model, shown).map((event) => ndjsonLine(event)),
    ]);
  if (vitest !== undefined) await write(vitest, [vitestFile(model, property, { actions, end, loop })]);
}

async function write(path: string, text: Iterable<string>): Promise<void> {
  const output = fileOutput(path);
  await output.write(text).finally(() => output.close());
}

function peopleText(model: Model, report: ExploreReport, flags: ExploreFlags): Iterable<string> {
  const color = flags.output === undefined && wantsColor(flags.color);
  return exploreText(model, report, {
    paint: painter(color),
    chart: flags.chart,
    witnesses: flags.witnesses === true,
    changes: flags.changes === true,
  });
}
