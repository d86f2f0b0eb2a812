import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FAULTS } from 'stopcopy/devices';
import type { RuleFacts } from '../../document/book/index.js';
import { PROFILES } from '../../machines/profiles.js';
import { RULES } from '../../rules/index.js';
import { InputError } from '../../trace/reader.js';
import { validateEvents, validateInputs } from '../../validate/index.js';
import { packagePath } from '../package.js';

/** What the book tells of each rule beside its text. */
export async function ruleFacts(): Promise<Map<string, RuleFacts>> {
  const recorded = await foundInRecordings();
  return new Map(
    RULES.map(({ id, violating }) => [
      id,
      {
        found: messagesOf(id, violating),
        deviations: PROFILES.flatMap(({ name, deviations }) =>
          deviations[id] === undefined ? [] : [{ profile: name, words: deviations[id] }],
        ),
        bugs: FAULTS.flatMap(({ name, title, origin, caughtBy }) =>
          caughtBy.includes(id) ? [{ fault: name, title, origin }] : [],
        ),
        recordings: recorded.get(id) ?? [],
      },
    ]),
  );
}

function messagesOf(id: string, violating: (typeof RULES)[number]['violating']): string[] {
  const traced = new Set(violating.map(({ kind }) => kind));
  const { violations } = validateEvents(violating, { traced });
  return violations.filter(({ rule }) => rule === id).map(({ message }) => message);
}

/** The recordings of the package, each folder of logs as one run, by the rules that they break. */
async function foundInRecordings(): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const { name, files } of runs(packagePath('test/traces'))) {
    const report = await judged(files);
    const rules = new Set(report?.violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule));
    for (const rule of rules) found.set(rule, [...(found.get(rule) ?? []), name]);
  }
  return found;
}

async function judged(files: readonly string[]) {
  try {
    return await validateInputs(files.map((file) => ({ file })));
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

/** What a run is judged by: the logs of its VMMs, or what was recorded at the uAPI. */
const KINDS = [
  { what: '', file: /\.trace\.log(\.gz)?$/ },
  { what: ' (uAPI)', file: /uapi\.bpftrace\.ndjson\.gz$/ },
];

/** Each folder of recordings as a run, once for each kind that it has. */
function runs(folder: string): { name: string; files: string[] }[] {
  return folders(folder).flatMap((group) =>
    folders(join(folder, group)).flatMap((run) => {
      const path = join(folder, group, run);
      const all = readdirSync(path).sort();
      return KINDS.flatMap(({ what, file }) => {
        const files = all.filter((each) => file.test(each)).map((each) => join(path, each));
        return files.length > 0 ? [{ name: `${group}/${run}${what}`, files }] : [];
      });
    }),
  );
}

const folders = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
