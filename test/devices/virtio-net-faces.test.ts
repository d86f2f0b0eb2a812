import { expect, test } from 'vitest';
import { type NetBackEndOptions, NetWire, virtioNetBackEnd } from '../../devices/virtio-net/index.js';
import {
  featureBits,
  refusalOf,
  VHOST_ACCESS,
  VHOST_FEATURES,
  VHOST_IOTLB,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_FEATURES,
  type VhostBackend,
  VIRTIO_FEATURES,
  VIRTIO_STATUS,
} from '../../src/uapi/index.js';
import { driverQueue } from '../../src/virtio/index.js';

const { VERSION_1, ACCESS_PLATFORM, NET_MRG_RXBUF, RING_PACKED } = VIRTIO_FEATURES;
const LOG_ALL = featureBits(VHOST_FEATURES.LOG_ALL);
const PLAIN = featureBits(VERSION_1, NET_MRG_RXBUF);
const USER = PLAIN | featureBits(VHOST_USER_F_PROTOCOL_FEATURES);
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const [GPA, UADDR, SIZE] = [0x10_0000, 0x7f00_0000_0000, 0x2_0000];
const RINGS = [
  { desc: GPA, avail: GPA + 0x1000, used: GPA + 0x2000 },
  { desc: GPA + 0x4000, avail: GPA + 0x5000, used: GPA + 0x6000 },
];

const code = async (call: () => unknown) => (await refusalOf(call))?.code;

/** A back end with memory, and its driver's side of both rings. */
function lab(face: 'vhost' | 'vhost-user' | 'vdpa', options: NetBackEndOptions = {}) {
  const memory = { bytes: new Uint8Array(SIZE) };
  const most = { toGuest: 1514, fromGuest: 1514 };
  const wire = new NetWire({ seed: 5, mac: MAC, most });
  const device = virtioNetBackEnd(face, { mac: MAC, port: wire, ...options });
  const regions = [{ gpa: GPA, size: SIZE, uaddr: UADDR, offset: 0, memory }];
  const queues = RINGS.map((parts) =>
    driverQueue(false, {
      memory: {
        read: (address, into) => into.set(memory.bytes.subarray(address - GPA, address - GPA + into.length)),
        write: (address, bytes) => memory.bytes.set(bytes, address - GPA),
      },
      parts,
      size: 8,
      features: { eventIdx: false, indirect: false },
    }),
  );
  const addresses = (index: number, log = false) => {
    const { desc, avail, used } = RINGS[index]!;
    const at = (gpa: number) => gpa - GPA + UADDR;
    return { desc: at(desc), avail: at(avail), used: at(used), logGuestAddr: used, log };
  };
  const setUp = async (index: number, log = false) => {
    await device.setVringNum(index, 8);
    await device.setVringBase(index, 0);
    await device.setVringAddr(index, addresses(index, log));
    await device.setVringKick(index, true);
  };
  return { memory, wire, device, regions, queues, addresses, setUp };
}

test('kernel: an owner, sizes, alignment, and what a ring with a backend refuses', async () => {
  const { device, regions, setUp, addresses } = lab('vhost');
  expect(await code(() => device.setMemTable(regions))).toBe('EPERM');
  await device.setOwner();
  expect(await code(() => device.setOwner())).toBe('EBUSY');
  await device.setFeatures(PLAIN);
  expect(await code(() => device.setFeatures(1n << 50n))).toBe('EOPNOTSUPP');
  expect(await code(() => device.setFeatures(featureBits(RING_PACKED)))).toBe('EOPNOTSUPP');
  await device.setMemTable(regions);
  for (const size of [0, 3, 0x10000]) expect(await code(() => device.setVringNum(0, size))).toBe('EINVAL');
  expect(await code(() => device.setVringNum(2, 8))).toBe('ENOBUFS');
  expect(await code(() => device.setVringBase(0, 0x10000))).toBe('EINVAL');
  expect(await code(() => device.setVringAddr(0, { ...addresses(0), used: UADDR + 2 }))).toBe('EINVAL');
  expect(await code(() => device.setBackend(0, true))).toBe('EINVAL');
  await setUp(0);
  await device.setBackend(0, true);
  expect(await code(() => device.setVringNum(0, 8))).toBe('EBUSY');
  expect(await code(() => device.setVringBase(0, 0))).toBe('EBUSY');
  expect(await device.getVringBase(0)).toBe(0);
  for (const call of [
    () => device.setVringEnable(0, true),
    () => device.getStatus(),
    () => device.saveState(),
  ])
    expect(await code(call)).toBe('ENOTTY');
  expect(() => virtioNetBackEnd('vhost', { queuePairs: 2 })).toThrow(RangeError);
});

