import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeImageB,
  encodeImageB,
  encodeRecord,
  type ImageB,
  type RecordName,
  recordsOfImageB,
} from '../../devices/e810-vf/index.js';
import { stateOfImageB } from '../../devices/e810-vf/load-b.js';
import { completeImageOfStateB } from '../../devices/e810-vf/save-b.js';
import { newVfState, noStats, type VfState } from '../../devices/e810-vf/vf-state.js';
import { assignVfState } from '../../devices/e810-vf/vf-state-copy.js';
import { MAC, newVf, running } from './e810-lab.js';
import { code, pour, refusal, stateOf } from './lab.js';

const PUBLISHED = { generation: 'b', personality: 'published', vsiId: 1 } as const;
const IDENTITY = { queuePairs: 4, hostMac: MAC, vsiId: 1 };
const published = async (): Promise<Uint8Array> => stateOf(running(PUBLISHED).lab.vf);

async function outcomes(bytes: Uint8Array) {
  const { vf } = newVf(PUBLISHED);
  const fd = vf.setState('RESUMING')!;
  await pour(fd, bytes, () => 5000);
  vf.setState('STOP');
  const late = await code(() => vf.setState('RUNNING'));
  const strict = newVf({ generation: 'b', vsiId: 1 }).vf;
  strict.setState('STOP');
  const before = structuredClone(strict.state);
  const to = strict.setState('RESUMING')!;
  const error =
    (await refusal(() => pour(to, bytes, () => 100))) ?? (await refusal(() => strict.setState('STOP')));
  if (error) expect(strict.state).toEqual(before);
  return { vf, published: late, strict, uapi: error?.code };
}

const changed = (bytes: Uint8Array, at: number, ...values: number[]): Uint8Array => {
  const copy = new Uint8Array(bytes);
  copy.set(values, at);
  return copy;
};

/** The stream with a record changed, dropped or put elsewhere. */
async function records(): Promise<{ name: RecordName; bytes: Uint8Array }[]> {
  const bytes = await published();
  return [...recordsOfImageB(bytes)].map(({ layout, offset, data }) => ({
    name: layout.name as RecordName,
    bytes: new Uint8Array(bytes.subarray(offset, offset + 4 + data.length)),
  }));
}
const joined = (list: readonly { bytes: Uint8Array }[]): Uint8Array =>
  Buffer.concat(list.map(({ bytes }) => bytes));

