import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Uart } from '../../devices/index.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';
import type { DataFd } from '../../src/uapi/index.js';
import { broken, code, drain, fill, inLab, pour, refusal, stateOf } from './lab.js';

/** The bytes of a head: magic, version, kind, length, checksum. */
const HEAD = 16;

async function savedBy(seed: number): Promise<Uint8Array> {
  const source = new Uart('source');
  await fill(source, seed);
  return stateOf(source);
}

describe('the registers', () => {
  const put = (uart: Uart, at: number, value: number) => uart.writeRegion(0, at, Uint8Array.of(value));
  const get = (uart: Uart, at: number) => uart.readRegion(0, at, 1)[0];

  test('hold what can be written, and the divisor stands behind LCR bit 7', () => {
    const uart = new Uart();
    for (const at of [1, 3, 4, 7]) put(uart, at, 0x7f);
    expect([1, 3, 4, 7].map((at) => get(uart, at))).toEqual([0x0f, 0x7f, 0x1f, 0x7f]);
    put(uart, 3, 0x80);
    expect([...uart.readRegion(0, 0, 2)]).toEqual([12, 0]);
    uart.writeRegion(0, 0, Uint8Array.of(0x34, 0x12));
    expect([...uart.readRegion(0, 0, 2)]).toEqual([0x34, 0x12]);
    put(uart, 3, 3);
    expect(get(uart, 1)).toBe(0x0f);
  });

  test('the FIFO takes sixteen bytes, gives them in order, and can be emptied', () => {
    const uart = new Uart();
    for (let byte = 1; byte <= 20; byte++) uart.receive(byte);
    expect(get(uart, 5)! & 1).toBe(1);
    expect(Array.from({ length: 16 }, () => get(uart, 0))).toEqual(
      Array.from({ length: 16 }, (_, at) => at + 1),
    );
    expect(get(uart, 5)! & 1).toBe(0);
    uart.receive(9);
    put(uart, 2, 2);
    expect(get(uart, 5)! & 1).toBe(0);
  });

  test('what the guest sends goes out, or back in loopback', () => {
    const uart = new Uart();
    const sent: number[] = [];
    uart.transmit = (byte) => sent.push(byte);
    put(uart, 0, 65);
    put(uart, 4, 0x10);
    put(uart, 0, 66);
    expect([sent, get(uart, 0)]).toEqual([[65], 66]);
  });

  test('while the device is stopped nothing changes them', () => {
    const uart = new Uart();
    uart.receive(5);
    uart.setState('STOP');
    put(uart, 7, 1);
    uart.receive(6);
    expect([get(uart, 0), get(uart, 0), get(uart, 7)]).toEqual([5, 5, 0]);
    uart.setState('RUNNING');
    expect([get(uart, 0), get(uart, 5)! & 1]).toEqual([5, 0]);
  });

  test('there are eight in region 0', async () => {
    const uart = new Uart();
    for (const [region, at] of [
      [0, 8],
      [0, -1],
      [1, 0],
    ] as const) {
      expect(await code(() => uart.readRegion(region, at, 1))).toBe('EINVAL');
      expect(await code(() => uart.writeRegion(region, at, Uint8Array.of(0)))).toBe('EINVAL');
    }
  });
});

