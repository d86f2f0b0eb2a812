import { expect, test } from 'vitest';
import { MODELS } from '../../../src/explore/models/index.js';
import { modelOptions } from '../../../src/explore/models/options.js';
import { engineOpinion, secondOpinions, silent } from '../exports/opinions.js';
const cases = [
  ['mailbox', { pages: 2, faults: 1 }], ['mailbox', { pages: 3, faults: 1, variant: 'published-a' }], ['mailbox', {}], ['mailbox', {variant: 'replay-late'}],
  ['svq-switch', { devices: 1, pages: 1, faults: 0 }], ['svq-switch', { devices: 3, pages: 1, faults: 1 }], ['svq-switch', { variant: 'qemu-11.1' }],['svq-switch', { variant: 'switch-without-stop', pages: 1 }],
  ['vhost-log-switch', { devices: 1, pages: 1 }], ['vhost-log-switch', { devices: 2, pages: 1 }], ['vhost-log-switch', { devices: 1, pages: 1, variant: 'log-all-forgotten' }],
] as const;
test.each(cases)('%s %j', async (name, given) => {
  const entry = MODELS.find((e) => e.name === name)!;
  const model = entry.make(modelOptions(entry, given as any));
  const own = await engineOpinion(model);
  for await (const o of secondOpinions(model, own.states)) {
    console.log(name, JSON.stringify(given), o.by, o.states, o.edges, o.broken?.join(' '), o.seconds.toFixed(1));
    expect([o.states, o.edges]).toEqual([own.states, own.edges]);
    if (o.broken) expect(o.broken).toEqual(own.broken.filter((id) => !silent(model, o.by).includes(id)));
  }
}, 600_000);
