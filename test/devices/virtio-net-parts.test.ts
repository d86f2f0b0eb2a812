import { describe, expect, test } from 'vitest';
import { Iotlb, IovaSpace, MemoryTable, readFrom, writeTo } from '../../devices/virtio-net/address-space.js';
import { CONDUCT, clamped } from '../../devices/virtio-net/conduct.js';
import { NetSettings } from '../../devices/virtio-net/index.js';
import { RingLog } from '../../devices/virtio-net/log.js';
import { loadSettings, saveSettings } from '../../devices/virtio-net/state.js';
import {
  DeviceError,
  VHOST_ACCESS,
  VHOST_IOTLB,
  type VhostWrite,
  VIRTIO_NET_ACK,
  VIRTIO_NET_CTRL,
  VIRTIO_NET_S,
} from '../../src/uapi/index.js';

const memory = { bytes: new Uint8Array(0x4000) };
const UADDR = 0x7000_0000_0000;
/** Two regions that follow on each other, and the first one again at another address. */
const table = new MemoryTable([
  { gpa: 0x8000, size: 0x2000, uaddr: UADDR, offset: 0, memory },
  { gpa: 0xa000, size: 0x2000, uaddr: UADDR + 0x10_0000, offset: 0x2000, memory },
  { gpa: 0x4_0000, size: 0x2000, uaddr: UADDR, offset: 0, memory },
]);

describe('addresses', () => {
  test('a run over two regions is two pieces; one that leaves them is none', () => {
    expect(table.byGpa(0x9ff0, 0x20).map(({ bytes }) => bytes.length)).toEqual([0x10, 0x10]);
    expect(() => table.byGpa(0xbff0, 0x20)).toThrow(DeviceError);
    expect(() => table.byGpa(2 ** 53, 1)).toThrow(DeviceError);
    expect(() => new MemoryTable([{ gpa: 0, size: 0x5000, uaddr: 0, offset: 0, memory }])).toThrow(
      DeviceError,
    );
  });

  test('a user address has every guest physical address that shows it', () => {
    expect(table.gpasOf(UADDR + 0x1ff0, 0x20)).toEqual([
      { address: 0x9ff0, length: 0x10 },
      { address: 0x4_1ff0, length: 0x10 },
    ]);
    expect(table.gpasOf(1, 16)).toEqual([]);
  });

  test('an IOTLB translates piece by piece, by access, and writes all or nothing', () => {
    const iotlb = new Iotlb();
    const space = new IovaSpace(
      () => iotlb,
      () => table,
    );
    const map = (iova: number, uaddr: number, perm: number) =>
      iotlb.take({ type: VHOST_IOTLB.UPDATE, asid: 0, iova, size: 0x1000, uaddr, perm }, true);
    map(0x1000, UADDR + 0x1000, VHOST_ACCESS.RW);
    map(0x2000, UADDR, VHOST_ACCESS.RO);
    expect(() => map(0x1800, UADDR, VHOST_ACCESS.RW)).toThrow('EEXIST');
    const into = new Uint8Array(0x20);
    readFrom(space, 0x1ff0, into);
    expect(() => writeTo(space, 0x1ff0, into.fill(9))).toThrow('EFAULT');
    expect(memory.bytes.every((byte) => byte === 0)).toBe(true);
    // A mapping that is touched goes as a whole.
    iotlb.take({ type: VHOST_IOTLB.INVALIDATE, asid: 0, iova: 0x1800, size: 1, uaddr: 0, perm: 0 }, true);
    expect(iotlb.entries).toHaveLength(1);
  });
});

