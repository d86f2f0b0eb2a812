import { afterEach, describe, expect, test } from 'vitest';
import type { Linux } from '../../src/linux/index.js';
import { TargetError } from '../../src/target/index.js';
import {
  KERNEL_VHOST_FORMS,
  kernelVhostTarget,
  type Tap,
  VhostNetBackend,
  VhostVdpaBackend,
  vhostNetBackend,
} from '../../src/target/vhost/index.js';
import { openFile } from '../../src/target/vhost/open.js';
import {
  DeviceError,
  VHOST_ACCESS,
  VHOST_IOTLB,
  VhostMemory,
  VhostMemoryRegion,
  VhostMsgV2,
  type VhostRegion,
  VringAddr,
  VringFile,
  VringState,
} from '../../src/uapi/index.js';
import { type FakeKernel, failing, fakeKernel } from './vhost-fake.js';

const onLinux = describe.skipIf(process.platform !== 'linux');
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

/** Memory with a descriptor, as a VMM has it, at an address of its own. */
function shared(linux: Linux, length: number) {
  const fd = linux.memfd('test', length);
  const mapping = linux.mmap(fd, { length });
  closers.push(() => {
    mapping.unmap();
    linux.close(fd);
  });
  return { fd, bytes: mapping.bytes };
}

const TAP = 99;
async function net(): Promise<{ kernel: FakeKernel; backend: VhostNetBackend }> {
  const kernel = await fakeKernel();
  const tap = { fd: TAP, close() {} } as unknown as Tap;
  const backend = new VhostNetBackend(kernel.linux, kernel.device(), 'vhost:/dev/vhost-net', tap);
  closers.push(() => backend.close());
  return { kernel, backend };
}

/** The bytes that stand at an address of this process. */
const at = (linux: Linux, address: bigint, length: number) =>
  new Uint8Array(linux.foreign.view(Number(address), length));
const last = ({ calls }: FakeKernel) => calls.at(-1)!;
const codeOf = (call: () => unknown): string => {
  try {
    call();
    return 'OK';
  } catch (error) {
    if (error instanceof DeviceError) return error.code;
    throw error;
  }
};

