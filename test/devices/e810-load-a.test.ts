import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeImageA,
  encodeImageA,
  encodeShortestImageA,
  type ImageA,
  imageASize,
} from '../../devices/e810-vf/index.js';
import { type LabGuest, newVf, portable, running, transfer } from './e810-lab.js';
import { code, pour, refusal, stateOf } from './lab.js';

const PUBLISHED = { generation: 'a', personality: 'published' } as const;
const image = async (): Promise<ImageA> => decodeImageA(await stateOf(running(PUBLISHED).lab.vf));

/** What comes of loading bytes into a fresh VF of each personality: errno at the start, and in RESUMING or behind it. */
async function outcomes(bytes: Uint8Array, options = {}) {
  const { vf } = newVf({ ...PUBLISHED, ...options });
  const fd = vf.setState('RESUMING')!;
  await pour(fd, bytes, () => 5000);
  vf.setState('STOP');
  const published = await code(() => vf.setState('RUNNING'));
  const strict = newVf({ generation: 'a', ...options }).vf;
  strict.setState('STOP');
  const before = structuredClone(strict.state);
  const to = strict.setState('RESUMING')!;
  const error =
    (await refusal(() => pour(to, bytes, () => 500))) ?? (await refusal(() => strict.setState('STOP')));
  if (error) expect(strict.state).toEqual(before);
  return { vf, published, strict, uapi: error?.code };
}

const changed = (bytes: Uint8Array, at: number, ...values: number[]): Uint8Array => {
  const copy = new Uint8Array(bytes);
  copy.set(values, at);
  return copy;
};

describe('what a load looks at, in its order', () => {
  test.each([
    ['a header that is cut', (bytes: Uint8Array) => bytes.slice(0, 3415), 'EINVAL'],
    ['another magic', (bytes: Uint8Array) => changed(bytes, 0, 2), 'EINVAL'],
    ['another version', (bytes: Uint8Array) => changed(bytes, 4, 2), 'EINVAL'],
    ['other Tx queues', (bytes: Uint8Array) => changed(bytes, 20, 3), 'EINVAL'],
    ['other Rx queues', (bytes: Uint8Array) => changed(bytes, 22, 5), 'EINVAL'],
    ['a capability that is not offered', (bytes: Uint8Array) => changed(bytes, 19, 0x10), 'EINVAL'],
    ['a total_size beyond the stream', (bytes: Uint8Array) => changed(bytes, 10, 2), 'EINVAL'],
  ])('%s', async (_words, damage, expected) => {
    const { published, uapi, vf } = await outcomes(damage(encodeImageA(await image())));
    expect([published, uapi]).toEqual([expected, expected]);
    // Nothing was done before the match.
    expect([vf.state.atq.len, vf.state.pf.log]).toEqual([0, []]);
  });

  test('a slot that runs over the end, a message that the PF refuses, a Tx head outside of its ring', async () => {
    const whole = await image();
    const bytes = encodeImageA(whole);
    const firstLength = 3414 + 4;
    const overrun = await outcomes(
      changed(bytes.slice(0, imageASize(whole.messages)), firstLength, 0xff, 0xff),
    );
    expect([overrun.published, overrun.uapi]).toEqual(['ENOBUFS', 'ENOBUFS']);
    const messages = whole.messages.map((each) => ({ ...each }));
    messages[3] = { opcode: 25, payload: new Uint8Array(3) };
    const refused = await outcomes(encodeImageA({ ...whole, messages }));
    expect([refused.published, refused.uapi]).toEqual(['EIO', 'EIO']);
    // Half applied: what stood before the message is done.
    expect(refused.vf.state.pf.log.map(({ opcode }) => opcode)).toEqual([1, 3, 23]);
    expect(refused.vf.state.pf.active).toBe(true);
    const tx_head = whole.tx_head.slice();
    tx_head[1] = 64;
    const outside = await outcomes(encodeImageA({ ...whole, tx_head }));
    expect([outside.published, outside.uapi]).toEqual(['EINVAL', 'EINVAL']);
    const rx_head = whole.rx_head.slice();
    rx_head[0] = 64;
    const unseen = await outcomes(encodeImageA({ ...whole, rx_head }));
    expect([unseen.published, unseen.uapi]).toEqual([undefined, 'EINVAL']);
  });

  test('more messages than the log holds cannot be replayed', async () => {
    const whole = await image();
    const many = Array.from({ length: 1001 }, () => whole.messages[0]!);
    const { published, uapi } = await outcomes(encodeImageA({ ...whole, messages: many }));
    expect([published, uapi]).toEqual(['EIO', 'EIO']);
  });

  test('a list that ends early is taken as published, and refused by uapi', async () => {
    const bytes = encodeImageA(await image());
    const { published, uapi, vf } = await outcomes(changed(bytes, 3414 + 16, 0, 0, 0, 0));
    expect([published, uapi]).toEqual([undefined, 'EINVAL']);
    expect(vf.state.pf.log.length).toBe(1);
  });
});