describe('the log', () => {
  const parts = { desc: UADDR + 0x1000, used: UADDR, logGuestAddr: 0x8000 };
  const on = { logAll: true, ring: true, logAllAtStart: false, ringAtStart: false };

  function ringLog(gates = on, cache = 0, bytes = 16) {
    const writes: [what: VhostWrite, address: number, length: number][] = [];
    const overruns: number[] = [];
    const observer = {
      write: ({ what, address, length }: { what: VhostWrite; address: number; length: number }) =>
        void writes.push([what, address, length]),
      overrun: (page: number) => void overruns.push(page),
    };
    const log = new RingLog(0, CONDUCT, observer, cache);
    const bits = new Uint8Array(bytes);
    log.replace(bits);
    log.start({ gates: () => gates, translate: null, table: () => table, parts: () => parts }, 4 + 8 * 8);
    const pages = () =>
      [...bits].flatMap((byte, at) =>
        [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => at * 8 + bit),
      );
    return { log, writes, overruns, pages, bits };
  }

  test('of a buffer what was written, descriptor by descriptor', () => {
    const writable = [
      { address: 0x8ff0, length: 0x10 },
      { address: 0xa000, length: 0x1800 },
    ];
    expect(clamped({ writable, written: 0x11 })).toEqual([writable[0], { address: 0xa000, length: 1 }]);
    const { log, pages, writes } = ringLog();
    log.buffers([{ writable, written: 0x10 }]);
    expect(pages()).toEqual([8]);
    log.buffers([{ writable, written: 0x1011 }]);
    expect(pages()).toEqual([8, 10, 11]);
    expect(writes).toHaveLength(3);
    log.buffers([{ writable, written: 0 }]);
    expect(writes).toHaveLength(3);
  });

  test('two gates, and neither stands for the other', () => {
    const buffer = [{ writable: [{ address: 0xa000, length: 8 }], written: 8 }];
    const flagOnly = ringLog({ ...on, logAll: false });
    flagOnly.log.buffers(buffer);
    flagOnly.log.ring('used_idx', 2, 2);
    expect(flagOnly.pages()).toEqual([8]);
    const buffersOnly = ringLog({ ...on, ring: false });
    buffersOnly.log.buffers(buffer);
    buffersOnly.log.ring('used_idx', 2, 2);
    expect(buffersOnly.pages()).toEqual([10]);
  });

  test('the used part by log_guest_addr, descriptors by where they are', () => {
    const { log, writes, pages } = ringLog();
    log.ring('avail_event', 0x1004, 2);
    log.ring('desc', 0x10, 16);
    expect(writes).toEqual([
      ['avail_event', 0x9004, 2],
      ['desc', 0x9010, 16],
      ['desc', 0x4_1010, 16],
    ]);
    expect(pages()).toEqual([9, 65]);
  });

  test('with an IOTLB whole descriptors at every address, and no log_guest_addr', () => {
    const { log, writes, pages } = ringLog();
    const translate = (iova: number, length: number) => [{ address: iova - 0x1000 + UADDR, length }];
    log.start(
      { gates: () => on, translate, table: () => table, parts: () => ({ ...parts, used: 0x1000 }) },
      68,
    );
    log.buffers([{ writable: [{ address: 0x1000, length: 0x2000 }], written: 4 }]);
    expect(writes).toEqual([
      ['buffer', 0x8000, 4],
      ['buffer', 0x4_0000, 4],
    ]);
    expect(pages()).toEqual([8, 9, 64, 65]);
  });

  test('a bit behind the end is told and not set; marks held back come with a new log, into the old one', () => {
    const short = ringLog(on, 0, 1);
    short.log.ring('used_idx', 2, 2);
    expect(short.overruns).toEqual([8]);
    expect(short.pages()).toEqual([]);
    const held = ringLog(on, 8);
    held.log.ring('used_idx', 2, 2);
    expect(held.pages()).toEqual([]);
    held.log.replace(new Uint8Array(16));
    expect(held.pages()).toEqual([8]);
  });
});