onLinux('vhost:', () => {
  /** Two regions of one memory, at user addresses that only the VMM has. */
  async function withMemory() {
    const { kernel, backend } = await net();
    const memory = shared(kernel.linux, 0x6000);
    const regions: VhostRegion[] = [
      { gpa: 0, size: 0x2000, uaddr: 0x7000_0000, offset: 0, memory },
      { gpa: 0x4000_0000, size: 0x4000, uaddr: 0x7100_0000, offset: 0x2000, memory },
    ];
    backend.setMemTable(regions);
    return { kernel, backend, memory, regions };
  }

  test('the kernel gets guest memory where this process has it', async () => {
    const { kernel, memory } = await withMemory();
    const { name, arg } = last(kernel);
    expect(name).toBe('VHOST_SET_MEM_TABLE');
    expect(arg).toHaveLength(VhostMemory.size + 2 * VhostMemoryRegion.size);
    expect(VhostMemory.decode(arg)).toEqual({ nregions: 2, padding: 0 });
    const [low, high] = [0, 1].map((index) =>
      VhostMemoryRegion.decode(arg, { offset: VhostMemory.size + index * VhostMemoryRegion.size }),
    );
    expect(low).toMatchObject({ guest_phys_addr: 0n, memory_size: 0x2000n });
    expect(high).toMatchObject({ guest_phys_addr: 0x4000_0000n, memory_size: 0x4000n });
    expect(high!.userspace_addr - low!.userspace_addr).toBe(0x2000n);
    memory.bytes.set([1, 2, 3], 0x2000);
    expect([...at(kernel.linux, high!.userspace_addr, 3)]).toEqual([1, 2, 3]);
  });

  test('ring addresses are translated, and none outside of guest memory reaches the kernel', async () => {
    const { kernel, backend } = await withMemory();
    const table = last(kernel).arg;
    const { userspace_addr } = VhostMemoryRegion.decode(table, {
      offset: VhostMemory.size + VhostMemoryRegion.size,
    });
    const rings = {
      desc: 0x7100_0000,
      avail: 0x7100_1000,
      used: 0x7100_2000,
      logGuestAddr: 0x4000_2000,
      log: true,
    };
    expect(codeOf(() => backend.setVringAddr(1, rings))).toBe('EINVAL');
    backend.setVringNum(1, 16);
    backend.setVringAddr(1, rings);
    expect(VringAddr.decode(last(kernel).arg)).toEqual({
      index: 1,
      flags: 1,
      desc_user_addr: userspace_addr,
      avail_user_addr: userspace_addr + 0x1000n,
      used_user_addr: userspace_addr + 0x2000n,
      log_guest_addr: 0x4000_2000n,
    });
    const calls = kernel.calls.length;
    // The last byte of the used ring would be behind the region.
    const outside = { ...rings, used: 0x7100_4000 - 6 - 8 * 16 + 4 };
    expect(codeOf(() => backend.setVringAddr(1, outside))).toBe('EFAULT');
    expect(codeOf(() => backend.setVringAddr(1, { ...rings, desc: 0x1000 }))).toBe('EFAULT');
    expect(kernel.calls).toHaveLength(calls);
  });

  test('a table that the kernel refuses leaves the old one', async () => {
    const { kernel, backend, regions } = await withMemory();
    backend.setVringNum(0, 2);
    kernel.answers.VHOST_SET_MEM_TABLE = failing('EFAULT');
    const other = { gpa: 0, size: 0x1000, uaddr: 0x1000, offset: 0, memory: shared(kernel.linux, 0x1000) };
    expect(codeOf(() => backend.setMemTable([other]))).toBe('EFAULT');
    const { uaddr } = regions[0]!;
    const rings = { desc: uaddr, avail: uaddr + 64, used: uaddr + 128, logGuestAddr: 0, log: false };
    expect(codeOf(() => backend.setVringAddr(0, rings))).toBe('OK');
  });

  test('memory has to be shared, and regions lie in it', async () => {
    const { kernel, backend } = await net();
    const own = { gpa: 0, size: 16, uaddr: 0, offset: 0, memory: { bytes: new Uint8Array(16) } };
    expect(codeOf(() => backend.setMemTable([own]))).toBe('EINVAL');
    const memory = shared(kernel.linux, 0x1000);
    const beyond = { gpa: 0, size: 0x1000, uaddr: 0, offset: 1, memory };
    expect(codeOf(() => backend.setMemTable([beyond]))).toBe('EINVAL');
    expect(kernel.calls).toEqual([]);
  });

  test('the log is the memory that the VMM reads, and can be swapped and taken away', async () => {
    const { kernel, backend } = await net();
    const logs = [shared(kernel.linux, 4096), shared(kernel.linux, 4096)];
    const base = () => new DataView(last(kernel).arg.buffer).getBigUint64(0, true);
    for (const log of logs) {
      backend.setLogBase(log);
      // As the kernel would set a bit.
      at(kernel.linux, base(), 4096)[7] = 0x80;
      expect(log.bytes[7]).toBe(0x80);
    }
    kernel.answers.VHOST_SET_LOG_BASE = failing('EFAULT');
    expect(codeOf(() => backend.setLogBase(logs[0]!))).toBe('EFAULT');
    delete kernel.answers.VHOST_SET_LOG_BASE;
    backend.setLogBase(null);
    expect(base()).toBe(0n);
  });

  test('kicks and calls are eventfds, and a ring gets the tap', async () => {
    const { kernel, backend } = await net();
    backend.setVringKick(0, true);
    const kick = VringFile.decode(last(kernel).arg).fd;
    backend.kick(0);
    expect(kernel.linux.readEvent(kick)).toBe(1n);
    const called = new Promise<void>((resolve) => backend.setVringCall(1, resolve));
    kernel.linux.writeEvent(VringFile.decode(last(kernel).arg).fd);
    await called;
    backend.setVringCall(1, null);
    expect(VringFile.decode(last(kernel).arg)).toEqual({ index: 1, fd: -1 });
    backend.setBackend(1, true);
    expect(VringFile.decode(last(kernel).arg)).toEqual({ index: 1, fd: TAP });
    backend.setBackend(1, false);
    expect(last(kernel).name).toBe('VHOST_NET_SET_BACKEND');
    expect(VringFile.decode(last(kernel).arg)).toEqual({ index: 1, fd: -1 });
  });

  test('what the kernel answers comes back, and what it has no form for is ENOTTY', async () => {
    const { kernel, backend } = await net();
    kernel.answers.VHOST_GET_FEATURES = (arg) =>
      new DataView(arg.buffer).setBigUint64(0, 0x1033d008000n, true);
    kernel.answers.VHOST_GET_VRING_BASE = (arg) => arg.set(VringState.encode({ index: 1, num: 25 }));
    kernel.answers.VHOST_SET_OWNER = failing('EBUSY');
    expect(backend.getFeatures()).toBe(0x1033d008000n);
    expect(backend.getVringBase(1)).toBe(25);
    expect(codeOf(() => backend.setOwner())).toBe('EBUSY');
    const { length } = kernel.calls;
    for (const call of [
      () => backend.setVringEnable(),
      () => backend.getStatus(),
      () => backend.suspend(),
      () => backend.getProtocolFeatures(),
      () => backend.saveState(),
      () => backend.resetDevice(),
    ])
      expect(codeOf(call)).toBe('ENOTTY');
    expect(kernel.calls).toHaveLength(length);
  });
});