describe('what a load looks at', () => {
  test('frames, HEADER, types, VF_INFO', async () => {
    const list = await records();
    const bytes = joined(list);
    const without = (name: RecordName) => joined(list.filter((each) => each.name !== name));
    for (const [words, damaged, late, early] of [
      ['a length that is no multiple of 4', changed(bytes, 14, 102), 'ENOSPC', 'ENOSPC'],
      ['a length beyond the stream', changed(bytes, 14, 0xfc, 0xff), undefined, 'ENOSPC'],
      ['no HEADER', without('HEADER'), 'EBADMSG', 'EBADMSG'],
      ['another magic', changed(bytes, 4, 2), 'EPROTONOSUPPORT', 'EPROTONOSUPPORT'],
      ['another version', changed(bytes, 8, 2), 'EPROTONOSUPPORT', 'EPROTONOSUPPORT'],
      ['an unknown type', changed(bytes, 120, 13), 'EPROTONOSUPPORT', 'EPROTONOSUPPORT'],
      ['a type of later versions', changed(bytes, 120, 11), 'EPROTONOSUPPORT', 'EPROTONOSUPPORT'],
      ['a type that the sender does not know', changed(bytes, 10, 10), 'EPROTONOSUPPORT', 'EPROTONOSUPPORT'],
      ['no VF_INFO', without('VF_INFO'), 'EINVAL', 'EINVAL'],
      ['no STATS', without('STATS'), undefined, 'EINVAL'],
      ['no END', without('END'), undefined, 'ENOSPC'],
      ['STATS twice', joined([...list.slice(0, -1), list.at(-2)!, list.at(-1)!]), undefined, 'EINVAL'],
      ['bytes behind END', Buffer.concat([bytes, new Uint8Array(4)]), undefined, 'EINVAL'],
    ] as const) {
      const { published, uapi } = await outcomes(damaged);
      expect([published, uapi], words).toEqual([late, early]);
    }
  });

  test('what a record holds', async () => {
    const image = decodeImageB(await published());
    const change = (part: (image: ImageB) => void): Uint8Array => {
      const copy = structuredClone(image);
      part(copy);
      return encodeImageB(copy);
    };
    for (const [words, damaged, late, early] of [
      [
        'a Tx queue that there is not',
        change((each) => (each.txQueues[3]!.queue_id = 4)),
        'EINVAL',
        'EINVAL',
      ],
      ['an Rx head outside', change((each) => (each.rxQueues[3]!.head = 64)), 'EINVAL', 'EINVAL'],
      ['an unknown RXDID', change((each) => (each.rxQueues[3]!.rxdid = 9)), 'EOPNOTSUPP', 'EINVAL'],
      [
        'an address that no number holds',
        change((each) => (each.txQueues[0]!.dma = 2n ** 60n)),
        'EINVAL',
        'EINVAL',
      ],
      ['one vector too many', change((each) => (each.msixRegs[4]!.vector_id = 5)), undefined, undefined],
      ['a vector far beyond', change((each) => (each.msixRegs[4]!.vector_id = 66)), 'EINVAL', 'EINVAL'],
      ['another look-up table', change((each) => (each.rss!.lut = [1, 2, 3])), undefined, 'EINVAL'],
      ['more vectors', change((each) => (each.vfInfo.num_msix = 9)), undefined, 'EINVAL'],
    ] as const) {
      const { published, uapi } = await outcomes(damaged);
      expect([published, uapi], words).toEqual([late, early]);
    }
  });

  test('a record that is too short is read on into what follows it', async () => {
    const list = await records();
    const short = encodeRecord('STATS', noStats()).slice(0, 12);
    short[2] = 8;
    const stats = list.findIndex(({ name }) => name === 'STATS');
    const bytes = joined([...list.slice(0, stats), { bytes: short }, ...list.slice(stats + 1)]);
    const { published: late, uapi, vf } = await outcomes(bytes);
    expect([late, uapi, vf.state.pf.stats.rx_bytes]).toEqual([undefined, 'EINVAL', 0n]);
  });
});

test('VF_INFO is applied first, wherever it stands; it resets the VF and makes the driver known again', async () => {
  const list = await records();
  const info = list.findIndex(({ name }) => name === 'VF_INFO');
  const moved = [...list.slice(0, info), ...list.slice(info + 1, -1), list[info]!, list.at(-1)!];
  const { published: late, uapi, vf, strict } = await outcomes(joined(moved));
  expect([late, uapi]).toEqual([undefined, undefined]);
  for (const { state } of [vf, strict]) {
    const { pf } = state;
    expect([pf.active, pf.version, pf.allowlist.has(8), pf.allowlist.has(112)]).toEqual([
      true,
      { major: 1, minor: 1 },
      true,
      false,
    ]);
    expect(pf.macs).toEqual([MAC]);
    expect(state.rx.slice(0, 5).map(({ enabled, vector }) => [enabled, vector])).toEqual([
      [true, 1],
      [true, 2],
      [true, 3],
      [true, 4],
      [false, null],
    ]);
    expect(state.tx.slice(0, 2).map(({ itr }) => itr)).toEqual([1, 1]);
  }
  expect([vf.state.pf.queuesEnabled, strict.state.pf.queuesEnabled]).toEqual([false, true]);
});

test('the published load writes all registers of the mailbox, the doorbell among them', async () => {
  const image = decodeImageB(await published());
  Object.assign(image.mbxRegs, { atq_bal: 0x5000, atq_len: 0x8000_0020, atq_head: 7, atq_tail: 9 });
  const { vf } = await outcomes(encodeImageB(image));
  expect(vf.state.atq).toEqual({ bal: 0x5000, bah: 0, len: 0x8000_0020, head: 7, tail: 9 });
});

