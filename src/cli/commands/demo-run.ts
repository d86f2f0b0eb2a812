import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type Paint, painter, shellWord } from '../../text/words.js';
import type { TraceInput } from '../../trace/open.js';
import { InputError } from '../../trace/reader.js';
import { validateInputs } from '../../validate/index.js';
import type { Report } from '../../validate/report.js';
import { readExcerpts } from '../../validate/reporters/excerpts.js';
import { people } from '../../validate/reporters/people.js';
import { wantsColor } from '../color.js';
import { EXIT } from '../exit.js';
import { print } from '../output.js';
import { packagePath, packageVersion } from '../package.js';
import { RULE_TEXTS } from '../rule-texts.js';
import { migrateFlags } from './migrate.js';
import { exitCode, migrate } from './migrate-run.js';
import { testTarget } from './test-run.js';

interface Show {
  readonly heading: string;
  readonly words: string;
  /** Shows it, and returns what came out, to be held against `expected`. */
  readonly run: (stage: Stage) => Promise<string>;
  readonly expected: string;
}

/** Where a show takes place. */
interface Stage {
  readonly color: boolean;
  readonly paint: Paint;
  /** A folder for recordings, which is gone after the demo. */
  readonly folder: string;
}

const SHOWS: readonly Show[] = [
  {
    heading: 'A migration that is as it should be',
    words: 'QEMU 11.1 moves a VM with one VFIO device; the logs are those of both hosts.',
    run: (stage) => trace(stage, 'qemu-11.1/happy-default'),
    expected: 'conformant',
  },
  {
    heading: 'A migration with a fault',
    words: 'The same set-up; the migration is cancelled just before the switchover.',
    run: (stage) => trace(stage, 'qemu-11.1/cancel-pre-switchover'),
    expected: 'violation of VMM-MIG-07',
  },
  {
    heading: 'A live migration of mock devices',
    words: 'A VM with two E810 VFs moves from one process to another while its guest has traffic.',
    run: (stage) => migration(stage, 'two-vfs', ['--device', 'e810-vf', '--vfs', '2'], { quiet: true }),
    expected: 'completed with 0, destination runs, conformant',
  },
  {
    heading: 'A live migration with a driver as it was published',
    words: 'It is cancelled in pre-switchover. The VM runs on at the source, and its VF does not.',
    run: (stage) => migration(stage, 'cancelled', CANCELLED, { quiet: false }),
    expected: 'cancelled with 1, source runs, violation of VFIO-OUT-01',
  },
  {
    heading: 'A test suite, run on a device with a fault',
    words:
      'The suite is made from the machine of the device. The driver, as it was published, loads too late.',
    run: (stage) => suite(stage, 'mock:e810-vf?generation=a&personality=published'),
    expected: 'fail: VFIO-SES-15',
  },
];

/** The migration waits in pre-switchover long before it is cancelled, on a slow machine too. */
const CANCELLED = [
  ...['--device', 'e810-vf?personality=published'],
  ...['--capability', 'pause-before-switchover', '--cancel-after', '2500'],
];

/** Runs `stopcopy demo`: 0 when everything came out as expected. */
export async function runDemo(flags: { color?: boolean }): Promise<number> {
  const color = wantsColor(flags.color);
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-demo-'));
  const stage: Stage = { color, paint: painter(color), folder };
  let good = true;
  try {
    for (const { heading, words, run, expected } of SHOWS) {
      await print(`${stage.paint(['bold', 'underline'], heading)}\n${words}\n`);
      const found = await run(stage);
      await print('\n');
      if (found === expected) continue;
      good = false;
      await print(`unexpected: ${found}; expected: ${expected}\n\n`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return good ? EXIT.ok : EXIT.violation;
}

/** Judges the bundled logs of both hosts below `test/traces`. */
async function trace(stage: Stage, scenario: string): Promise<string> {
  return outcomeOf(await judge(stage, bundled(scenario), { quiet: false }));
}

/** Migrates between two processes, and judges what they have recorded. */
async function migration(
  stage: Stage,
  name: string,
  words: readonly string[],
  options: { quiet: boolean },
): Promise<string> {
  const file = join(stage.folder, `${name}.ndjson`);
  const all = [...words, '--record', file];
  await print(`$ stopcopy migrate ${all.map(shellWord).join(' ')}\n\n`);
  const flags = migrateFlags([...all, stage.color ? '--color' : '--no-color']);
  const report = await migrate(flags);
  await print('\n');
  const verdict = outcomeOf(await judge(stage, [{ file }], options));
  return `${report.outcome} with ${exitCode(report)}, ${report.running} runs, ${verdict}`;
}

/** Makes a suite, and runs it on a target up to the first failure. */
async function suite({ color }: Stage, target: string): Promise<string> {
  await print(`$ stopcopy test --target ${shellWord(target)} --coverage sessions --max-failures 1\n\n`);
  const report = await testTarget({
    target,
    coverage: ['sessions'],
    maxFailures: 1,
    timeout: 30_000,
    format: 'people',
    shrink: true,
    seed: 1,
    color,
  });
  return `${report.verdict}: ${report.failures.map(({ rule }) => rule).join(', ')}`;
}

function outcomeOf({ verdict, violations }: Report): string {
  const rules = [...new Set(violations.flatMap(({ rule, level }) => (level === 'note' ? [] : [rule])))];
  return rules.length === 0 ? verdict : `${verdict} of ${rules.sort().join(', ')}`;
}

async function judge({ color }: Stage, inputs: TraceInput[], { quiet }: { quiet: boolean }): Promise<Report> {
  const files = inputs.map(({ file }) => file).join(' ');
  await print(`$ stopcopy validate ${quiet ? '--quiet ' : ''}${files}\n\n`);
  const report = await validateInputs(inputs, {});
  const excerpts = await readExcerpts(report);
  const cwd = process.cwd();
  const options = { version: packageVersion(), cwd, root: cwd, rules: RULE_TEXTS, failOn: 'should' } as const;
  await print(people(report, { ...options, quiet, color, excerpts }));
  return report;
}

/** The logs of a bundled scenario, with paths as a user in the current directory would type them. */
function bundled(scenario: string): TraceInput[] {
  const inputs = ['src', 'dst'].flatMap((host) => {
    const path = packagePath(`test/traces/${scenario}/${host}.trace.log`);
    const file = [path, `${path}.gz`].find((each) => existsSync(each));
    return file === undefined ? [] : [{ file: relative(process.cwd(), file), host }];
  });
  if (inputs.length === 0) throw new InputError(`the package lacks its traces test/traces/${scenario}`);
  return inputs;
}