onLinux('vhost-vdpa:', () => {
  async function vdpa(known: { address: number; bytes: Uint8Array }[] = []) {
    const kernel = await fakeKernel();
    const options = { name: 'vdpa', queues: 3, memory: () => known };
    const backend = new VhostVdpaBackend(kernel.linux, kernel.device(), options);
    closers.push(() => backend.close());
    return { kernel, backend };
  }

  test('IOTLB messages are written, with user addresses of this process', async () => {
    const known = { address: 0x5000_0000, bytes: new Uint8Array(0x2000) };
    const { kernel, backend } = await vdpa([known]);
    const memory = shared(kernel.linux, 0x3000);
    backend.setMemTable([{ gpa: 0, size: 0x3000, uaddr: 0x7000_0000, offset: 0, memory }]);
    const update = { type: VHOST_IOTLB.UPDATE, asid: 1, iova: 0x1000, size: 0x1000, perm: VHOST_ACCESS.RW };
    backend.iotlb({ ...update, uaddr: 0x7000_1000 });
    backend.iotlb({ ...update, uaddr: 0x5000_1000 });
    backend.iotlb({ ...update, type: VHOST_IOTLB.INVALIDATE, uaddr: 0 });
    expect(codeOf(() => backend.iotlb({ ...update, uaddr: 0x5000_2000 }))).toBe('EFAULT');
    expect(kernel.written.map(({ length }) => length)).toEqual([72, 72, 72]);
    const [first, second, third] = kernel.written.map((bytes) => VhostMsgV2.decode(bytes));
    expect(first).toMatchObject({ type: 2, asid: 1, iova: 0x1000n, size: 0x1000n, perm: 3, iotlb_type: 2 });
    memory.bytes[0x1000] = 0x77;
    expect(at(kernel.linux, first!.uaddr, 1)[0]).toBe(0x77);
    expect(second!.uaddr).toBe(0x5000_1000n);
    expect(third).toMatchObject({ iotlb_type: 3, uaddr: 0n });
  });

  test('rings are given by IOVA, status and configuration by their ioctls', async () => {
    const { kernel, backend } = await vdpa();
    backend.setVringAddr(0, { desc: 0x1000, avail: 0x2000, used: 0x3000, logGuestAddr: 0, log: false });
    expect(VringAddr.decode(last(kernel).arg)).toMatchObject({
      desc_user_addr: 0x1000n,
      used_user_addr: 0x3000n,
    });
    kernel.answers.VHOST_VDPA_GET_STATUS = (arg) => arg.set([11]);
    kernel.answers.VHOST_VDPA_GET_CONFIG = (arg) => arg.set([2, 0, 0, 0, 0, 0x55], 8);
    expect(backend.getStatus()).toBe(11);
    expect([...backend.getConfig(0, 6)]).toEqual([2, 0, 0, 0, 0, 0x55]);
    backend.setConfig(6, Uint8Array.of(1));
    expect([...last(kernel).arg]).toEqual([6, 0, 0, 0, 1, 0, 0, 0, 1]);
    backend.resetDevice();
    expect(last(kernel)).toMatchObject({ name: 'VHOST_VDPA_SET_STATUS', arg: Uint8Array.of(0) });
    backend.setVringEnable(2, true);
    expect(VringState.decode(last(kernel).arg)).toEqual({ index: 2, num: 1 });
    kernel.answers.VHOST_SET_LOG_BASE = failing('ENOTTY');
    expect(codeOf(() => backend.setLogBase(null))).toBe('ENOTTY');
    expect(codeOf(() => backend.setBackend())).toBe('ENOTTY');
  });
});

onLinux('a kernel target that is not there', () => {
  test.each([
    ['vhost:/dev/none', 'vhost:/dev/none: there is no /dev/none: modprobe vhost_net'],
    ['vhost-vdpa:/dev/none', 'vhost-vdpa:/dev/none: there is no /dev/none: modprobe vhost_vdpa'],
  ])('%s', async (uri, words) => {
    const target = await kernelVhostTarget(uri);
    await expect(target.open()).rejects.toThrow(TargetError);
    await expect(target.open()).rejects.toThrow(words);
    target.close();
  });

  test('a URI of no such kind', async () => {
    await expect(kernelVhostTarget('vhost:net')).rejects.toThrow(
      `expected ${KERNEL_VHOST_FORMS.join(' or ')}`,
    );
  });

  test('without permission, or behind another program', async () => {
    const { linux } = await fakeKernel();
    const deny = (code: string) =>
      new Proxy(linux, { get: (on, name) => (name === 'open' ? failing(code) : Reflect.get(on, name, on)) });
    const advice = { missing: 'load it', denied: 'run as root' };
    expect(() => openFile(deny('EACCES'), 'vhost:/dev/x', '/dev/x', advice)).toThrow(
      'vhost:/dev/x: no permission for /dev/x: run as root',
    );
    expect(() => openFile(deny('EBUSY'), 'vhost:/dev/x', '/dev/x', advice)).toThrow(
      'in use by another program',
    );
  });

  test('memory of a target is zeroed, shared and given back', async () => {
    const target = await kernelVhostTarget('vhost:/dev/vhost-net');
    const memory = target.allocate(8192);
    expect(memory.bytes.every((byte) => byte === 0)).toBe(true);
    expect(memory.fd).toBeGreaterThan(2);
    memory.free();
    memory.free();
    target.close();
  });

  test('the message of a missing file is one line', async () => {
    const error: Error = await vhostNetBackend('/dev/none').catch((why) => why);
    expect(error.message).not.toContain('\n');
  });
});
