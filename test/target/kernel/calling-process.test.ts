import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { TargetError } from '../../../src/target/index.js';
import { startCaller } from '../../../src/target/kernel/calling-process.js';

const PROGRAM = new URL('../../../dist/target/kernel/caller.js', import.meta.url);
/** A program that says this first. */
const saying = (message: string, then: string) => `import { frame } from '${new URL('frames.js', PROGRAM)}';
process.stdin.on('data', () => { ${then} });
process.stdout.write(frame(${message}));`;
const start = (timeoutMs = 60_000, program = PROGRAM) => startCaller({ uri: 'vfio:x', timeoutMs, program });

describe.skipIf(process.platform !== 'linux')('the process that makes the calls', () => {
  const folder = mkdtempSync(join(tmpdir(), 'calls-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('answers call after call, in order', async () => {
    const caller = await start();
    const open = await caller.call({ call: 'open', path: '/dev/zero', flags: 2 }, 'open');
    const all = await Promise.all([
      caller.call({ call: 'read', fd: open.value, size: 4 }, 'read'),
      caller.call({ call: 'open', path: join(folder, 'none'), flags: 0 }, 'open'),
      caller.call({ call: 'close', fd: open.value }, 'close'),
      caller.call({ call: 'read', fd: open.value, size: 4 }, 'read'),
    ]);
    expect(all.map(({ errno }) => errno)).toEqual([0, constants.errno.ENOENT, 0, constants.errno.EBADF]);
    expect(all[0]!.bytes).toEqual(new Uint8Array(4));
    await caller.end();
    await expect(caller.call({ call: 'close', fd: 0 }, 'close')).rejects.toThrow(
      'vfio:x: the device is closed',
    );
    await caller.end();
  });

  test('closes all, rests, and goes on', async () => {
    const caller = await start();
    const open = () => caller.call({ call: 'open', path: '/dev/zero', flags: 2 }, 'open');
    const [first, second] = [await open(), await open()];
    expect(second.value).toBe(first.value + 1);
    await caller.rest();
    expect(caller.isUsable).toBe(true);
    expect((await open()).value).toBe(first.value);
    await caller.end();
    expect(caller.isUsable).toBe(false);
    await caller.rest();
  });

  test('is given up when a call hangs, and says which', async () => {
    const path = join(folder, 'fifo');
    execFileSync('mkfifo', [path]);
    const caller = await start(500);
    const hang = caller.call({ call: 'open', path, flags: 0 }, 'SET of MIG_DEVICE_STATE to STOP');
    const next = caller.call({ call: 'close', fd: 0 }, 'close');
    const words =
      'vfio:x: SET of MIG_DEVICE_STATE to STOP has not returned for 0.5 s: the driver hangs, see dmesg';
    await expect(hang).rejects.toThrow(new TargetError(words));
    await expect(next).rejects.toThrow(words);
    await caller.end();
  });

  test('may end by itself', async () => {
    const program = join(folder, 'ends.mjs');
    writeFileSync(program, saying('{ ready: true }', 'process.exit(3)'));
    const caller = await start(60_000, pathToFileURL(program));
    const call = caller.call({ call: 'close', fd: 0 }, 'close');
    await expect(call).rejects.toThrow('vfio:x: the process that makes the calls has ended (3)');
    await caller.end();
  });

  test('says when koffi is missing', async () => {
    const program = join(folder, 'missing.mjs');
    writeFileSync(program, saying(`{ ready: false, why: 'Cannot find package' }`, ''));
    await expect(start(60_000, pathToFileURL(program))).rejects.toThrow(
      'vfio:x: koffi, which makes the system calls, cannot be loaded (Cannot find package): npm install koffi',
    );
  });
});
