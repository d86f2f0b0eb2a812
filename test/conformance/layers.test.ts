import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

/**
 * The direction of imports is a lint rule: `noRestrictedImports`, one override for each folder in
 * biome.json. Here the rule is held against offending and legal imports, in a scratch directory with
 * the same configuration (Biome prints no findings for text on standard input).
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BIOME = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');

const REFUSED: readonly (readonly [file: string, code: string])[] = [
  ['uapi', "import { x } from '../machines/index.js';"],
  ['uapi', "import { x } from '../text/words.js';"],
  ['text', "import { x } from '../uapi/vfio.js';"],
  ['text', "import { x } from 'node:fs';"],
  ['machines', "import { x } from '../automaton/compile.js';"],
  ['machines', "import type { x } from '../trace/event.js';"],
  ['machines', "import { x } from 'xstate';"],
  ['machines', "import { x } from 'xstate/graph';"],
  ['machines/xstate.ts', "import { x } from '../rules/index.js';"],
  ['automaton', "import { x } from 'xstate';"],
  ['automaton', "import { x } from '../trace/event.js';"],
  ['rules', "import { x } from '../trace/open.js';"],
  ['rules', "import { x } from '../automaton/compile.js';"],
  ['rules', "import { x } from '../validate/index.js';"],
  ['rules', "import { x } from 'node:fs/promises';"],
  ['trace', "import { x } from '../rules/index.js';"],
  ['trace', "import { x } from './readers/qemu-log.js';"],
  ['trace', "import { x } from 'node:net';"],
  ['trace/source.ts', "import { x } from './readers/index.js';"],
  ['trace/source.ts', "import { x } from '../validate/index.js';"],
  ['trace/readers', "import { x } from '../../machines/index.js';"],
  ['trace/readers', "import { x } from 'node:fs';"],
  ['trace/record', "import { x } from '../readers/index.js';"],
  ['trace/record', "import { x } from 'node:child_process';"],
  ['trace/record/run.ts', "import { x } from '../../machines/index.js';"],
  ['trace/scan', "import { x } from '../readers/qemu-log.js';"],
  ['validate', "import { x } from '../document/describe.js';"],
  ['validate', "export * from '../document/describe.js';"],
  ['validate', "export const x = () => import('../document/describe.js');"],
  ['validate', "import { x } from '../trace/readers/index.js';"],
  ['validate', "import { x } from '../cli/exit.js';"],
  ['validate', "import { x } from 'node:fs';"],
  ['validate/reporters', "import { x } from '../../rules/index.js';"],
  ['validate/reporters', "import { x } from 'node:fs';"],
  ['validate/reporters/excerpts.ts', "import { x } from '../../trace/source.js';"],
  ['explore', "import { x } from '../validate/index.js';"],
  ['explore', "import { x } from '../generate/index.js';"],
  ['explore', "import { x } from 'xstate/graph';"],
  ['explore/engine', "import { x } from '../../rules/index.js';"],
  ['explore/engine', "import { x } from 'node:fs';"],
  ['explore/counterexample', "import { x } from '../engine/search.js';"],
  ['explore/exports', "import { x } from '../engine/layout.js';"],
  ['explore/models', "import { x } from '../engine/search.js';"],
  ['learn', "import { x } from '../run/index.js';"],
  ['learn', "import { x } from '../explore/index.js';"],
  ['learn', "import { x } from 'node:net';"],
  ['document', "import { x } from '../validate/report.js';"],
  ['document', "import { x } from '../trace/open.js';"],
  ['document', "import { x } from 'node:fs';"],
  ['target', "import { x } from '../migrate/index.js';"],
  ['target', "import { x } from '../trace/open.js';"],
  ['target', "import { x } from 'node:net';"],
  ['target', "import { x } from '../validate/index.js';"],
  ['target/kernel', "import { x } from '../../transport/index.js';"],
  ['target/exec', "import { x } from '../../validate/index.js';"],
  ['suite', "import { x } from '../automaton/index.js';"],
  ['suite', "import { x } from 'node:fs';"],
  ['generate', "import { x } from '../validate/index.js';"],
  ['generate', "import { x } from '../run/index.js';"],
  ['generate', "import { x } from '../target/index.js';"],
  ['generate', "import { x } from 'xstate/graph';"],
  ['generate/emitters', "import { x } from '../../automaton/index.js';"],
  ['generate/emitters', "import { x } from 'node:fs';"],
  ['run', "import { x } from '../generate/index.js';"],
  ['run', "import { x } from 'node:fs';"],
  ['virtio', "import { x } from '../machines/index.js';"],
  ['linux', "import { x } from '../vhost-user/index.js';"],
  ['vhost', "import { x } from '../vhost-user/index.js';"],
  ['vhost', "import { x } from '../trace/open.js';"],
  ['vhost', "import { x } from 'node:fs';"],
  ['vhost-user', "import { x } from '../vhost/index.js';"],
  ['target/vhost', "import { x } from '../../vhost/index.js';"],
  ['target/kvm', "import { x } from '../../validate/index.js';"],
  ['run/vhost', "import { x } from '../../vhost-user/index.js';"],
  ['vfio-user', "import { x } from '../target/index.js';"],
  ['vfio-user', "import { x } from 'node:net';"],
  ['vmstate', "import { x } from '../migrate/index.js';"],
  ['vmstate', "import { x } from 'node:fs';"],
  ['transport', "import { x } from '../migrate/index.js';"],
  ['migrate', "import { x } from '../validate/index.js';"],
  ['migrate', "import { x } from '../trace/open.js';"],
  ['migrate', "import { x } from 'node:net';"],
  ['migrate/ram', "import { x } from '../machine.js';"],
  ['migrate/dirty', "import { x } from '../../transport/index.js';"],
  ['cli', "import { x } from '../trace/readers/qemu-log.js';"],
  ['cli/commands', "import { x } from 'xstate';"],
  ['', "import { x } from './cli/main.js';"],
];

const ALLOWED: readonly (readonly [file: string, code: string])[] = [
  ['uapi', "import { x } from './vfio.js';"],
  ['text', "import { x } from 'node:util';"],
  ['machines', "import { x } from '../uapi/vfio.js';"],
  ['machines/xstate.ts', "import { x } from 'xstate';"],
  ['automaton', "import { x } from '../machines/xstate.js';"],
  ['rules', "import type { x } from '../trace/event.js';"],
  ['rules', "import { x } from '../machines/index.js';"],
  ['trace', "import { x } from './readers/index.js';"],
  ['trace', "import { x } from '../uapi/vfio.js';"],
  ['trace/source.ts', "import { x } from 'node:fs/promises';"],
  ['trace/readers', "import { x } from '../scan/scan.js';"],
  ['trace/readers', "import { x } from './line-parser.js';"],
  ['trace/readers', "import { x } from '../../uapi/vfio.js';"],
  ['trace/record/run.ts', "import { x } from 'node:child_process';"],
  ['validate', "import { x } from '../automaton/index.js';"],
  ['validate', "import { x } from '../rules/index.js';"],
  ['validate', "import { x } from '../trace/open.js';"],
  ['validate/reporters', "import { x } from '../report.js';"],
  ['validate/reporters', "import { x } from '../../text/words.js';"],
  ['validate/reporters/excerpts.ts', "import { x } from 'node:fs';"],
  ['document', "import { x } from '../rules/rule.js';"],
  ['document', "import type { x } from '../trace/event.js';"],
  ['target', "import type { x } from '../trace/event.js';"],
  ['target', "import { x } from '../vfio-user/index.js';"],
  ['target/kernel', "import { x } from 'node:fs';"],
  ['target/exec', "import { x } from 'node:child_process';"],
  ['suite', "import { x } from '../machines/index.js';"],
  ['generate', "import { x } from '../automaton/index.js';"],
  ['generate/emitters', "import { x } from '../../suite/index.js';"],
  ['run', "import { x } from '../validate/index.js';"],
  ['run', "import { x } from '../suite/index.js';"],
  ['virtio', "import { x } from '../uapi/virtio.js';"],
  ['linux', "import { x } from 'node:fs';"],
  ['vhost', "import { x } from '../virtio/index.js';"],
  ['vhost-user', "import { x } from '../linux/index.js';"],
  ['target/vhost', "import { x } from '../../linux/index.js';"],
  ['run/vhost', "import { x } from '../../vhost/index.js';"],
  ['migrate', "import { x } from '../vhost/index.js';"],
  ['vfio-user', "import { x } from '../transport/index.js';"],
  ['vmstate', "import { x } from '../stream/cursor.js';"],
  ['transport', "import { x } from 'node:net';"],
  ['migrate', "import { x } from '../transport/index.js';"],
  ['migrate', "import { x } from '../machines/index.js';"],
  ['migrate/dirty', "import { x } from '../../uapi/device.js';"],
  ['cli/commands', "import { x } from '../../validate/index.js';"],
  ['cli/commands', "import { x } from '../../trace/readers/index.js';"],
  ['cli', "import { x } from 'node:fs';"],
  ['', "import { x } from './validate/index.js';"],
];

/** Every folder below src that holds TypeScript, but those of the command line, which may import all. */
const FOLDERS = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => dirname(path).replaceAll('\\', '/'))
  .filter((folder, index, all) => all.indexOf(folder) === index && !/^cli(\/|$)/.test(folder));