test('kernel: no log, no logging of a ring that runs; a null base is refused for that ring alone', async () => {
  const { device, regions, setUp, addresses } = lab('vhost');
  await device.setOwner();
  await device.setFeatures(PLAIN);
  await device.setMemTable(regions);
  await setUp(0);
  // LOG_ALL without a log is borne by a ring that does not run.
  await device.setFeatures(PLAIN | LOG_ALL);
  expect(await code(() => device.setBackend(0, true))).toBe('EFAULT');
  await device.setFeatures(PLAIN);
  await device.setBackend(0, true);
  expect(await code(() => device.setFeatures(PLAIN | LOG_ALL))).toBe('EFAULT');
  expect(await code(() => device.setVringAddr(0, addresses(0, true)))).toBe('EINVAL');
  await device.setLogBase({ bytes: new Uint8Array(64) });
  await device.setFeatures(PLAIN | LOG_ALL);
  expect(await code(() => device.setLogBase(null))).toBe('EFAULT');
  await device.setFeatures(PLAIN);
  await device.setLogBase(null);
});

test('kernel: the IOTLB comes and goes with ACCESS_PLATFORM, in one address space', async () => {
  const { device, regions } = lab('vhost');
  await device.setOwner();
  await device.setMemTable(regions);
  const map = { type: VHOST_IOTLB.UPDATE, asid: 0, iova: 0, size: 4096, uaddr: UADDR, perm: VHOST_ACCESS.RW };
  await device.setFeatures(PLAIN);
  expect(await code(() => device.iotlb(map))).toBe('EFAULT');
  await device.setFeatures(PLAIN | featureBits(ACCESS_PLATFORM));
  await device.iotlb(map);
  await device.iotlb(map);
  expect(await code(() => device.iotlb({ ...map, asid: 1 }))).toBe('EINVAL');
  expect(await code(() => device.iotlb({ ...map, size: 0 }))).toBe('EINVAL');
  expect(await code(() => device.iotlb({ ...map, type: VHOST_IOTLB.BATCH_BEGIN }))).toBe('EINVAL');
});

async function userLab(options: NetBackEndOptions = {}) {
  const made = lab('vhost-user', options);
  await made.device.setOwner();
  await made.device.setProtocolFeatures(await made.device.getProtocolFeatures());
  await made.device.setFeatures(USER);
  await made.device.setMemTable(made.regions);
  for (const index of [0, 1]) await made.setUp(index);
  return made;
}

/** A frame of the guest's, in a buffer. */
function send({ queues, wire, memory }: ReturnType<typeof lab>): void {
  const frame = wire.frames.build('fromGuest', 0, 0);
  memory.bytes.set(frame, 0x8000 + 12);
  expect(queues[1]!.add([{ address: GPA + 0x8000, length: 12 + frame.length }], [], 1)).toBe(true);
}

const seen = ({ wire }: ReturnType<typeof lab>): number => wire.fromGuest.get(0)?.seen ?? 0;