describe('a migration', () => {
  test('with PRE_COPY moves the state in any segmentation, and both sides are conformant', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...CAPABILITY_SETS.filter(({ preCopy }) => preCopy)),
        fc.nat(),
        fc.integer({ min: 1, max: 99 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        fc.array(fc.nat(255), { maxLength: 4 }),
        async (caps, seed, piece, sizes, changes) => {
          const source = inLab(new Uart('vf0', caps), 'source');
          const destination = inLab(new Uart('vf0'), 'destination');
          await fill(source.device, seed);
          const from = (await source.device.setState('PRE_COPY'))!;
          const to = (await destination.device.setState('RESUMING'))!;
          let turn = 0;
          const send = async () => pour(to, await drain(from, piece), () => sizes[turn++ % sizes.length]!);
          const announced = await from.precopyInfo();
          expect(announced).toEqual({ initial: BigInt(HEAD + 27), dirty: 0n });
          await send();
          for (const change of changes) {
            await source.device.writeRegion(0, 7, Uint8Array.of(change));
            expect(await from.precopyInfo()).toEqual({ initial: 0n, dirty: BigInt(HEAD + 27) });
            await send();
          }
          if (caps.p2p) await source.device.setState('PRE_COPY_P2P');
          expect(await source.device.setState('STOP_COPY')).toBeNull();
          await send();
          await source.device.setState('STOP');
          await destination.device.setState('STOP');
          await Promise.all([from.close(), to.close()]);
          expect(await stateOf(destination.device)).toEqual(await stateOf(source.device));
          expect(broken([...source.events, ...destination.events])).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a byte at a time, and all at once', async () => {
    const stream = await savedBy(3);
    for (const size of [1, stream.length]) {
      const uart = new Uart();
      await pour(uart.setState('RESUMING')!, stream, () => size);
      expect(await stateOf(uart)).toEqual(stream);
    }
  });

  test('that is cancelled in PRE_COPY leaves the source as it was', async () => {
    const uart = new Uart();
    await fill(uart, 4);
    const fd = uart.setState('PRE_COPY')!;
    fd.read(new Uint8Array(5));
    uart.setState('RUNNING');
    expect(await code(() => fd.read(new Uint8Array(5)))).toBe('ENODEV');
    expect(await stateOf(uart)).toEqual(await savedBy(4));
  });
});

describe('what is refused leaves the device as it was, and a reset makes it usable', () => {
  /** Loads bytes in pieces; the device must refuse them, in a write or at the arc, and change nothing. */
  async function refuse(bytes: Uint8Array, piece: number): Promise<string> {
    const { device, events } = inLab(new Uart());
    await fill(device, 11);
    const fd: DataFd = (await device.setState('RESUMING'))!;
    const inWrite = await refusal(() => pour(fd, bytes, () => piece));
    const error = inWrite ?? (await refusal(() => device.setState('STOP')));
    expect(error?.code).toBe('EINVAL');
    if (!inWrite) expect(await device.getState()).toBe('RESUMING');
    await device.reset();
    await fd.close();
    const again = (await device.setState('RESUMING'))!;
    await pour(again, await savedBy(12), () => 9);
    await device.setState('RUNNING');
    await again.close();
    expect(await stateOf(device)).toEqual(await savedBy(12));
    expect(broken(events)).toEqual([]);
    return error!.message;
  }

  test('a stream that is cut, at every place', async () => {
    const stream = await savedBy(5);
    for (let cut = 0; cut < stream.length; cut++)
      expect(await refuse(stream.subarray(0, cut), 7)).toMatch(/ends before its final record/);
  });

  test('a stream with a bit flipped, at every place', async () => {
    const stream = await savedBy(6);
    for (let bit = 0; bit < stream.length * 8; bit += 3) {
      const flipped = stream.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      await refuse(flipped, 1 + (bit % 50));
    }
  });

  test('a stream that goes on, one that is not ours, and one of a newer version', async () => {
    const stream = await savedBy(8);
    expect(await refuse(Buffer.concat([stream, stream.subarray(0, 1)]), 99)).toMatch(/goes on behind/);
    expect(await refuse(Buffer.from('QEVM but not a uart at all'), 3)).toMatch(/magic/);
    const newer = stream.slice();
    newer[4] = 2;
    expect(await refuse(newer, 99)).toMatch(/version 2, and only 1 is known/);
  });

  test('the registers keep what they had before RESUMING when the arc out of it fails', async () => {
    const uart = new Uart();
    uart.writeRegion(0, 7, Uint8Array.of(0x5a));
    const stream = await savedBy(9);
    const fd = uart.setState('RESUMING')!;
    fd.write(stream.subarray(0, 20));
    expect(await code(() => uart.setState('RUNNING'))).toBe('EINVAL');
    expect([uart.getState(), uart.readRegion(0, 7, 1)[0]]).toEqual(['RESUMING', 0x5a]);
    fd.write(stream.subarray(20));
    expect(await stateOf(uart)).toEqual(stream);
  });

  test('data that was refused stays refused', async () => {
    const uart = new Uart();
    const fd = uart.setState('RESUMING')!;
    expect(await code(() => fd.write(new Uint8Array(HEAD)))).toBe('EINVAL');
    expect(await code(() => fd.write(new Uint8Array(1)))).toBe('EINVAL');
    expect(await code(() => uart.setState('STOP'))).toBe('EINVAL');
    uart.reset();
    expect(await code(() => uart.setState('STOP'))).toBeUndefined();
    const again = uart.setState('RESUMING')!;
    expect(await code(async () => again.write(Buffer.concat([await savedBy(1), Uint8Array.of(0)])))).toBe(
      'EINVAL',
    );
    expect(await code(() => uart.setState('STOP'))).toBe('EINVAL');
  });
});

test('the example is shorter than 200 lines', () => {
  const text = readFileSync(new URL('../../devices/uart/uart.ts', import.meta.url), 'utf8');
  expect(text.split('\n').length).toBeLessThanOrEqual(200);
});
