import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadLibc } from '../../../src/target/kernel/libc.js';
import type { Answer, Call } from '../../../src/target/kernel/syscalls.js';
import { ERRNO, IOCTLS } from '../../../src/uapi/index.js';

/** An ioctl that any file has: bytes up to its end, put at the argument. */
const FIONREAD = 0x541b;

describe.skipIf(process.platform !== 'linux')('real system calls', () => {
  const folder = mkdtempSync(join(tmpdir(), 'libc-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  let perform: (call: Call) => Answer;
  beforeAll(async () => {
    perform = await loadLibc();
  });

  const failure = (call: Call) => {
    const { value, errno } = perform(call);
    expect(value).toBe(-1);
    return errno;
  };

  test('tell their errno', () => {
    const path = join(folder, 'missing');
    expect(failure({ call: 'open', path, flags: constants.O_RDWR })).toBe(ERRNO.ENOENT);
    const request = IOCTLS.VFIO_DEVICE_FEATURE;
    const fd = openSync('/dev/null', 'r+');
    expect(failure({ call: 'ioctl', fd, request, arg: new Uint8Array(16) })).toBe(ERRNO.ENOTTY);
    expect(failure({ call: 'ioctl', fd, request: IOCTLS.VFIO_DEVICE_RESET, arg: 0 })).toBe(ERRNO.ENOTTY);
    expect(failure({ call: 'read', fd: -1, size: 1 })).toBe(ERRNO.EBADF);
    expect(failure({ call: 'write', fd: -1, bytes: new Uint8Array(1) })).toBe(ERRNO.EBADF);
    expect(failure({ call: 'close', fd: -1 })).toBe(ERRNO.EBADF);
    // A call that succeeds clears nothing: what failed before it must not show.
    expect(perform({ call: 'write', fd, bytes: new Uint8Array(3) })).toMatchObject({ value: 3, errno: 0 });
    closeSync(fd);
  });

  test('move bytes', () => {
    const path = join(folder, 'bytes');
    writeFileSync(path, '0123456789');
    const { value: fd } = perform({ call: 'open', path, flags: constants.O_RDWR });
    expect(fd).toBeGreaterThan(2);
    const read = (size: number, offset?: bigint) => {
      const call: Call = { call: 'read', fd, size, ...(offset === undefined ? {} : { offset }) };
      return Buffer.from(perform(call).bytes).toString();
    };
    expect([read(3), read(3), read(2, 8n), read(100), read(5)]).toEqual(['012', '345', '89', '6789', '']);
    expect(perform({ call: 'read', fd, size: 2, offset: 1n << 40n })).toMatchObject({ value: 0, errno: 0 });
    expect(perform({ call: 'write', fd, bytes: Buffer.from('xy'), offset: 4n }).value).toBe(2);
    expect(read(4, 3n)).toBe('3xy6');
    expect(perform({ call: 'close', fd })).toMatchObject({ value: 0, errno: 0 });
    expect(readFileSync(path, 'utf8')).toBe('0123xy6789');
  });

  test('give back what the kernel puts into the argument of an ioctl', () => {
    const path = join(folder, 'argument');
    writeFileSync(path, 'seven b');
    const { value: fd } = perform({ call: 'open', path, flags: constants.O_RDONLY });
    const arg = new Uint8Array(4).fill(0xff);
    const { value, bytes } = perform({ call: 'ioctl', fd, request: FIONREAD, arg });
    expect([value, ...bytes]).toEqual([0, 7, 0, 0, 0]);
    expect([...arg]).toEqual([0xff, 0xff, 0xff, 0xff]);
    perform({ call: 'close', fd });
  });

  test('put the address of memory into the argument of an ioctl', () => {
    const fd = openSync('/dev/null', 'r');
    const memory = Uint8Array.of(1, 2, 3);
    // /dev/null refuses it, and what was pointed at comes back untouched.
    const answer = perform({
      call: 'ioctl',
      fd,
      request: IOCTLS.VFIO_DEVICE_FEATURE,
      arg: new Uint8Array(24),
      pointed: [{ at: 16, bytes: memory }],
    });
    const address = new DataView(answer.bytes.buffer).getBigUint64(16, true);
    expect(address).toBeGreaterThan(0xffffn);
    expect(answer.pointed).toEqual([memory]);
    closeSync(fd);
  });
});