describe('settings', () => {
  const made = () => new NetSettings({ mac: Uint8Array.of(2, 0, 0, 0, 0, 9), queuePairs: 4 });
  const { RX, MAC, VLAN, ANNOUNCE, MQ, GUEST_OFFLOADS } = VIRTIO_NET_CTRL;
  const { OK, ERR } = VIRTIO_NET_ACK;
  const frame = (...to: number[]) =>
    Uint8Array.from([...to, 2, 2, 2, 2, 2, 2, 0x08, 0, ...new Uint8Array(46)]);

  test('commands are taken or refused as a whole', () => {
    const settings = made();
    const command = (...bytes: number[]) => settings.command(Uint8Array.from(bytes));
    expect(command(MAC.class, MAC.ADDR_SET, 2, 1, 1, 1, 1, 1)).toBe(OK);
    expect(settings.config().slice(0, 6)).toEqual(Uint8Array.of(2, 1, 1, 1, 1, 1));
    expect(command(MAC.class, MAC.ADDR_SET, 2, 1)).toBe(ERR);
    expect(command(MQ.class, MQ.VQ_PAIRS_SET, 4, 0)).toBe(OK);
    for (const pairs of [0, 5]) expect(command(MQ.class, MQ.VQ_PAIRS_SET, pairs, 0)).toBe(ERR);
    expect(settings.pairs).toBe(4);
    expect(command(VLAN.class, VLAN.ADD, 100, 0)).toBe(OK);
    expect(command(VLAN.class, VLAN.ADD, 0, 0x10)).toBe(ERR);
    expect(command(GUEST_OFFLOADS.class, GUEST_OFFLOADS.SET, 1, 0, 0, 0, 0, 0, 0, 0)).toBe(OK);
    // Two MACs are promised, and one is there.
    expect(command(MAC.class, MAC.TABLE_SET, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0)).toBe(ERR);
    expect(command(9, 0)).toBe(ERR);
    expect(command(1)).toBe(ERR);
    settings.askForAnnouncement();
    expect(command(ANNOUNCE.class, ANNOUNCE.ACK)).toBe(OK);
    expect(settings.status).toBe(VIRTIO_NET_S.LINK_UP);
  });

  test('filters as the guest asked', () => {
    const settings = made();
    const mode = (command: number, on: number) => settings.command(Uint8Array.of(RX.class, command, on));
    const [own, other, group, all] = [
      frame(2, 0, 0, 0, 0, 9),
      frame(2, 0, 0, 0, 0, 8),
      frame(1, 0, 0x5e, 0, 0, 1),
      frame(255, 255, 255, 255, 255, 255),
    ];
    const taken = () => [own, other, group, all].map((each) => settings.accepts(each));
    expect(taken()).toEqual([true, true, true, true]);
    mode(RX.PROMISC, 0);
    expect(taken()).toEqual([true, false, false, true]);
    mode(RX.ALLMULTI, 1);
    mode(RX.NOBCAST, 1);
    expect(taken()).toEqual([true, false, true, false]);
    mode(RX.ALLUNI, 1);
    mode(RX.NOMULTI, 1);
    expect(taken()).toEqual([true, true, false, false]);
    mode(RX.NOUNI, 1);
    expect(taken()).toEqual([false, false, false, false]);
  });

  test('all of it crosses', () => {
    const [from, to] = [made(), made()];
    from.command(Uint8Array.of(RX.class, RX.NOBCAST, 1));
    from.command(Uint8Array.of(VLAN.class, VLAN.ADD, 0xff, 0x0f));
    from.command(Uint8Array.of(MQ.class, MQ.VQ_PAIRS_SET, 3, 0));
    from.command(
      Uint8Array.of(MAC.class, MAC.TABLE_SET, 1, 0, 0, 0, 2, 2, 2, 2, 2, 2, 1, 0, 0, 0, 3, 3, 3, 3, 3, 3),
    );
    for (let n = 0; n < 70; n++) from.learn(frame(0, 0, 0, 0, 0, 0).fill(n, 6, 12), n % 3);
    expect(from.fdb.size).toBe(64);
    loadSettings(to, saveSettings(from));
    expect(saveSettings(to)).toEqual(saveSettings(from));
    expect(to.vlans).toEqual(new Set([0xfff]));
    const small = new NetSettings({ mac: from.mac, queuePairs: 2 });
    expect(() => loadSettings(small, saveSettings(from))).toThrow('queue pairs');
  });
});
