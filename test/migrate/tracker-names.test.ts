import { expect, test } from 'vitest';
import { DIRTY_TRACKERS } from '../../src/migrate/dirty/index.js';
import { CPU_TRACKERS, DEVICE_TRACKERS } from '../../src/migrate/tracker-names.js';

test('the command line knows every tracker by its writers', () => {
  const names = (...writers: string[]) =>
    DIRTY_TRACKERS.filter((each) => writers.includes(each.writers)).map(({ name }) => name);
  expect(names('vCPUs')).toEqual([...CPU_TRACKERS]);
  expect(names('devices', 'all')).toEqual([...DEVICE_TRACKERS]);
});
