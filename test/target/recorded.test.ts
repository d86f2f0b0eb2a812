import { expect, test } from 'vitest';
import { DmaLog, Uart } from '../../devices/index.js';
import { recorded } from '../../src/target/index.js';
import { ndjsonLine, type TraceEvent } from '../../src/trace/index.js';
import { type Device, DeviceError } from '../../src/uapi/index.js';
import { code, drain, inLab } from '../devices/lab.js';

const bare = (events: readonly TraceEvent[]) => events.map(({ host, ...rest }) => rest);

test('every call and its answer is an event, in order', async () => {
  const { device, events } = inLab(new Uart('0000:01:00.0'));
  const fd = (await device.setState('PRE_COPY'))!;
  await fd.precopyInfo();
  await drain(fd, 40);
  await device.dataSize();
  await code(() => device.setState('ERROR'));
  await code(() => device.setState(9));
  await device.optInPrecopyInfoV2();
  await fd.close();
  await device.reset();
  await device.getState();
  const on = { device: '0000:01:00.0' };
  expect(bare(events)).toEqual([
    { kind: 'device_open', ...on },
    { kind: 'capabilities', ...on, flags: 7, precopyInfoV2: false, dmaLogging: false, reset: true },
    { kind: 'set_state', ...on, state: 'PRE_COPY' },
    { kind: 'set_state_result', ...on, state: 'PRE_COPY', errno: 0, dataFd: true },
    { kind: 'precopy_info', ...on, initial: 43, dirty: 0, errno: 0 },
    { kind: 'data_read', ...on, size: 40, result: 40 },
    { kind: 'data_read', ...on, size: 40, result: 3 },
    { kind: 'data_read', ...on, size: 40, result: -42 },
    { kind: 'data_size', ...on, bytes: 43, errno: 0 },
    { kind: 'set_state', ...on, state: 'ERROR' },
    { kind: 'set_state_result', ...on, state: 'PRE_COPY', errno: 22, dataFd: false },
    { kind: 'set_state', ...on, state: 9 },
    { kind: 'set_state_result', ...on, state: 'PRE_COPY', errno: 22, dataFd: false },
    { kind: 'precopy_info_v2', ...on, errno: 0 },
    { kind: 'capabilities', ...on, precopyInfoV2: true },
    { kind: 'data_close', ...on },
    { kind: 'reset', ...on, errno: 0 },
    { kind: 'get_state', ...on, state: 'RUNNING', errno: 0 },
  ]);
  expect(events.map(ndjsonLine).join('')).toContain('"host":"lab"');
});

test('DMA logging, refusals, and the time', async () => {
  const model: Device = Object.assign(new Uart(), { dmaLogging: new DmaLog() });
  const events: TraceEvent[] = [];
  let t = 0;
  const device = recorded(model, { host: 'lab', emit: (event) => events.push(event), now: () => ++t });
  const logging = device.dmaLogging!;
  const range = { iova: 0x1000n, length: 0x1000n };
  await logging.start({ pageSize: 4096n, ranges: [range] });
  await code(() => logging.report({ ...range, pageSize: 512n }));
  await logging.stop();
  const fd = (await device.setState('RESUMING'))!;
  await code(() => fd.write(new Uint8Array(16)));
  const on = { device: 'uart0' };
  expect(bare(events).slice(2)).toEqual([
    { kind: 'dma_logging_start', t: 3, ...on, ranges: 1, pageSize: 4096, errno: 0 },
    { kind: 'dma_logging_report', t: 4, ...on, iova: '0x1000', length: '0x1000', pageSize: 512, errno: 22 },
    { kind: 'dma_logging_stop', t: 5, ...on, errno: 0 },
    { kind: 'set_state', t: 6, ...on, state: 'RESUMING' },
    { kind: 'set_state_result', t: 7, ...on, state: 'RESUMING', errno: 0, dataFd: true },
    { kind: 'data_write', t: 8, ...on, size: 16, result: -22 },
  ]);
});

test('a fault of the program is no answer of the device', async () => {
  const model = new Uart();
  model.setState = () => {
    throw new TypeError('a bug');
  };
  const { device, events } = inLab(model);
  await expect(device.setState('STOP')).rejects.toThrow(TypeError);
  expect(events.at(-1)?.kind).toBe('set_state');
});

test('an error has a name and a number that belong together', () => {
  expect(new DeviceError('ENOMSG', 'words')).toMatchObject({
    errno: 42,
    code: 'ENOMSG',
    message: 'ENOMSG: words',
  });
  expect(() => new DeviceError('ENOWAY', 'words')).toThrow(RangeError);
});
