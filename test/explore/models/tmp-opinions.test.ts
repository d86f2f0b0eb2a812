import { test, expect } from 'vitest';
import { multifd } from '../../../src/explore/models/multifd.js';
import { postcopy } from '../../../src/explore/models/postcopy.js';
import { switchoverAck } from '../../../src/explore/models/switchover-ack.js';
import { engineOpinion, secondOpinions } from '../exports/opinions.js';
import { make } from './runs.js';
test.each([[switchoverAck, { devices: 2 }], [switchoverAck, {devices: 3, faults: 2}], [postcopy, {pages: 1, faults: 1}], [postcopy, {}], [multifd, { devices: 1, pages: 1 }],
 [switchoverAck, {variant: 'qemu-11.0'}], [postcopy, {variant: 'qemu-10.1'}], [postcopy, {variant: 'requests-not-repeated', pages: 1}]] as any)('%o', async (entry: any, given: any) => {
  const model = make(entry, given);
  const engine = await engineOpinion(model);
  console.log(entry.name, JSON.stringify(given), JSON.stringify(engine));
  for await (const o of secondOpinions(model, engine.states)) { console.log(JSON.stringify(o)); expect([o.states, o.edges]).toEqual([engine.states, engine.edges]); if (o.by === 'Spin') expect(o.broken).toEqual(engine.broken); }
}, 400000);
