import { describe, expect, test } from 'vitest';
import { Uart } from '../../devices/uart/uart.js';
import type { DataFd } from '../../src/uapi/device.js';
import { VFIO_USER_DMA_FLAGS } from '../../src/uapi/vfio-user-device.js';
import {
  DIALECTS,
  LIBVFIO_USER,
  type ServerDma,
  SparseMemory,
  vfioUserDevice,
} from '../../src/vfio-user/index.js';
import { clientOf, served, shape } from './servers.js';

async function readAll(fd: DataFd): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const block = new Uint8Array(13);
  for (;;) {
    const size = await fd.read(block);
    if (size === 0) return Buffer.concat(parts);
    parts.push(block.slice(0, size));
  }
}

async function opened(device: Uart, dialect = DIALECTS[0]!) {
  const path = await served({ device, ...shape(8) }, { dialect });
  const client = await clientOf(path, { dialect });
  return { path, client, live: await vfioUserDevice(client, 'it') };
}

const code = (name: string) => expect.objectContaining({ name: 'DeviceError', code: name });

describe.each(DIALECTS.map((dialect) => [dialect.name, dialect] as const))('%s', (_name, dialect) => {
  test('a migration from server to server carries the state over', async () => {
    const [source, destination] = [new Uart('a'), new Uart('b')];
    const from = await opened(source, dialect);
    const to = await opened(destination, dialect);
    expect(from.live.flags).toBe(5);
    await from.live.writeRegion(0, 7, Uint8Array.of(0x5a));
    const fd = (await from.live.setState('PRE_COPY'))!;
    const block = new Uint8Array(1000);
    const size = await fd.read(block);
    await expect(fd.read(block.subarray(size))).rejects.toEqual(code('ENOMSG'));
    expect(await from.live.setState('STOP_COPY')).toBeNull();
    const rest = await readAll(fd);
    expect(await fd.read(block.subarray(size))).toBe(0);
    const into = (await to.live.setState('RESUMING'))!;
    const stream = Buffer.concat([block.subarray(0, size), rest]);
    for (let at = 0; at < stream.length; at += 7) await into.write(stream.subarray(at, at + 7));
    expect(await to.live.setState('RUNNING')).toBeNull();
    expect(await to.live.readRegion(0, 7, 1)).toEqual(Uint8Array.of(0x5a));
    expect(await to.live.getState()).toBe('RUNNING');
    expect(destination.readRegion(0, 1, 7)).toEqual(source.readRegion(0, 1, 7));
  });

  test('a fd is refused by the server after its session, and by us after a later one', async () => {
    const { live } = await opened(new Uart(), dialect);
    const fd = (await live.setState('STOP_COPY'))!;
    await live.setState('STOP');
    await expect(fd.read(new Uint8Array(4))).rejects.toEqual(code('ENODEV'));
    const later = (await live.setState('RESUMING'))!;
    await expect(fd.read(new Uint8Array(4))).rejects.toThrow('later session');
    await expect(fd.write(new Uint8Array(4))).rejects.toThrow('later session');
    await expect(later.read(new Uint8Array(4))).rejects.toEqual(code('EBADF'));
    await later.close();
    await expect(later.write(new Uint8Array(4))).rejects.toEqual(code('EBADF'));
  });

  test('what cannot be requested is refused, and changes nothing', async () => {
    const { live } = await opened(new Uart(), dialect);
    for (const state of ['RUNNING_P2P', 'PRE_COPY_P2P', 'ERROR', 8, 43_981, 0xffff_ffff] as const)
      await expect(live.setState(state), String(state)).rejects.toEqual(code('EINVAL'));
    expect(await live.getState()).toBe('RUNNING');
    await live.setState('STOP_COPY');
    await expect(live.setState('PRE_COPY')).rejects.toEqual(code('EINVAL'));
    expect(await live.getState()).toBe('STOP_COPY');
    expect(() => live.dataSize()).toThrow('ENOTTY');
  });
});

test('a device reaches the memory of the client, and nothing else', async () => {
  const device = new Uart();
  let dma: ServerDma | null = null;
  const path = await served({
    device,
    ...shape(8),
    attach: (it) => {
      dma = it;
    },
  });
  const memory = new SparseMemory(0x10_0000, 0x20_0000);
  const told: unknown[] = [];
  memory.onWrite = (iova, length) => told.push([iova, length]);
  const client = await clientOf(path, { memory, dialect: LIBVFIO_USER });
  const bytes = Uint8Array.from({ length: 200_000 }, (_, at) => at * 7);
  await expect(dma!.write(0x10_0000, bytes)).rejects.toEqual(code('EFAULT'));
  const { READ, WRITE } = VFIO_USER_DMA_FLAGS;
  await client.dmaMap({ addr: 0x10_0000n, size: 0x10_0000n, flags: READ | WRITE });
  await client.dmaMap({ addr: 0x20_0000n, size: 0x1000n, flags: READ });
  await dma!.write(0x10_0010, bytes);
  expect(told).toEqual([65_536, 65_536, 65_536, 3392].map((size, at) => [0x10_0010 + at * 65_536, size]));
  expect(Buffer.compare(await dma!.read(0x10_0010, bytes.length), bytes)).toBe(0);
  expect(await dma!.read(0x1f_fff0, 32)).toEqual(new Uint8Array(32));
  await expect(dma!.write(0x1f_fff0, new Uint8Array(32))).rejects.toEqual(code('EFAULT'));
  await expect(dma!.read(0x20_0ff0, 32)).rejects.toEqual(code('EFAULT'));
  await client.dmaUnmap({ addr: 0x10_0000n, size: 0x10_0000n });
  await expect(dma!.read(0x10_0010, 4)).rejects.toEqual(code('EFAULT'));
  await expect(client.dmaUnmap({ addr: 0x10_0000n, size: 0x10_0000n })).rejects.toEqual(code('ENOENT'));
  client.close();
  await expect.poll(() => dma).toBeNull();
});
