import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control, sendCommand } from '../../src/cli/migrate/control.js';
import type { SourceMigration } from '../../src/migrate/source.js';
import type { VirtualMachine } from '../../src/migrate/virtual-machine.js';

let folder: string;
let path: string;
let control: Control;
/** What was done to the migration and the VM. */
let done: string[];
let vm: { running: boolean; runState: string; start: () => Promise<void> };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stopcopy-control-'));
  path = join(folder, 'control');
  done = [];
  vm = {
    running: false,
    runState: 'finish-migrate',
    start: async () => {
      done.push('start');
      vm.running = true;
    },
  };
  const migration = {
    status: 'device',
    cancel: () => {
      done.push('cancel');
      return true;
    },
    continueSwitchover: () => {
      done.push('continue');
      return false;
    },
  };
  control = await Control.open(
    path,
    () => migration as unknown as SourceMigration,
    vm as unknown as VirtualMachine,
  );
});

afterEach(async () => {
  await control.close();
  rmSync(folder, { recursive: true, force: true });
});

test('hands words on to the migration', async () => {
  expect(await sendCommand(path, 'cancel')).toBe('the migration is cancelled');
  expect(await sendCommand(path, 'continue')).toBe('the migration does not wait in pre-switchover');
  expect(await sendCommand(path, 'status')).toBe('device, VM finish-migrate');
  expect(await sendCommand(path, 'run')).toContain('expected one of cancel');
  expect(done).toEqual(['cancel', 'continue']);
});

test.each(['cont', 'quit'])('%s has to wait for the end of the migration', async (word) => {
  expect(await sendCommand(path, word)).toBe('not now: the migration is device, the VM finish-migrate');
  expect(done).toEqual([]);
  let ended = false;
  const end = control.waitForEnd().then(() => {
    ended = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(ended).toBe(false);
  await sendCommand(path, word);
  await end;
  expect(done).toEqual(word === 'cont' ? ['start'] : []);
});
