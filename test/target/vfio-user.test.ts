import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DmaDevice } from '../../devices/dma/dma.js';
import { Uart } from '../../devices/uart/uart.js';
import { capabilitySet } from '../../src/machines/index.js';
import { TargetError, vfioUserTarget } from '../../src/target/index.js';
import { DeviceError } from '../../src/uapi/device.js';
import { type ServerDma, serveVfioUser } from '../../src/vfio-user/index.js';
import { listening, served, shape, socketFolder } from '../vfio-user/servers.js';

/** A device with a log; its own DMA is of no interest here. */
const dmaDevice = () =>
  new DmaDevice('it', capabilitySet(['p2p', 'pre-copy']), { read: () => {}, write: () => {} });

const failure = (uri: string) =>
  vfioUserTarget(uri)
    .open()
    .catch((error) => {
      expect(error).toBeInstanceOf(TargetError);
      return error.message;
    });

test('a device is opened, closed, and opened again', async () => {
  const device = new Uart();
  const path = await listening(async (channel) => {
    device.reset();
    await serveVfioUser(channel, { device, ...shape(4096) });
  });
  const target = vfioUserTarget(`vfio-user:${path}`);
  expect(target.profile).toBeUndefined();
  const first = await target.open();
  expect([...target.lacks].sort()).toEqual(['data_size', 'dma_logging', 'precopy_info', 'precopy_info_v2']);
  expect(await first.setState('STOP')).toBeNull();
  await expect(target.open()).rejects.toThrow('is open already');
  await target.close();
  await target.close();
  const second = await target.open();
  expect(await second.getState()).toBe('RUNNING');
  expect(second.name).toBe(`vfio-user:${path}`);
  await target.close();
  await expect(second.getState()).rejects.toThrow('closed on this side');
});

test('as libvfio-user it has its profile, and neither reset nor log', async () => {
  const path = await served({ device: dmaDevice(), ...shape(4096) });
  const target = vfioUserTarget(`vfio-user:unix:${path}?dialect=libvfio-user&timeout=3000`);
  const device = await target.open();
  expect(target.profile).toBe('libvfio-user');
  expect(target.lacks).toContain('reset');
  expect(target.lacks).toContain('dma_logging');
  expect([device.offersReset, device.dmaLogging]).toEqual([false, null]);
  await target.close();
});

test('DMA writes of the device are told, and its log can be read', async () => {
  const it = dmaDevice();
  let dma: ServerDma | null = null;
  const attach = (given: ServerDma | null) => {
    dma = given;
  };
  const target = vfioUserTarget(`vfio-user:${await served({ device: it, ...shape(4096), attach })}`);
  const told: unknown[] = [];
  const device = await target.open({ dmaWrite: (iova, length) => told.push([iova, length]) });
  await dma!.write(0x3000, new Uint8Array(5000));
  expect(told).toEqual([[0x3000, 5000]]);
  expect(target.lacks).not.toContain('dma_logging');
  const range = { iova: 0n, length: 0x10_0000n, pageSize: 4096n };
  expect(await device.dmaLogging!.start({ pageSize: 4096n, ranges: [range] })).toBe(4096n);
  const again = device.dmaLogging!.start({ pageSize: 4096n, ranges: [range] });
  await expect(async () => again).rejects.toBeInstanceOf(DeviceError);
  expect((await device.dmaLogging!.report(range)).bits).toBe(256);
  await device.dmaLogging!.stop();
  await target.close();
});

test('what is in the way is said in a sentence', async () => {
  const folder = socketFolder();
  expect(await failure(`vfio-user:${folder}/none.sock`)).toMatch(
    'there is no such socket; start the server first',
  );
  writeFileSync(join(folder, 'file'), '');
  expect(await failure(`vfio-user:${folder}/file`)).toMatch('nobody listens at this socket');
  const echo = await listening((channel) => channel.receive((block) => void channel.write(block.slice())));
  expect(await failure(`vfio-user:${echo}?timeout=300`)).toMatch(/is a vfio-user server there, and free\?/);
  const flagless = Object.assign(Object.create(new Uart()), {
    flags: 0,
    offersReset: true,
    dmaLogging: null,
  });
  const path = await served({ device: flagless, ...shape(4096) });
  expect(await failure(`vfio-user:${path}`)).toMatch('the device cannot migrate: its flags lack STOP_COPY');
});

test.each([
  ['vfio-user:', 'expected vfio-user:/path.sock'],
  ['vfio-user:exec:cat', 'expected vfio-user:/path.sock|no such socket'],
  ['vfio-user:/x?dialect=mine', 'no dialect is called mine; there are specification, libvfio-user'],
  ['vfio-user:/x?timeout=0', 'timeout is a number of milliseconds'],
  ['vfio-user:/x?speed=1', 'no option is called speed'],
  ['vfio-user:tcp:host', 'expected HOST:PORT'],
])('%s is refused', async (uri, words) => {
  expect(await (async () => failure(uri))().catch((error: Error) => error.message)).toMatch(
    new RegExp(words),
  );
});
