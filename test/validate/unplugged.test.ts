import { expect, test } from 'vitest';
import { device, vmm } from '../../src/rules/example.js';
import { validateEvents } from '../../src/validate/index.js';

const d = device();
const gone = device('gone');
const v = vmm();
const down = (each: ReturnType<typeof device>) => ({
  first: [...each.call('RUNNING_P2P'), each.prepare(false, 'paused')],
  last: [...each.call('STOP'), each.change(false, 'paused')],
});
const up = (each: ReturnType<typeof device>) => ({
  first: [...each.call('RUNNING_P2P'), each.prepare(true)],
  last: [...each.call('RUNNING'), each.change(true)],
});
/** A VM stop and a start over some devices. */
const cycle = (...devices: ReturnType<typeof device>[]) => [
  v.stop('paused'),
  ...devices.flatMap((each) => down(each).first),
  ...devices.flatMap((each) => down(each).last),
  v.start(),
  ...devices.flatMap((each) => up(each).first),
  ...devices.flatMap((each) => up(each).last),
];
const opened = [
  ...d.open(),
  ...gone.open(),
  v.start(),
  ...up(d).first,
  ...up(gone).first,
  ...up(d).last,
  ...up(gone).last,
];

test('a device that was unplugged owes no phases of later stops', () => {
  const report = validateEvents([...opened, ...cycle(d, gone), ...cycle(d), ...cycle(d)]);
  expect(report.violations.filter(({ level }) => level !== 'note')).toEqual([]);
});

test('a device that comes again after it was passed over was passed over', () => {
  const report = validateEvents([...opened, ...cycle(d, gone), ...cycle(d), ...cycle(d, gone)]);
  expect(report.violations.map(({ rule, device: name }) => [rule, name])).toContainEqual([
    'VMM-STOP-05',
    'gone',
  ]);
});