test('registers: the mailbox to the PF is not rung as published, and goes on as uapi', async () => {
  const whole = { ...(await image()), asq_bal: 0x5000, asq_len: 0x8000_0020, asq_head: 7, asq_tail: 9 };
  whole.int_dyn_ctl = whole.int_dyn_ctl.map((_, vector) => 0x18 + 0x20 * vector);
  const { vf, strict, published, uapi } = await outcomes(encodeImageA(whole));
  expect([published, uapi]).toEqual([undefined, undefined]);
  expect(vf.state.atq).toEqual({ bal: 0x5000, bah: 0, len: 0x8000_0020, head: 7, tail: 7 });
  expect(strict.state.atq).toEqual({ ...vf.state.atq, tail: 9 });
  for (const { state } of [vf, strict]) {
    expect([...state.dynCtl]).toEqual(whole.int_dyn_ctl);
    expect(state.rx.slice(0, 5).map(({ tail }) => tail)).toEqual([63, 63, 63, 63, 0]);
    expect(state.rx.slice(0, 2).map(({ head }) => head)).toEqual([5, 0]);
    expect(state.tx.slice(0, 3).map(({ head, tail }) => [head, tail])).toEqual([
      [5, 5],
      [5, 5],
      [0, 0],
    ]);
  }
});

test('a Tx queue that is not enabled stays at 0 as published, and where it was as uapi', async () => {
  const { lab, guest } = running({ generation: 'a' });
  guest.select('DISABLE_QUEUES', 2);
  const bytes = await stateOf(lab.vf);
  const { vf, strict } = await outcomes(bytes);
  expect([vf.state.tx[1]!.head, strict.state.tx[1]!.head]).toEqual([0, 5]);
});

test('what stands behind total_size is looked at by uapi, byte by byte', async () => {
  const stream = await stateOf(running({ generation: 'a' }).lab.vf);
  const whole = decodeImageA(stream);
  const at = imageASize(whole.messages);
  expect(encodeShortestImageA(whole)).toEqual(new Uint8Array(stream));
  for (const [damaged, problem] of [
    [changed(stream, at, 0), 'not-zero'],
    [stream.slice(0, -1), 'truncated'],
    [changed(stream, at + 8, 9), 'length'],
    [changed(stream, at + 8, 6), 'length'],
    [changed(stream, at + 4, stream[at + 4]! - 4), 'truncated'],
    [Buffer.concat([stream, Uint8Array.of(1)]), 'not-zero'],
    [changed(stream, stream.length - 5, 0x10), 'not-zero'],
  ] as const) {
    const { uapi } = await outcomes(damaged);
    expect(uapi, problem).toBeDefined();
    expect(() => decodeImageA(damaged)).toThrow(problem);
  }
  const { vfInfo } = whole.extension!;
  const others = { ...whole, extension: { ...whole.extension!, vfInfo: { ...vfInfo, num_msix: 6 } } };
  expect((await outcomes(encodeImageA(others))).uapi).toBe('EINVAL');
});

