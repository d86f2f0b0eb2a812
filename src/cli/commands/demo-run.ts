import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { painter } from '../../text/words.js';
import type { TraceInput } from '../../trace/open.js';
import { InputError } from '../../trace/reader.js';
import { validateInputs } from '../../validate/index.js';
import type { Verdict } from '../../validate/report.js';
import { readExcerpts } from '../../validate/reporters/excerpts.js';
import { people } from '../../validate/reporters/people.js';
import { wantsColor } from '../color.js';
import { EXIT } from '../exit.js';
import { print } from '../output.js';
import { packagePath, packageVersion } from '../package.js';
import { RULE_TEXTS } from '../rule-texts.js';

interface Show {
  readonly heading: string;
  readonly words: string;
  /** Folder below `test/traces` with the logs of both hosts. */
  readonly folder: string;
  readonly verdict: Verdict;
}

const SHOWS: readonly Show[] = [
  {
    heading: 'A migration that is as it should be',
    words: 'QEMU 11.1 moves a VM with one VFIO device; the logs are those of both hosts.',
    folder: 'qemu-11.1/happy-default',
    verdict: 'conformant',
  },
  {
    heading: 'A migration with a fault',
    words: 'The same set-up; the migration is cancelled just before the switchover.',
    folder: 'qemu-11.1/cancel-pre-switchover',
    verdict: 'violation',
  },
];

/** Runs `stopcopy demo`: 0 when both verdicts are the expected ones. */
export async function runDemo(flags: { color?: boolean }): Promise<number> {
  const color = wantsColor(flags.color);
  let good = true;
  for (const show of SHOWS) {
    const verdict = await present(show, color);
    if (verdict === show.verdict) continue;
    good = false;
    await print(`unexpected verdict: ${verdict} instead of ${show.verdict}\n\n`);
  }
  return good ? EXIT.ok : EXIT.violation;
}

async function present({ heading, words, folder }: Show, color: boolean): Promise<Verdict> {
  const paint = painter(color);
  const inputs = bundled(folder);
  const command = `stopcopy validate ${inputs.map(({ file }) => file).join(' ')}`;
  await print(`${paint(['bold', 'underline'], heading)}\n${words}\n$ ${command}\n\n`);
  const report = await validateInputs(inputs, {});
  const cwd = process.cwd();
  const excerpts = await readExcerpts(report);
  const rest = {
    version: packageVersion(),
    cwd,
    root: cwd,
    rules: RULE_TEXTS,
    failOn: 'should',
    quiet: false,
  } as const;
  await print(people(report, { ...rest, color, excerpts }));
  await print('\n');
  return report.verdict;
}

/** The logs of a bundled scenario, with paths as a user in the current directory would type them. */
function bundled(folder: string): TraceInput[] {
  const inputs = ['src', 'dst'].flatMap((host) => {
    const path = packagePath(`test/traces/${folder}/${host}.trace.log`);
    const file = [path, `${path}.gz`].find((each) => existsSync(each));
    return file === undefined ? [] : [{ file: relative(process.cwd(), file), host }];
  });
  if (inputs.length === 0) throw new InputError(`the package lacks its traces test/traces/${folder}`);
  return inputs;
}