test('vhost-user: a ring starts with its first kick and remembers that it was enabled', async () => {
  const made = await userLab();
  const { device } = made;
  await device.setVringEnable(1, true);
  send(made);
  expect(device.run()).toBe(false);
  expect(seen(made)).toBe(0);
  device.kick(1);
  expect(seen(made)).toBe(1);
  expect(await code(() => device.setVringNum(1, 8))).toBe('EBUSY');
  expect(await code(() => device.saveState())).toBe('EBUSY');
  expect(await device.getVringBase(1)).toBe(1);
  // Stopped: nothing is processed, and its size may be set again.
  send(made);
  expect(device.run()).toBe(false);
  await device.setVringNum(1, 8);
  expect(seen(made)).toBe(1);
});

test('vhost-user: a disabled ring drops what the guest sends; without bit 30 all rings are enabled', async () => {
  const made = await userLab();
  send(made);
  made.device.kick(1);
  expect(made.queues[1]!.collect()).toEqual({ token: 1, length: 0 });
  expect(seen(made)).toBe(0);
  await made.device.setFeatures(PLAIN);
  send(made);
  made.device.kick(1);
  expect(seen(made)).toBe(1);
  const { device } = lab('vhost-user');
  await device.setFeatures(PLAIN);
  expect(await code(() => device.setVringEnable(1, false))).toBe('EOPNOTSUPP');
});

test('vhost-user: what a feature was not acknowledged for is refused', async () => {
  const { device, regions } = lab('vhost-user');
  await device.setFeatures(USER);
  await device.setMemTable(regions);
  const calls: readonly ((device: VhostBackend) => unknown)[] = [
    (each) => each.getConfig(0, 6),
    (each) => each.saveState(),
    (each) => each.resetDevice(),
    (each) => each.sendRarp(MAC),
    (each) => each.getInflight(2, 8),
    (each) => each.iotlb({ type: VHOST_IOTLB.UPDATE, asid: 0, iova: 0, size: 1, uaddr: 0, perm: 3 }),
  ];
  for (const call of calls) expect(await code(() => call(device))).toBe('EOPNOTSUPP');
  expect(await code(() => device.setLogBase(null))).toBe('ENOTTY');
});

test('vhost-user: RARP goes out, and state crosses whole or not at all', async () => {
  const [here, there] = [await userLab(), await userLab()];
  await here.device.sendRarp(MAC);
  expect(here.wire.counts.announcements).toBe(1);
  await here.device.setVringEnable(1, true);
  send(here);
  here.device.kick(1);
  await here.device.getVringBase(1);
  const state = await here.device.saveState();
  for (const length of [0, 15, state.length - 1])
    expect(await code(() => there.device.loadState(state.subarray(0, length)))).toBe('EINVAL');
  const damaged = state.slice();
  damaged[20]! ^= 1;
  expect(await code(() => there.device.loadState(damaged))).toBe('EINVAL');
  expect(there.device.settings.fdb.size).toBe(0);
  await there.device.loadState(state);
  expect([...there.device.settings.fdb]).toEqual([['020000000001', 0]]);
});

test('vhost-user: buffers in flight are recorded, and worked on by the next back end', async () => {
  const most = { burst: 8, inFlight: 100 };
  const here = await userLab({ pace: most, seed: 3 });
  const region = await here.device.getInflight(2, 8);
  await here.device.setInflight(region);
  await here.device.setVringEnable(1, true);
  let there: Awaited<ReturnType<typeof userLab>> | null = null;
  send(here);
  here.device.kick(1);
  const base = await here.device.getVringBase(1);
  expect(base).toBe(1);
  expect(seen(here)).toBe(0);
  there = await userLab();
  there.memory.bytes.set(here.memory.bytes);
  await there.device.setInflight(region);
  await there.device.setVringBase(1, base);
  await there.device.setVringEnable(1, true);
  there.device.kick(1);
  expect(seen(there)).toBe(1);
  expect(await there.device.getVringBase(1)).toBe(1);
});

test('a ring that its driver has broken is given up, and the kick says so', async () => {
  const made = await userLab();
  await made.device.setVringEnable(1, true);
  // More buffers than the ring has.
  made.memory.bytes.set([100, 0], 0x5000 + 2);
  expect(await code(() => made.device.kick(1))).toBe('EINVAL');
  expect(made.device.rings[1]!.broken?.code).toBe('EINVAL');
  expect(await made.device.getVringBase(1)).toBe(0);
});

