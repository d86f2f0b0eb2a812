import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { precopy } from '../../../src/explore/models/precopy.js';
import { svqSwitch } from '../../../src/explore/models/svq-switch.js';
import { vhostLogSwitch } from '../../../src/explore/models/vhost-log-switch.js';
import { validateInputs } from '../../../src/validate/index.js';
import { judged } from './runs.js';

/** Small copies of recordings, which are always there. */
const TRACES = new URL('../../traces/', import.meta.url).pathname;

test.each([
  { entry: vhostLogSwitch, id: 'no-page-lost', recorded: 'vhost', unseen: [] },
  { entry: svqSwitch, id: 'shadow-off', recorded: 'vhost', unseen: [] },
  // QEMU does not log the data_fd of a request: that the driver kept its state shows in the model's trace only.
  { entry: precopy, id: 'loads-without-fault', recorded: 'qemu-11.1', unseen: ['VFIO-FSM-10'] },
])(
  '$entry.name: the validator says the same of the counterexample as of the recording',
  async ({ entry, id, recorded, unseen }) => {
    const { name, seen } = entry.variants.find((each) => each.seen !== undefined)!;
    const folder = `${TRACES}${recorded}/${seen!.slice(seen!.indexOf('/') + 1)}`;
    const logs = readdirSync(folder).filter((file) => /\.trace\.log(\.gz)?$/.test(file));
    const { violations } = await validateInputs(logs.map((file) => ({ file: `${folder}/${file}` })));
    const rules = violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule);
    expect(rules.length).toBeGreaterThan(0);
    expect(await judged(entry, name, id)).toEqual([...new Set([...rules, ...unseen])].sort());
  },
);
