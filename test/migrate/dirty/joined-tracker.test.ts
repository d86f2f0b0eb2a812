import { expect, test } from 'vitest';
import { JoinedTracker, type OwnLog } from '../../../src/migrate/dirty/joined-tracker.js';
import { PageBitmap } from '../../../src/migrate/dirty/page-bitmap.js';
import type { DirtyTracker } from '../../../src/migrate/dirty/tracker.js';
import { DeviceError } from '../../../src/uapi/device.js';

/** A log that writes down what is asked of it, and fails at some of it. */
function log(name: string, asked: string[], fails: readonly string[] = [], pages: readonly number[] = []) {
  const note = (what: string) => {
    asked.push(`${what} ${name}`);
    if (fails.includes(what)) throw new DeviceError('EIO', `${what} ${name}`);
  };
  return {
    start: () => note('start'),
    stop: async () => note('stop'),
    sync: (into: PageBitmap) => {
      note('sync');
      const count = into.count();
      for (const page of pages) into.set(page);
      return into.count() - count;
    },
  } satisfies OwnLog;
}

function joined(asked: string[], fails: Record<string, readonly string[]> = {}) {
  const marked: number[] = [];
  const tracker: DirtyTracker = {
    ...log('tracker', asked, fails.tracker, [1, 2]),
    name: 'iommu',
    syncs: 'when-stopped',
    mark: (address, length) => marked.push(address, length),
    beforeRead: (first) => void asked.push(`read ${first}`),
  };
  const logs = [log('a', asked, fails.a, [2, 3]), log('b', asked, fails.b, [9])];
  return { joined: new JoinedTracker(tracker, logs), marked };
}

test('all are started, asked and stopped, and the pages are those of all', async () => {
  const asked: string[] = [];
  const { joined: it, marked } = joined(asked);
  expect(it).toMatchObject({ name: 'iommu', syncs: 'when-stopped' });
  await it.start();
  const pages = new PageBitmap(16);
  expect(await it.sync(pages)).toBe(4);
  const found: number[] = [];
  pages.forEachSet((page) => void found.push(page));
  expect(found).toEqual([1, 2, 3, 9]);
  it.beforeRead!(2, 1);
  it.mark(0x1000, 8);
  expect(marked).toEqual([0x1000, 8]);
  await it.stop();
  await it.stop();
  const each = (what: string) => ['tracker', 'a', 'b'].map((name) => `${what} ${name}`);
  expect(asked).toEqual([...each('start'), ...each('sync'), 'read 2', ...each('stop')]);
});

test('when one does not start those before it are stopped, and its own error is told', async () => {
  const asked: string[] = [];
  const { joined: it } = joined(asked, { b: ['start'], tracker: ['stop'] });
  await expect(it.start()).rejects.toThrow(/start b/);
  expect(asked).toEqual(['start tracker', 'start a', 'start b', 'stop tracker', 'stop a']);
  asked.length = 0;
  await it.stop();
  expect(asked).toEqual([]);
});

test('all are stopped, whichever fails at it', async () => {
  const asked: string[] = [];
  const { joined: it } = joined(asked, { tracker: ['stop'], a: ['stop'] });
  await it.start();
  asked.length = 0;
  await expect(it.stop()).rejects.toThrow(/stop tracker/);
  expect(asked).toEqual(['stop tracker', 'stop a', 'stop b']);
});
