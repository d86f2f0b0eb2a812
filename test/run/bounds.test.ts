import { expect, it } from 'vitest';
import { onFd, wrapDevice, wrapFd } from '../../devices/faults/wrap.js';
import { Uart } from '../../devices/index.js';
import { caseOf, reportOf, SAVE_AND_LOAD, targetOf } from './fixture.js';

const never = () => new Promise<never>(() => {});
const get = caseOf('get', [{ do: 'get', expect: 'GET.RUNNING' }]);
const last = caseOf('last', [{ do: 'data_size', expect: 'DATA_SIZE.ok' }]);

it('a stream without end is left, and nothing is written from it', async () => {
  const device = onFd(new Uart(), (fd) => wrapFd(fd, { read: (into) => into.length }));
  const report = await reportOf(device, [SAVE_AND_LOAD, get], { maxBytes: 1 << 20 });
  expect(report.failures[0]).toMatchObject({ case: 'image', step: 1, actual: 'READ.endless' });
  expect(report.skipped).toMatchObject([{ case: 'save-and-load' }]);
  expect(report).toMatchObject({ verdict: 'fail', cases: 2, passed: 1 });
});

it('a call that does not come back ends the run, and is named', async () => {
  const uart = new Uart();
  const device = wrapDevice(uart, { dataSize: never });
  const hangs = caseOf('hangs', [{ do: 'data_size', expect: 'DATA_SIZE.ok', rule: 'VFIO-SES-13' }]);
  const report = await reportOf(device, [get, hangs, get], { timeout: 50 });
  expect(report.failures).toMatchObject([{ case: 'hangs', rule: 'VFIO-SES-13', actual: 'no answer' }]);
  expect(report.failures[0]!.message).toBe('GET of MIG_DATA_SIZE has not returned within 50 ms');
  expect(report).toMatchObject({ verdict: 'fail', cases: 2, passed: 1 });
  expect(report.remarks.join()).toContain('1 case did not run: GET of MIG_DATA_SIZE');
});

it('a target whose opening hangs cannot be used', async () => {
  const target = { ...targetOf(new Uart()), open: never };
  await expect(reportOf(new Uart(), [get], { target, timeout: 50 })).rejects.toThrow(
    'the opening of test:device has not returned within 50 ms',
  );
});

it('a device that breaks fails its case, and the others run on a new one', async () => {
  const device = wrapDevice(new Uart(), {
    dataSize: () => {
      throw new TypeError('x is not a function');
    },
  });
  const report = await reportOf(device, [last, get], { shrinkTries: 0 });
  expect(report.failures).toMatchObject([{ case: 'last', actual: 'broken', message: 'x is not a function' }]);
  expect(report).toMatchObject({ verdict: 'fail', cases: 2, passed: 1 });
});

it('a device that nothing brings back ends the run', async () => {
  let stuck = false;
  const uart = new Uart();
  const device = wrapDevice(uart, {
    setState: (state) => {
      stuck ||= state === 'STOP_COPY' && uart.getState() === 'STOP';
      return stuck ? null : uart.setState(state);
    },
    getState: () => (stuck ? 'ERROR' : uart.getState()),
  });
  const sticks = caseOf('sticks', [
    { do: 'set', state: 'STOP', expect: 'SET.STOP' },
    { do: 'set', state: 'STOP_COPY', expect: 'SET.STOP_COPY.data_fd', at: 'STOP' },
  ]);
  const report = await reportOf(device, [sticks, get]);
  expect(report.verdict).toBe('fail');
  expect(report.remarks.join()).toContain('1 case did not run: the device is in ERROR');
});

it('so many different failures are enough', async () => {
  const device = wrapDevice(new Uart(), { getState: () => 'RUNNING_P2P' });
  const cases = Array.from({ length: 5 }, (_, n) =>
    caseOf(`get-${n}`, [{ do: 'get', expect: 'GET.RUNNING' }]),
  );
  const report = await reportOf(device, cases, { maxFailures: 1, shrinkTries: 0 });
  expect(report.cases).toBeLessThan(5);
});