describe('a log that has become long', () => {
  test('is made shorter, and makes the same VF', async () => {
    const { lab, guest } = running({ generation: 'a', trusted: true });
    const { state } = lab.vf;
    guest.select('DISABLE_QUEUES', 4);
    guest.promisc(2);
    guest.say('DISABLE_VLAN_STRIPPING');
    for (let round = 0; round < 1200; round++) {
      expect(guest.vlan(round % 3 === 0 ? 'DEL_VLAN' : 'ADD_VLAN', 1 + (round % 50))).toBe(0);
      if (round % 7 === 0)
        expect(guest.mac('ADD_ETH_ADDR', Uint8Array.of(2, 0, 0, 0, round & 3, round & 0xff))).toBe(0);
      lab.vf.tick(1);
    }
    expect(state.pf.log.length).toBeLessThan(600);
    const other = newVf({ generation: 'a', vsiId: 55 });
    await transfer(lab.vf, other.vf);
    expect(portable(other.vf.state)).toEqual(portable(state));
    expect(state.pf.vlans.length).toBeGreaterThan(20);
    expect(state.pf.macs.length).toBeGreaterThan(100);
  });

  test('fits into the file however often queues were set up', async () => {
    const { lab, guest } = running({ generation: 'a' });
    for (let round = 0; round < 320; round++) expect(guest.configure(4)).toBe(0);
    expect(imageASize(lab.vf.state.pf.log)).toBeGreaterThan(131072);
    const other = newVf({ generation: 'a' });
    await transfer(lab.vf, other.vf);
    expect(other.vf.state).toEqual(lab.vf.state);
    expect(lab.vf.state.pf.log.length).toBeLessThan(12);
  });
});

describe('any VF that messages can make', () => {
  const action = fc.oneof(
    fc.record({ do: fc.constant('mac'), add: fc.boolean(), mac: fc.nat(5) }),
    fc.record({ do: fc.constant('vlan'), add: fc.boolean(), vid: fc.nat(9) }),
    fc.record({ do: fc.constant('promisc'), flags: fc.nat(3) }),
    fc.record({ do: fc.constant('queues'), enable: fc.boolean(), map: fc.integer({ min: 1, max: 15 }) }),
    fc.record({ do: fc.constant('configure'), queues: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ do: fc.constant('key'), seed: fc.nat(255) }),
    fc.record({ do: fc.constant('hashcfg'), value: fc.bigInt(0n, 2n ** 64n - 1n) }),
    fc.record({ do: fc.constant('strip'), on: fc.boolean() }),
    fc.record({
      do: fc.constant('write'),
      offset: fc.constantFrom(
        0,
        4,
        0x2000,
        0x2004,
        0x2800,
        0x3800,
        0x4c00,
        0x5000,
        0x5c00,
        0x6000,
        0x8000,
        0x7000,
      ),
      value: fc.integer({ min: 0, max: 0xffff_ffff }),
    }),
  );
  const act = (guest: LabGuest, each: Record<string, unknown> & { do: string }): void => {
    if (each.do === 'mac')
      guest.mac(each.add ? 'ADD_ETH_ADDR' : 'DEL_ETH_ADDR', Uint8Array.of(2, 0, 0, 0, 0, each.mac as number));
    if (each.do === 'vlan') guest.vlan(each.add ? 'ADD_VLAN' : 'DEL_VLAN', each.vid as number);
    if (each.do === 'promisc') guest.promisc(each.flags as number);
    if (each.do === 'queues')
      guest.select(each.enable ? 'ENABLE_QUEUES' : 'DISABLE_QUEUES', each.map as number);
    if (each.do === 'configure') guest.configure(each.queues as number);
    if (each.do === 'key') guest.rssKey(each.seed as number);
    if (each.do === 'hashcfg') guest.hashcfg(each.value as bigint);
    if (each.do === 'strip') guest.say(each.on ? 'ENABLE_VLAN_STRIPPING' : 'DISABLE_VLAN_STRIPPING');
    if (each.do === 'write') guest.write(each.offset as number, each.value as number);
  };

  test.each(['a', 'b'] as const)('generation %s: is the same on a host that differs', async (generation) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { maxLength: 25 }),
        fc.boolean(),
        fc.constantFrom(12, 55),
        async (actions, trusted, vsiId) => {
          const { lab, guest } = running({ generation, trusted });
          for (const each of actions) act(guest, each);
          const other = newVf({ generation, vsiId });
          await transfer(lab.vf, other.vf);
          expect(portable(other.vf.state)).toEqual(portable(lab.vf.state));
          if (vsiId === 12) expect(other.vf.state).toEqual(lab.vf.state);
        },
      ),
      { numRuns: 25 },
    );
  });
});
