import { expect, test } from 'vitest';
import { Uart } from '../../devices/uart/uart.js';
import { vfioUserDevice } from '../../src/vfio-user/index.js';
import { fuzzServer } from './fuzz.js';
import { clientOf, served, shape } from './servers.js';

/** A little of what `test/large/vfio-user-fuzz.rig.ts` does to a process by the million. */
test('changed messages neither crash nor hang a server, and the next client is served', async () => {
  const device = new Uart();
  const path = await served({ device, ...shape(4096) });
  const count = await fuzzServer(path, 3000, 11);
  expect(count.messages).toBeGreaterThanOrEqual(3000);
  // It got far enough: commands were carried out, and commands were refused.
  expect(count.replies - count.refused).toBeGreaterThan(200);
  expect(count.refused).toBeGreaterThan(200);
  device.reset();
  const live = await vfioUserDevice(await clientOf(path), 'it');
  expect(await live.getState()).toBe('RUNNING');
});