describe('any state', () => {
  const u16 = fc.nat(0xffff);
  const u32 = fc.nat(0xffff_ffff);
  const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const mailbox = fc.record({ bal: u32, bah: u32, len: u32, head: u32, tail: u32 });
  const vector = fc.option(fc.nat(64));
  const idle = { configured: false, base: 0, count: 0, head: 0 };
  const ring = fc
    .record({ base: fc.nat(2 ** 50), count: fc.integer({ min: 1, max: 8160 }) })
    .chain((each) =>
      fc.record({ head: fc.nat(each.count - 1) }).map((head) => ({ ...each, ...head, configured: true })),
    );
  const common = { enabled: fc.boolean(), tail: fc.nat(0x1fff), vector, itr: fc.nat(3) };
  const rings = fc.option(ring, { nil: idle });
  const tx = fc.tuple(rings, fc.record(common)).map(([one, two]) => ({ ...one, ...two }));
  const format = fc.record({
    bufferSize: u16,
    maxFrame: u16,
    rxdid: fc.constantFrom(1, 2),
    crcStrip: fc.boolean(),
  });
  const none = { bufferSize: 0, maxFrame: 0, rxdid: 0, crcStrip: false };
  const rx = fc.tuple(tx, format).map(([queue, of]) => ({ ...queue, ...(queue.configured ? of : none) }));
  const fresh = newVfState(IDENTITY);
  const beyond = (queue: object) => Array.from({ length: 12 }, () => structuredClone(queue));
  const pf = fc.record({
    init: fc.boolean(),
    active: fc.boolean(),
    queuesEnabled: fc.boolean(),
    disabled: fc.boolean(),
    unicastPromisc: fc.boolean(),
    multicastPromisc: fc.boolean(),
    version: fc.record({ major: u32, minor: u32 }),
    caps: u32,
    allowlist: fc.uniqueArray(fc.nat(113)).map((opcodes) => new Set(opcodes.sort((a, b) => a - b))),
    hostMac: bytes(6),
    deviceMac: bytes(6),
    macSetByHost: fc.boolean(),
    trusted: fc.boolean(),
    spoofCheck: fc.boolean(),
    linkForced: fc.boolean(),
    linkUp: fc.boolean(),
    portVlan: fc.record({ tpid: u16, vid: u16, prio: fc.nat(7) }),
    minTxRate: u32,
    maxTxRate: u32,
    macs: fc.array(bytes(6), { maxLength: 20 }),
    vlans: fc.array(fc.record({ tpid: u16, vid: u16 }), { maxLength: 10 }),
    innerStrip: fc.boolean(),
    outerStrip: fc.boolean(),
    vlanV2Caps: bytes(40),
    rss: fc.record({ key: bytes(52), lut: bytes(64), hfunc: fc.nat(255), hashcfg: u64 }),
    stats: fc.record(Object.fromEntries(Object.keys(noStats()).map((name) => [name, u64]))),
    queuePairs: fc.constant(4),
    vectors: fc.constant(5),
    vsiId: fc.constant(1),
    guestVsiId: u16,
    log: fc.constant([]),
    logging: fc.constant(false),
  });
  const registers = fc.array(u32, { minLength: 65, maxLength: 65 }).map((each) => Uint32Array.from(each));
  const four = <T>(each: fc.Arbitrary<T>) => fc.array(each, { minLength: 4, maxLength: 4 });
  const state = fc.record({
    atq: mailbox,
    arq: mailbox,
    rstat: fc.nat(2),
    icr01: u32,
    icr0Ena: u32,
    dynCtl: registers,
    itr: four(registers),
    pending: fc.array(fc.nat(1), { minLength: 65, maxLength: 65 }).map((each) => Uint8Array.from(each)),
    tx: four(tx).map((queues) => [...queues, ...beyond(fresh.tx[0]!)]),
    rx: four(rx).map((queues) => [...queues, ...beyond(fresh.rx[0]!)]),
    filtersInstalled: fc.constant(true),
    pf,
  }) as unknown as fc.Arbitrary<VfState>;

  test('is carried by the records, byte for byte the same image again', () => {
    fc.assert(
      fc.property(state, (each) => {
        const image = completeImageOfStateB(each);
        const back = stateOfImageB(decodeImageB(encodeImageB(image)), IDENTITY);
        expect(back).toEqual(each);
        expect(completeImageOfStateB(back)).toEqual(image);
      }),
      { numRuns: 25 },
    );
  });

  test('is carried from device to device', async () => {
    await fc.assert(
      fc.asyncProperty(state, async (each) => {
        const { vf } = newVf({ generation: 'b', vsiId: 1 });
        vf.setState('STOP');
        assignVfState(vf.state, { ...each, filtersInstalled: false });
        const stream = await stateOf(vf);
        const other = newVf({ generation: 'b', vsiId: 1 }).vf;
        await pour(other.setState('RESUMING')!, stream, () => 333);
        other.setState('STOP');
        expect(other.state).toEqual(vf.state);
      }),
      { numRuns: 8 },
    );
  });
});
