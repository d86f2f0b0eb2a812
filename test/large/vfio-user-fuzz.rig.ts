import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../src/transport/index.js';
import { VfioUserClient, vfioUserDevice } from '../../src/vfio-user/index.js';
import { Running } from '../support/processes.js';
import { fuzzServer } from '../vfio-user/fuzz.js';
import { socketFolder } from '../vfio-user/servers.js';

/** Number of changed messages. */
const COUNT = Number(process.env.STOPCOPY_LARGE_MESSAGES ?? 1_000_000);
/** Messages of one turn. */
const TURN = 20_000;
/** What the server's memory may grow by after the first turn, in bytes: the young generations of its two heaps. */
const MOST_GROWTH = 128 << 20;

const DEVICES = ['e810-vf?precopy&dma-logging', 'uart'];

test.each(DEVICES)(
  `${COUNT} changed messages neither crash nor hang the server of %s, nor grow it`,
  {
    timeout: 3_600_000,
  },
  async (device) => {
    const path = join(socketFolder(), 'vf.sock');
    const server = new Running(['serve', '--device', device, '--vfio-user', path, '--timeout', '200']);
    await server.says(/serving/);
    const share = Math.ceil(COUNT / DEVICES.length);
    const total = { messages: 0, connections: 0, replies: 0, refused: 0, closed: 0, slowest: 0, growth: 0 };
    const begun = performance.now();
    let first = 0;
    for (let seed = 1; total.messages < share; seed++) {
      const turn = await fuzzServer(path, Math.min(TURN, share - total.messages), seed);
      for (const key of ['messages', 'connections', 'replies', 'refused', 'closed'] as const)
        total[key] += turn[key];
      total.slowest = Math.max(total.slowest, turn.slowest);
      const memory = memoryOf(server.child.pid!);
      first ||= memory;
      total.growth = Math.max(total.growth, memory - first);
    }
    const rate = Math.round(total.messages / ((performance.now() - begun) / 1000));
    console.log(device, { ...total, rate });
    expect(total.growth).toBeLessThan(MOST_GROWTH);
    const client = await VfioUserClient.connect(await connect({ kind: 'unix', path }));
    expect(await (await vfioUserDevice(client, device)).getState()).toBe('RUNNING');
    client.close();
    server.child.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0 });
  },
);

/** Resident memory of a process, in bytes. */
function memoryOf(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
  return Number(pages) * 4096;
}