let scratch = '';
/** Sample files that Biome has found something in. */
const refused = new Set<string>();

/** Writes a sample below the scratch directory; a name without extension is a folder. */
function sample([place, code]: readonly [string, string], group: string, index: number): string {
  // A file that has an override of its own must keep its name, so each sample has a root of its own.
  const file = place.endsWith('.ts') ? place : join(place, 'sample.ts');
  const path = join(group, String(index), 'src', file);
  mkdirSync(dirname(join(scratch, path)), { recursive: true });
  writeFileSync(join(scratch, path), `${code}\n`);
  return path;
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'stopcopy-layers-'));
  const config = JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8'));
  config.vcs = { enabled: false };
  for (const override of config.overrides)
    override.includes = override.includes.map((glob: string) => `**/${glob}`);
  writeFileSync(join(scratch, 'biome.json'), JSON.stringify(config));
  REFUSED.forEach((each, index) => void sample(each, 'refused', index));
  ALLOWED.forEach((each, index) => void sample(each, 'allowed', index));
  FOLDERS.forEach((folder, index) => {
    const up = folder === '.' ? './' : '../'.repeat(folder.split('/').length);
    sample([folder, `import { x } from '${up}cli/main.js';`], 'folder', index);
  });
  const options = ['lint', '--only=style/noRestrictedImports', '--reporter=json', '--max-diagnostics=none'];
  const output = await new Promise<string>((done) => {
    execFile(process.execPath, [BIOME, ...options], { cwd: scratch }, (_error, stdout) => done(stdout));
  });
  const found: { category: string; location: { path: string } }[] = JSON.parse(output).diagnostics;
  for (const { category, location } of found) {
    if (category === 'lint/style/noRestrictedImports') refused.add(location.path.replaceAll('\\', '/'));
  }
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const isRefused = (group: string, index: number): boolean =>
  [...refused].some((path) => path.startsWith(`${group}/${index}/`));

test.each(REFUSED.map((each, index) => [...each, index] as const))(
  'refused in src/%s: %s',
  (_place, _code, index) => {
    expect(isRefused('refused', index)).toBe(true);
  },
);

test.each(ALLOWED.map((each, index) => [...each, index] as const))(
  'allowed in src/%s: %s',
  (_place, _code, index) => {
    expect(isRefused('allowed', index)).toBe(false);
  },
);

test.each(FOLDERS.map((folder, index) => [folder, index] as const))(
  'src/%s has a direction',
  (_folder, index) => {
    expect(isRefused('folder', index), 'add an override for this folder to biome.json').toBe(true);
  },
);
