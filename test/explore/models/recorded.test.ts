import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { svqSwitch } from '../../../src/explore/models/svq-switch.js';
import { vhostLogSwitch } from '../../../src/explore/models/vhost-log-switch.js';
import { validateInputs } from '../../../src/validate/index.js';
import { judged } from './runs.js';

/** Recordings of vhost: small copies, which are always there. */
const RECORDED = new URL('../../traces/vhost/', import.meta.url).pathname;

test.each([
  { entry: vhostLogSwitch, id: 'no-page-lost' },
  { entry: svqSwitch, id: 'shadow-off' },
])(
  '$entry.name: the validator says the same of the counterexample as of the recording',
  async ({ entry, id }) => {
    const { name, seen } = entry.variants.find((each) => each.seen !== undefined)!;
    const folder = RECORDED + seen!.slice(seen!.indexOf('/') + 1);
    const logs = readdirSync(folder).filter((file) => /\.trace\.log(\.gz)?$/.test(file));
    const { violations } = await validateInputs(logs.map((file) => ({ file: `${folder}/${file}` })));
    const rules = violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule);
    expect(rules.length).toBeGreaterThan(0);
    expect(await judged(entry, name, id)).toEqual([...new Set(rules)].sort());
  },
);
