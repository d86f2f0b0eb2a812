import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  connectUnixSocket,
  LARGEST_MESSAGE,
  type Linux,
  LinuxError,
  LONGEST_VIEW,
  listenUnixSocket,
  loadLinux,
  OPEN,
} from '../../src/linux/index.js';
import { loadForeign } from '../../src/linux/libc.js';
import { refusalOf } from '../../src/uapi/device.js';
import { openFds } from './open-fds.js';

const FIONREAD = 0x541b;

describe.runIf(process.platform === 'linux')('system calls', () => {
  let linux: Linux;
  let folder: string;
  let before: number;
  beforeAll(async () => {
    linux = await loadLinux();
    folder = mkdtempSync(join(tmpdir(), 'stopcopy-linux-'));
    // The event loop opens what it needs with the first watch.
    const event = linux.eventfd(1);
    await linux.poll([{ fd: event }]);
    linux.close(event);
    before = openFds();
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
    expect(openFds()).toBe(before);
  });
  const code = async (call: () => unknown) => (await refusalOf(call))?.code;

  it('tells errors by the name of their errno, with what was tried', async () => {
    await expect((async () => linux.open('/nowhere/at/all', OPEN.RDONLY))()).rejects.toThrow(
      /ENOENT.*\/nowhere\/at\/all/,
    );
    expect(await code(() => linux.close(-1))).toBe('EBADF');
    expect(await code(() => linux.ioctl(-1, FIONREAD, new Uint8Array(4)))).toBe('EBADF');
    expect(await code(() => linux.memfd('x'.repeat(300), 4096))).toBe('EINVAL');
    expect(await code(() => linux.mmap(-1, { length: 0 }))).toBe('EINVAL');
    expect(await code(() => linux.mmap(-1, { length: LONGEST_VIEW + 4096 }))).toBe('EINVAL');
  });

  it('makes ioctls with memory and with a number', async () => {
    const [read, write] = linux.pipe();
    expect(linux.write(write, new Uint8Array(7))).toBe(7);
    const count = new Uint8Array(4);
    expect(linux.ioctl(read, FIONREAD, count)).toBe(0);
    expect(count[0]).toBe(7);
    expect(await code(() => linux.ioctl(read, 0xae00, 0))).toBe('ENOTTY');
    linux.close(read);
    expect(await code(() => linux.write(write, new Uint8Array(1)))).toBe('EPIPE');
    linux.close(write);
  });

  it('shares memory by its descriptor, whose size is sealed', async () => {
    const fd = linux.memfd('guest', 3 * 4096);
    const [one, other] = [
      linux.mmap(fd, { length: 3 * 4096 }),
      linux.mmap(fd, { length: 4096, offset: 4096 }),
    ];
    one.bytes.set([1, 2, 3], 4096);
    expect([...other.bytes.subarray(0, 3)]).toEqual([1, 2, 3]);
    expect(linux.fileSize(fd)).toEqual({ size: 3 * 4096, page: 4096 });
    expect([linux.isEventfd(fd), await code(() => linux.watch(fd, { readable: true }, () => {}))]).toEqual([
      false,
      'EPERM',
    ]);
    expect(linux.foreign.libc.ftruncate(fd, 0)).toBe(-1);
    linux.close(fd);
    other.bytes[0] = 9;
    expect(one.bytes[4096]).toBe(9);
    one.unmap();
    other.unmap();
  });

  it('keeps views of memory harmless that was given back', () => {
    const fd = linux.memfd('gone', 4096);
    const mapping = linux.mmap(fd, { length: 4096 });
    const still = linux.mmap(fd, { length: 4096 });
    linux.close(fd);
    const view = mapping.bytes.subarray(10);
    view[0] = 5;
    mapping.unmap();
    mapping.unmap();
    expect(view[0]).toBe(0);
    view[0] = 7;
    expect(still.bytes[10]).toBe(5);
    still.unmap();
  });

  it('maps memory that is only read, and memory of its own with an address', () => {
    const own = linux.mmap(-1, { length: 8192 });
    expect(own.address % 4096n).toBe(0n);
    expect(own.bytes).toHaveLength(8192);
    own.unmap();
  });

  it('counts events and wakes who waits for them', async () => {
    const [a, b] = [linux.eventfd(), linux.eventfd(3)];
    expect(linux.readEvent(a)).toBeNull();
    expect(linux.readEvent(b)).toBe(3n);
    const ready = linux.poll([{ fd: a }, { fd: b }], 5000);
    linux.writeEvent(b, 2n);
    linux.writeEvent(b);
    expect(await ready).toEqual([b]);
    expect(linux.readEvent(b)).toBe(3n);
    linux.writeEvent(b, 0xffff_ffff_ffff_fffen);
    linux.writeEvent(b);
    expect(linux.readEvent(b)).toBe(0xffff_ffff_ffff_fffen);
    expect(await linux.poll([{ fd: a }], 20)).toEqual([]);
    const stop = new AbortController();
    const waiting = linux.poll([{ fd: a }], undefined, stop.signal);
    stop.abort();
    expect(await waiting).toEqual([]);
    expect(await linux.poll([{ fd: a }], undefined, stop.signal)).toEqual([]);
    linux.close(a);
    linux.close(b);
  });

  it('tells of a descriptor as long as it is ready, and never after the watch was closed', async () => {
    const event = linux.eventfd(1);
    let told = 0;
    await new Promise<void>((resolve) => {
      const watch = linux.watch(event, { readable: true }, () => {
        if (++told < 3) return;
        watch.close();
        resolve();
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(told).toBe(3);
    linux.close(event);
  });

  it('passes 10,000 messages with descriptors, in order, and leaves none open', () => {
    const [a, b] = linux.socketpair();
    const event = linux.eventfd();
    const into = new Uint8Array(64);
    for (let index = 0; index < 10_000; index++) {
      const fds = Array.from({ length: index % 9 }, () => event);
      const bytes = Uint8Array.of(index & 0xff, index >> 8, 1 + (index % 60));
      expect(linux.sendmsg(a, bytes, fds)).toBe(3);
      const received = linux.recvmsg(b, into, 8)!;
      expect(received.size).toBe(3);
      expect([...into.subarray(0, 3)]).toEqual([...bytes]);
      expect(received.fds).toHaveLength(index % 9);
      expect(received.cut).toBe(false);
      for (const fd of received.fds) {
        linux.writeEvent(fd);
        linux.close(fd);
      }
    }
    expect(linux.readEvent(event)).toBe(
      BigInt(Array.from({ length: 10_000 }, (_, i) => i % 9).reduce((x, y) => x + y)),
    );
    for (const fd of [a, b, event]) linux.close(fd);
    expect(openFds()).toBe(before);
  });

  it('says that descriptors were dropped when there were more than wanted', () => {
    const [a, b] = linux.socketpair();
    const fds = Array.from({ length: 20 }, () => a);
    for (const most of [0, 1, 3, 8]) {
      linux.sendmsg(a, Uint8Array.of(1), fds);
      const { fds: got, cut } = linux.recvmsg(b, new Uint8Array(4), most)!;
      expect(cut).toBe(true);
      // Room for an odd number is padded, and the kernel uses that.
      expect(got.length).toBeLessThanOrEqual(most + (most % 2));
      for (const fd of got) linux.close(fd);
    }
    linux.close(a);
    linux.close(b);
    expect(openFds()).toBe(before);
  });

  it('keeps the descriptors of a message with its first byte', () => {
    const [a, b] = linux.socketpair();
    linux.sendmsg(a, new Uint8Array(12));
    linux.sendmsg(a, new Uint8Array(12), [a]);
    const header = new Uint8Array(12);
    expect(linux.recvmsg(b, header)?.fds).toEqual([]);
    const second = linux.recvmsg(b, header.subarray(0, 4))!;
    expect(second.fds).toHaveLength(1);
    expect(linux.recvmsg(b, header)).toMatchObject({ size: 8, fds: [] });
    expect(linux.recvmsg(b, header)).toBeNull();
    for (const fd of [...second.fds, a]) linux.close(fd);
    expect(linux.recvmsg(b, header)?.size).toBe(0);
    linux.close(b);
  });

  it('says when a socket takes no more, and what fits of a long message', async () => {
    const [a, b] = linux.socketpair();
    let sent = 0;
    for (let size: number | null = 0; size !== null; size = linux.sendmsg(a, new Uint8Array(100_000)))
      sent += size;
    expect(sent).toBeGreaterThanOrEqual(LARGEST_MESSAGE);
    expect(await linux.poll([{ fd: a, writable: true }], 20)).toEqual([]);
    const into = new Uint8Array(LARGEST_MESSAGE);
    let got = 0;
    for (let part = linux.recvmsg(b, into); part !== null; part = linux.recvmsg(b, into)) got += part.size;
    expect(got).toBe(sent);
    expect(await linux.poll([{ fd: a, writable: true }], 5000)).toEqual([a]);
    linux.close(b);
    expect(await code(() => linux.sendmsg(a, new Uint8Array(1)))).toBe('EPIPE');
    expect(await code(() => linux.sendmsg(a, new Uint8Array(0), [a]))).toBe('EINVAL');
    linux.close(a);
  });

  it('listens for its owner alone, replaces what a dead process has left, and removes the file', async () => {
    const path = join(folder, 'socket');
    const listener = listenUnixSocket(linux, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await code(() => listenUnixSocket(linux, path))).toBe('EADDRINUSE');
    const accepted = listener.accept();
    const client = await connectUnixSocket(linux, path);
    const server = (await accepted)!;
    linux.sendmsg(client, Uint8Array.of(4));
    expect(await linux.poll([{ fd: server }], 5000)).toEqual([server]);
    const waiting = listener.accept();
    listener.close();
    listener.close();
    // The one that asked whether somebody listens has come first.
    const probe = await waiting;
    if (probe !== null) linux.close(probe);
    expect(await listener.accept()).toBeNull();
    expect(await code(() => connectUnixSocket(linux, path))).toBe('ENOENT');
    for (const fd of [client, server]) linux.close(fd);

    const stale = createServer();
    await new Promise<void>((resolve) => stale.listen(join(folder, 'live'), resolve));
    expect(await code(() => listenUnixSocket(linux, join(folder, 'live')))).toBe('EADDRINUSE');
    await new Promise((resolve) => stale.close(resolve));
    const dead = linux.check(linux.foreign.libc.socket(1, 1, 0), 'socket');
    const name = join(folder, 'dead');
    const at = Buffer.concat([Uint8Array.of(1, 0), Buffer.from(name), Uint8Array.of(0)]);
    linux.check(linux.foreign.libc.bind(dead, at, at.length), 'bind');
    linux.close(dead);
    chmodSync(name, 0o666);
    const again = listenUnixSocket(linux, name);
    expect(statSync(name).mode & 0o777).toBe(0o600);
    again.close();
    writeFileSync(join(folder, 'file'), 'mine');
    expect(await code(() => listenUnixSocket(linux, join(folder, 'file')))).toBe('EEXIST');
    expect(await code(() => listenUnixSocket(linux, `/${'x'.repeat(120)}`))).toBe('EINVAL');
    expect(await code(() => connectUnixSocket(linux, join(folder, 'file')))).toBe('ECONNREFUSED');
  });
});

it('says what is missing where there are no such calls', async () => {
  const platform = Object.getOwnPropertyDescriptor(process, 'platform')!;
  Object.defineProperty(process, 'platform', { value: 'darwin' });
  try {
    await expect(loadForeign()).rejects.toThrow(LinuxError);
    await expect(loadForeign()).rejects.toThrow(/works on Linux only, and this system is darwin/);
  } finally {
    Object.defineProperty(process, 'platform', platform);
  }
});
