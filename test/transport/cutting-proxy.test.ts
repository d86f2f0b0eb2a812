import { afterEach, describe, expect, it } from 'vitest';
import { acceptMigration, type Channel, connect, type Listener, listen } from '../../src/transport/index.js';
import { type CuttingProxy, cuttingProxy, type Faults } from '../support/cutting-proxy.js';
import { all, fresh, pattern, until } from './scratch.js';

let listener: Listener;
let proxy: CuttingProxy;
let channels: Channel[] = [];
afterEach(async () => {
  for (const channel of channels) channel.destroy();
  channels = [];
  await proxy.close();
  await listener.close();
});

async function joined(
  faults: Faults | ((connection: number) => Faults) = {},
): Promise<{ near: Channel; far: Channel }> {
  listener = await listen(`unix:${fresh('t')}`);
  const { address } = listener as { address: { path: string } };
  proxy = await cuttingProxy(`unix:${fresh('p')}`, `unix:${address.path}`, faults);
  const [near, far] = await Promise.all([connect(proxy.uri), listener.accept()]);
  channels.push(near, far);
  return { near, far };
}

/** All bytes until the end, good or bad. */
async function heard(channel: Channel): Promise<{ bytes: Buffer; broken: boolean }> {
  const blocks: Buffer[] = [];
  const broken = await channel
    .receive((block) => void blocks.push(Buffer.from(block)))
    .then(
      () => false,
      () => true,
    );
  return { bytes: Buffer.concat(blocks), broken };
}

describe('a connection that is cut', () => {
  it('passes all on where nothing is to go wrong', async () => {
    const { near, far } = await joined();
    const bytes = pattern(1_000_000);
    const received = all(far);
    await near.write(bytes);
    await near.end();
    expect((await received).equals(bytes)).toBe(true);
    await far.write(pattern(1000));
    await far.end();
    expect((await all(near)).equals(pattern(1000))).toBe(true);
    await until(() => proxy.counts[0]?.back === 1000, 'the answer is counted');
    expect(proxy.counts).toEqual([{ forward: 1_000_000, back: 1000 }]);
  });

  it.each([0, 1, 4, 65_535, 65_536, 300_000, 999_999])(
    'lets %d bytes through, and no more',
    async (cutAfter) => {
      const { near, far } = await joined({ forward: { cutAfter } });
      const bytes = pattern(1_000_000);
      const sending = (async () => {
        for (let at = 0; at < bytes.length; at += 50_000) await near.write(bytes.subarray(at, at + 50_000));
      })().catch(() => {});
      const there = await heard(far);
      expect(there.bytes.equals(bytes.subarray(0, cutAfter))).toBe(true);
      const back = await heard(near);
      expect(back.bytes.length).toBe(0);
      await sending;
      // A writer that goes on learns of it.
      await expect(
        (async () => {
          for (let count = 0; count < 10; count++) {
            await near.write(new Uint8Array(100_000));
            await new Promise((resolve) => setImmediate(resolve));
          }
        })(),
      ).rejects.toThrow(/the other side has/);
    },
  );

  it('cuts the way back', async () => {
    const { near, far } = await joined({ back: { cutAfter: 100 } });
    await near.write(pattern(1000));
    const there = heard(far);
    await until(() => proxy.counts[0]?.forward === 1000, 'all is there');
    await far.write(pattern(1000));
    expect((await heard(near)).bytes.length).toBe(100);
    expect((await there).bytes.length).toBe(1000);
  });

  it('changes one byte', async () => {
    const { near, far } = await joined({ forward: { corrupt: { at: 200_001, mask: 0x80 } } });
    const bytes = pattern(300_000);
    const received = all(far);
    await near.write(bytes);
    await near.end();
    const got = await received;
    expect(got[200_001]).toBe(bytes[200_001]! ^ 0x80);
    got[200_001]! ^= 0x80;
    expect(got.equals(bytes)).toBe(true);
  });

  it('breaks one channel of several', async () => {
    listener = await listen(`unix:${fresh('t')}`);
    const { address } = listener as { address: { path: string } };
    proxy = await cuttingProxy(`unix:${fresh('p')}`, `unix:${address.path}`, (connection) =>
      connection === 1 ? { forward: { cutAfter: 2 } } : { forward: { delay: 1 } },
    );
    const work = acceptMigration(listener, { channels: 1, timeLimit: 300 });
    for (let count = 0; count < 2; count++) {
      const channel = await connect(proxy.uri);
      channels.push(channel);
      await channel.write(Buffer.from('QEVM'));
      await until(() => proxy.counts.length === count + 1, 'the connection has come');
    }
    await expect(work).rejects.toThrow(/begins with 0x5145,/);
  });

  it('cuts all at any time', async () => {
    const { near, far } = await joined();
    const received = heard(far);
    const sending = (async () => {
      for (;;) await near.write(new Uint8Array(100_000));
    })();
    setTimeout(() => proxy.cut(), 20);
    await expect(sending).rejects.toThrow(/the other side has/);
    expect((await received).bytes.length).toBeGreaterThan(0);
  });
});
