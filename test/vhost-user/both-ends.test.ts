import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Linux, loadLinux } from '../../src/linux/index.js';
import { type DeviceError, refusalOf } from '../../src/uapi/device.js';
import { VHOST_USER_PROTOCOL_FEATURES } from '../../src/uapi/vhost-user.js';
import { featureBits } from '../../src/uapi/virtio.js';
import { openFds } from '../linux/open-fds.js';
import { ALL_FEATURES, SERVED_PROTOCOL } from './fake-device.js';
import { makePair, type Pair, Shared } from './pair.js';

const PAGE = 4096;
const { REPLY_ACK, LOG_SHMFD } = VHOST_USER_PROTOCOL_FEATURES;
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.runIf(process.platform === 'linux')('front end and back end', () => {
  let linux: Linux;
  let before: number;
  let pair: Pair;
  beforeAll(async () => {
    linux = await loadLinux();
    const { end } = makePair(linux);
    await end();
    before = openFds();
  });
  beforeEach(() => {
    pair = makePair(linux);
  });
  afterEach(async () => {
    await pair.end();
    expect(pair.device.isClosed).toBe(true);
    expect(openFds()).toBe(before);
  });
  const code = async (call: () => unknown) => (await refusalOf(call))?.code;
  const negotiate = async (protocol = SERVED_PROTOCOL) => {
    expect(await pair.front.getFeatures()).toBe(ALL_FEATURES);
    expect(await pair.front.getProtocolFeatures()).toBe(SERVED_PROTOCOL);
    await pair.front.setProtocolFeatures(protocol);
    await pair.front.setOwner();
    await pair.front.setFeatures(ALL_FEATURES);
  };

  it('carries every request with what belongs to it', async () => {
    await negotiate();
    const { front, device } = pair;
    expect(await front.getQueueNum()).toBe(4);
    await front.setVringNum(1, 256);
    await front.setVringBase(1, 0x8005_8003);
    const addresses = {
      desc: 0x7fff_1234_5000,
      used: 0x7fff_1234_7000,
      avail: 0x7fff_1234_6000,
      logGuestAddr: 0x1_0000_7000,
      log: true,
    };
    await front.setVringAddr(1, addresses);
    await front.setVringEnable(1, true);
    await front.setVringKick(1, false);
    await front.setVringCall(1, null);
    expect(await front.getVringBase(1)).toBe(0x8005_8003);
    expect(await front.getStatus()).toBe(7);
    await front.setStatus(15);
    expect([...(await front.getConfig(6, 4))]).toEqual([6, 7, 8, 9]);
    await front.setConfig(2, Uint8Array.of(1, 2));
    const update = { type: 2, asid: 0, iova: 0x1000, size: 0x2000, uaddr: 0x7f00_0000_0000, perm: 3 };
    await front.iotlb(update);
    await front.sendRarp(Uint8Array.of(2, 0, 0, 0, 0, 9));
    await front.resetDevice();
    await front.resetOwner();
    expect(device.asked.slice(3)).toEqual([
      ['SET_VRING_NUM', 1, 256],
      ['SET_VRING_BASE', 1, 0x8005_8003],
      ['SET_VRING_ADDR', 1, addresses],
      ['SET_VRING_ENABLE', 1, true],
      ['SET_VRING_KICK', 1, false],
      ['SET_VRING_CALL', 1, false],
      ['GET_VRING_BASE', 1],
      ['SET_STATUS', 15],
      ['GET_CONFIG', 6, 4],
      ['SET_CONFIG', 2, [1, 2]],
      ['IOTLB_MSG', update],
      ['SEND_RARP', [2, 0, 0, 0, 0, 9]],
      ['RESET_DEVICE'],
      ['RESET_OWNER'],
    ]);
  });

  it('shares guest memory, kicks, calls and a log, and swaps them', async () => {
    await negotiate();
    const { front } = pair;
    const guest = new Shared(linux, 16 * PAGE);
    const [log, next] = [new Shared(linux, PAGE), new Shared(linux, PAGE)];
    const table = (offset: number) => [
      { gpa: 0, size: 4 * PAGE, uaddr: 0x7f00_0000_0000, offset, memory: guest },
      { gpa: 0x1_0000_0000, size: 8 * PAGE, uaddr: 0x7f10_0000_0000, offset: 8 * PAGE, memory: guest },
    ];
    await front.setMemTable(table(0));
    await front.setLogBase(log);
    let called = 0;
    const wake = { now: () => {} };
    await front.setVringCall(2, () => {
      called++;
      wake.now();
    });
    await front.setVringKick(2, true);
    const kicked = () =>
      new Promise<void>((resolve) => {
        wake.now = resolve;
        front.kick(2);
      });
    for (let round = 1; round <= 100; round++) {
      await kicked();
      expect([guest.bytes[2 * PAGE], called, log.bytes[0]]).toEqual([round, round, 4]);
    }
    log.bytes[0] = 0;
    await front.setLogBase(next);
    await front.setMemTable(table(4 * PAGE));
    await kicked();
    expect([log.bytes[0], next.bytes[0], guest.bytes[2 * PAGE], guest.bytes[6 * PAGE]]).toEqual([
      0, 4, 100, 1,
    ]);
    for (const memory of [guest, log, next]) memory.close();
  });

  it.each([0, 1, 65_536, 3_000_000])('moves a device state of %i bytes both ways', async (size) => {
    await negotiate();
    const state = Uint8Array.from({ length: size }, (_, index) => (index * 7) & 0xff);
    await pair.front.loadState(state);
    expect(Buffer.compare(pair.device.state, state)).toBe(0);
    expect(Buffer.compare(await pair.front.saveState(), state)).toBe(0);
  });

  it('shares the inflight region, whose contents the back end makes', async () => {
    await negotiate();
    const region = await pair.front.getInflight(2, 256);
    expect([region.queues, region.queueSize, region.memory.bytes.length, region.memory.bytes[9]]).toEqual([
      2, 256, 4096, 3,
    ]);
    await pair.front.setInflight(region);
    pair.device.inflight!.memory.bytes[7] = 99;
    expect(region.memory.bytes[7]).toBe(99);
  });

  it('tells refusals, and goes on', async () => {
    await negotiate();
    const { front, device, refused } = pair;
    for (const [name, why] of [
      ['SET_VRING_NUM', 'EINVAL'],
      ['SET_MEM_TABLE', 'ENOMEM'],
      ['SET_LOG_BASE', 'EFAULT'],
      ['GET_CONFIG', 'EINVAL'],
      ['saveState', 'EBUSY'],
      ['loadState', 'EINVAL'],
      ['IOTLB_MSG', 'EFAULT'],
    ] as const)
      device.refuses.set(name, why);
    const memory = new Shared(linux, PAGE);
    expect(await code(() => front.setVringNum(0, 3))).toBe('EREMOTEIO');
    expect(await code(() => front.setMemTable([{ gpa: 0, size: PAGE, uaddr: 0, offset: 0, memory }]))).toBe(
      'EREMOTEIO',
    );
    expect(await code(() => front.setLogBase(memory))).toBe('EREMOTEIO');
    expect(await code(() => front.getConfig(0, 4))).toBe('EIO');
    expect(await code(() => front.saveState())).toBe('EREMOTEIO');
    expect(await code(() => front.loadState(new Uint8Array(5)))).toBe('EREMOTEIO');
    expect(await code(() => front.iotlb({ type: 2, asid: 0, iova: 0, size: 1, uaddr: 0, perm: 1 }))).toBe(
      'EREMOTEIO',
    );
    expect(refused).toHaveLength(7);
    device.refuses.clear();
    await front.setVringNum(0, 4);
    memory.close();
  });

  it('refuses before anything is sent what was not negotiated, cannot be shared or has no message', async () => {
    await negotiate(featureBits(REPLY_ACK, LOG_SHMFD));
    const { front, device } = pair;
    const asked = device.asked.length;
    const calls: (() => unknown)[] = [
      () => front.saveState(),
      () => front.getInflight(1, 1),
      () => front.sendRarp(new Uint8Array(6)),
      () => front.getStatus(),
      () => front.suspend(),
      () => front.resume(),
      () => front.setBackend(),
      () => front.getVringGroup(),
      () => front.setGroupAsid(),
      () => front.getBackendFeatures(),
    ];
    for (const call of calls) expect(await code(call)).toBe('ENOTTY');
    const memory = { bytes: new Uint8Array(PAGE) };
    const region = { gpa: 0, size: PAGE, uaddr: 0, offset: 0, memory };
    expect(await code(() => front.setMemTable([region]))).toBe('EINVAL');
    expect(await code(() => front.setMemTable(Array.from({ length: 9 }, () => region)))).toBe('E2BIG');
    expect(await code(() => front.setLogBase(memory))).toBe('EINVAL');
    expect(device.asked).toHaveLength(asked);
  });

  it('refuses memory that is shorter than it is said to be, overlaps, or is no memory', async () => {
    await negotiate();
    const { front, device, refused } = pair;
    const memory = new Shared(linux, 4 * PAGE);
    const event = linux.eventfd();
    const region = { gpa: 0, size: 2 * PAGE, uaddr: 0x10_0000, offset: 0, memory };
    const tables = [
      [{ ...region, size: 5 * PAGE }],
      [{ ...region, offset: 3 * PAGE }],
      [region, { ...region, gpa: PAGE, uaddr: 0x20_0000 }],
      [region, { ...region, gpa: 2 * PAGE, uaddr: 0x10_1000 }],
      [{ ...region, memory: { bytes: memory.bytes, fd: event } }],
      [{ ...region, gpa: Number.MAX_SAFE_INTEGER }],
    ];
    for (const table of tables) expect(await code(() => front.setMemTable(table))).toBe('EREMOTEIO');
    expect(await code(() => front.setLogBase({ bytes: new Uint8Array(5 * PAGE), fd: memory.fd }))).toBe(
      'EREMOTEIO',
    );
    expect(device.regions).toEqual([]);
    expect(refused.join('\n')).toMatch(/has 16384 bytes.*overlap at gpa.*overlap at uaddr/s);
    linux.close(event);
    memory.close();
  });

  it('stops listening to a ring that the device cannot go on with, and says so', async () => {
    const broken: number[] = [];
    await pair.end();
    pair = makePair(linux, { onBroken: (ring) => broken.push(ring) });
    await negotiate();
    await pair.front.setVringKick(1, true);
    pair.front.kick(1);
    await expect.poll(() => broken).toEqual([1]);
    pair.front.kick(1);
    await later(30);
    expect(pair.device.asked.filter(([name]) => name === 'kick')).toHaveLength(1);
    await pair.front.setVringNum(1, 8);
  });

  it('says when the back end is gone, and asks nothing more', async () => {
    const { front } = pair;
    await negotiate(0n);
    pair.device.refuses.set('SET_VRING_NUM', 'EINVAL');
    // Without REPLY_ACK the refusal cannot be told, so the back end leaves.
    await front.setVringNum(0, 3);
    expect(await pair.ended).toMatchObject({
      isClean: false,
      refused: 1,
      reason: expect.stringMatching(/SET_VRING_NUM is refused/),
    });
    expect(await code(() => front.getFeatures())).toBe('EPIPE');
    expect(await code(() => front.setOwner())).toBe('EPIPE');
  });

  it('does not wait for ever for an answer', async () => {
    const [one, other] = linux.socketpair();
    const { VhostUserFrontEnd } = await import('../../src/vhost-user/index.js');
    const front = new VhostUserFrontEnd(linux, one, { timeoutMs: 30 });
    const late = (await refusalOf(() => front.getFeatures())) as DeviceError;
    expect([late.code, late.message]).toEqual([
      'ETIMEDOUT',
      'ETIMEDOUT: the back end has not answered GET_FEATURES within 0.03 s',
    ]);
    expect(await code(() => front.getFeatures())).toBe('ETIMEDOUT');
    front.close();
    linux.close(other);
  });

  it('ends when it is told to', async () => {
    await pair.end();
    const stop = new AbortController();
    pair = makePair(linux, { signal: stop.signal });
    await negotiate();
    stop.abort();
    await pair.ended;
    expect(await code(() => pair.front.getFeatures())).toBe('EPIPE');
  });
});
