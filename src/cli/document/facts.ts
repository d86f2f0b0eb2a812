import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
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

/** Logs of VMMs: what else lies in the folders has other uses. */
const LOG = /\.trace\.log(\.gz)?$|uapi\.bpftrace\.ndjson\.gz$/;

function runs(folder: string): { name: string; files: string[] }[] {
  const found: { name: string; files: string[] }[] = [];
  for (const group of readdirSync(folder, { withFileTypes: true }))
    if (group.isDirectory())
      for (const run of readdirSync(join(folder, group.name), { withFileTypes: true })) {
        if (!run.isDirectory()) continue;
        const path = join(folder, group.name, run.name);
        const files = readdirSync(path)
          .filter((file) => LOG.test(file))
          .sort()
          .map((file) => join(path, file));
        const logs = files.filter((file) => !basename(file).startsWith('uapi'));
        if (logs.length > 0) found.push({ name: `${group.name}/${run.name}`, files: logs });
      }
  return found;
}