test('vDPA: the status machine, and what it says to late requests', async () => {
  const { device, regions, setUp } = lab('vdpa');
  const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
  const features = PLAIN | featureBits(ACCESS_PLATFORM);
  await device.setStatus(ACKNOWLEDGE | DRIVER);
  expect(await code(() => device.setStatus(ACKNOWLEDGE))).toBe('EINVAL');
  expect(await code(() => device.setFeatures(PLAIN))).toBe('EINVAL');
  expect(await code(() => device.setLogBase({ bytes: new Uint8Array(8) }))).toBe('ENOTTY');
  await device.setFeatures(features);
  await device.setMemTable(regions);
  await device.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  expect(await code(() => device.setFeatures(features))).toBe('EBUSY');
  await device.setGroupAsid(await device.getVringGroup(2), 1);
  const map = { type: VHOST_IOTLB.UPDATE, asid: 0, iova: UADDR, size: SIZE, uaddr: UADDR, perm: 3 };
  await device.iotlb(map);
  expect(await code(() => device.iotlb(map))).toBe('EEXIST');
  expect(await code(() => device.iotlb({ ...map, asid: 2 }))).toBe('EINVAL');
  await setUp(1);
  await device.setVringEnable(1, true);
  // Without DRIVER_OK SUSPEND does nothing.
  await device.suspend();
  await device.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  expect(await code(() => device.setVringBase(1, 1))).toBe('EINVAL');
  expect(await code(() => device.setGroupAsid(0, 1))).toBe('EBUSY');
  await device.suspend();
  await device.setVringBase(1, 0);
  await device.resume();
  expect(await device.getStatus()).toBe(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  await device.setStatus(0);
  expect(await device.getStatus()).toBe(0);
  expect(device.rings[1]!.addresses).toBeNull();
});

test('protocol features are of those that are offered', async () => {
  const { device } = lab('vhost-user');
  const none = featureBits(VHOST_USER_PROTOCOL_FEATURES.PAGEFAULT);
  expect(await code(() => device.setProtocolFeatures(none))).toBe('EOPNOTSUPP');
});

test('a frame goes into buffers that are mapped as a whole, over several of them where it must', async () => {
  const made = await userLab();
  const { device, queues, wire, memory } = made;
  const log = { bytes: new Uint8Array(64) };
  await device.setLogBase(log);
  await device.setFeatures(USER | LOG_ALL);
  await device.setVringEnable(0, true);
  for (let n = 0; n < 6; n++) queues[0]!.add([], [{ address: GPA + 0x8ff0 + n * 0x200, length: 0x200 }], n);
  wire.offer(1);
  device.kick(0);
  expect(wire.counts.taken).toBe(1);
  const used = [0, 1, 2, 3, 4, 5].flatMap(() => queues[0]!.collect() ?? []);
  const size = used.reduce((sum, { length }) => sum + length, 0);
  expect(size).toBeGreaterThanOrEqual(72);
  expect(used.length).toBe(Math.ceil(size / 0x200));
  expect(memory.bytes[0x8ff0 + 10]).toBe(used.length);
  // Buffers are marked, by LOG_ALL; the used ring is not, without its flag.
  expect(log.bytes[0x108 >> 3]! & 3).toBe(3);
  expect(log.bytes[0x102 >> 3]! & 4).toBe(0);
});

test('a descriptor that leaves guest memory breaks the ring, and nothing of it is written', async () => {
  const { device, queues, wire, memory } = await userLab();
  await device.setVringEnable(0, true);
  queues[0]!.add([], [{ address: GPA + SIZE - 0x800, length: 0x10_0000 }], 9);
  wire.offer(1);
  expect(await code(() => device.kick(0))).toBe('EFAULT');
  expect(memory.bytes.subarray(SIZE - 0x800).every((byte) => byte === 0)).toBe(true);
  expect(await device.getVringBase(0)).toBe(0);
});
