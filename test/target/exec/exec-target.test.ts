import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type ExecTargetOptions, execTarget, type Target, TargetError } from '../../../src/target/index.js';
import { type DataFd, DeviceError } from '../../../src/uapi/index.js';
import { canned, HELLO } from './commands.js';

const opened: Target[] = [];
/** What the command has said on its standard error; that may come after its answers. */
let said: string[] = [];

function target(uri: string, options: ExecTargetOptions = {}): Target {
  said = [];
  const made = execTarget(uri, { message: (text) => said.push(text), ...options });
  opened.push(made);
  return made;
}

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

/** Why a target cannot be opened. */
const whyNot = (uri: string, options?: ExecTargetOptions): Promise<unknown> =>
  target(uri, options)
    .open()
    .then(
      () => 'it is open',
      (error) => (error instanceof TargetError ? error.message : error),
    );

/** Whether a process is there, and not only its exit status. */
function runs(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

const answersHello = `read -r line; echo '${JSON.stringify({ id: 0, ok: HELLO })}'`;

describe('calls', () => {
  it('go to the command, and its answers come back', async () => {
    const writes: [number, number][] = [];
    const device = await target(
      canned({
        set_state: { ok: { data_fd: 4 } },
        get_state: { ok: { state: 'PRE_COPY' } },
        read: { ok: { data: 'AAEC' } },
        write: { ok: { count: 2 } },
        close: { ok: {} },
        reset: { ok: {} },
        data_size: { ok: { bytes: 77 } },
        precopy_info: { ok: { initial: 5, dirty: 6, reinit: true } },
        precopy_info_v2: { ok: {} },
        read_region: { ok: { data: '/w==' } },
        write_region: ['{"event":"dma_write","iova":"0x2000","length":64}', '{"id":10,"ok":{}}'],
        log_start: { ok: { page_size: 8192 } },
        log_stop: { ok: {} },
        log_report: { ok: { bitmap: 'BQ==' } },
      }),
    ).open({ dmaWrite: (iova, length) => writes.push([iova, length]) });
    expect([device.name, device.flags, device.offersReset]).toEqual(['canned0', 7, true]);

    const fd = (await device.setState('PRE_COPY')) as DataFd;
    expect(await device.getState()).toBe('PRE_COPY');
    const into = new Uint8Array(8).fill(9);
    expect(await fd.read(into)).toBe(3);
    expect([...into]).toEqual([0, 1, 2, 9, 9, 9, 9, 9]);
    expect(await fd.write(Uint8Array.of(1, 2, 3))).toBe(2);
    expect(await fd.precopyInfo()).toEqual({ initial: 5n, dirty: 6n, reinit: true });
    await fd.close();
    await device.reset();
    expect(await device.dataSize()).toBe(77n);
    await device.optInPrecopyInfoV2();
    await device.writeRegion(2, 16, Uint8Array.of(255));
    expect(writes).toEqual([[0x2000, 64]]);
    expect([...(await device.readRegion(2, 16, 1))]).toEqual([255]);
    const logging = device.dmaLogging!;
    const ranges = [{ iova: 0x1000n, length: 0x3000n }];
    expect(await logging.start({ pageSize: 4096n, ranges })).toBe(8192n);
    const map = await logging.report({ iova: 0x1000n, length: 0x3000n, pageSize: 4096n });
    expect([0, 1, 2].map((page) => map.test(page))).toEqual([true, false, true]);
    await logging.stop();
    await vi.waitFor(() => expect(said.length).toBeGreaterThan(4));
    expect(said.map((line) => JSON.parse(line)).slice(1, 5)).toEqual([
      { id: 1, call: 'set_state', state: 'PRE_COPY' },
      { id: 2, call: 'get_state' },
      { id: 3, call: 'read', fd: 4, size: 8 },
      { id: 4, call: 'write', fd: 4, data: 'AQID' },
    ]);
  });

  it('fail with the errno that the device names', async () => {
    const device = await target(canned({ set_state: { error: 'EBUSY', message: 'not now' } })).open();
    const failure = await Promise.resolve(device.setState('STOP')).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DeviceError);
    expect(failure).toMatchObject({ code: 'EBUSY', message: 'EBUSY: not now' });
  });

  it('that the device lacks are not made', async () => {
    const made = target(canned({ hello: { ok: { ...HELLO, calls: ['reopen'] } } }));
    const device = await made.open();
    expect([...made.lacks].sort()).toEqual(HELLO.calls.filter((call) => call !== 'reopen').sort());
    expect([device.offersReset, device.dmaLogging]).toEqual([false, null]);
    await expect(device.reset()).rejects.toMatchObject({ code: 'ENOTTY' });
    await expect(device.dataSize()).rejects.toMatchObject({ code: 'ENOTTY' });
    await made.close();
    expect(said).toHaveLength(1);
  });

  it('of large data are made short', async () => {
    const device = await target(
      canned({
        set_state: { ok: { data_fd: 0 } },
        read: { error: 'ENOMSG' },
        write: { ok: { count: 1 << 20 } },
      }),
    ).open();
    const fd = (await device.setState('STOP_COPY')) as DataFd;
    await expect(fd.read(new Uint8Array(1 << 24))).rejects.toMatchObject({ code: 'ENOMSG' });
    await vi.waitFor(() => expect(said.at(-1)).toMatch(/"size":1048576/));
    expect(await fd.write(new Uint8Array((1 << 20) + 1))).toBe(1 << 20);
  });
});

describe('a command that cannot be used says why', () => {
  it.each([
    ['dies', 'exec:exit 3', /^exec:exit 3: the command has ended with status 3$/],
    ['dies with a message', 'exec:echo "no licence" >&2; exit 1', /status 1; its last message: no licence$/],
    ['is not there', 'exec:/no/such/model', /status 127; its last message: .*not found/],
    ['is killed', 'exec:kill -9 $$', /the command was ended by SIGKILL$/],
    ['closes its output', 'exec:exec >&-; sleep 9', /the command has closed its output$/],
    ['says what is no JSON', 'exec:echo Traceback; cat', /line 1 of its output is no JSON: "Traceback"/],
    ['says an empty line', 'exec:echo; cat', /line 1 of its output is no JSON: ""/],
    ['says what is no message', 'exec:echo "{}"; cat', /line 1 of its output is neither an answer/],
    ['answers what nobody has asked', `exec:echo '{"id":7,"ok":{}}'; cat`, /id 7, and none is open/],
    ['answers wrongly', `exec:echo '{"id":0,"ok":{"version":2}}'; cat`, /is no answer to hello \(version: /],
    ['has no such errno', `exec:echo '{"id":0,"error":"EMINE"}'; cat`, /has EMINE, which is no error number/],
    ['refuses', `exec:echo '{"id":0,"error":"EACCES"}'; cat`, /the device cannot be opened: EACCES/],
    [
      'cannot migrate',
      `exec:echo '${JSON.stringify({ id: 0, ok: { ...HELLO, flags: 2 } })}'; cat`,
      /its flags lack STOP_COPY/,
    ],
    ['has an endless line', 'exec:tr "\\0" a </dev/zero', /a line of its output has more than 2097152 char/],
  ])('%s', async (_name, uri, message) => {
    expect(await whyNot(uri)).toMatch(message);
  });

  it('is slow', async () => {
    expect(await whyNot('exec:sleep 9', { answerMs: 50 })).toBe(
      'exec:sleep 9: no answer to hello (id 0) within 0.05 s',
    );
  });

  it('is too long', async () => {
    expect(await whyNot(`exec:${'x'.repeat(1 << 20)}`)).toMatch(
      /^exec:x+\.\.\.: cannot start the command: .*E2BIG/,
    );
  });

  it('is none', () => {
    for (const uri of ['exec:', 'exec:  ', 'mock:uart', 'exec:a\0b'])
      expect(() => execTarget(uri)).toThrow(/: expected exec:COMMAND$/);
  });

  it('gives more than was asked for', async () => {
    const device = await target(
      canned({ set_state: { ok: { data_fd: 0 } }, read: { ok: { data: 'AAAA' } } }),
    ).open();
    const fd = (await device.setState('STOP_COPY')) as DataFd;
    await expect(fd.read(new Uint8Array(2))).rejects.toThrow(/a read of 2 bytes has given 3; docs/);
    await expect(device.getState()).rejects.toThrow(/a read of 2 bytes has given 3/);
  });

  it('dies between two calls', async () => {
    const device = await target(
      `exec:${answersHello}; read -r line; echo broken pipe of ours >&2; exit 4`,
    ).open();
    await expect(device.getState()).rejects.toThrow(TargetError);
    await expect(device.getState()).rejects.toThrow(/status 4; its last message: broken pipe of ours$/);
  });
});

describe('messages for people', () => {
  it('are passed on in lines that are fit for a terminal', async () => {
    const made = target(`exec:printf 'one\\033[31m\\ntwo\\n\\nthree' >&2; ${answersHello}`);
    await made.open();
    await made.close();
    expect(said).toEqual(['one', 'two', 'three']);
  });

  it('are bounded', async () => {
    const made = target(`exec:head -c 100000 /dev/zero | tr '\\0' x >&2; ${answersHello}; cat`);
    await made.open();
    await made.close();
    expect(said).toEqual([`${'x'.repeat(400)}... (the rest of its messages is left out)`]);
  });
});

describe('the life of the command', () => {
  it('is one open of the device', async () => {
    const made = target(`exec:echo start >&2; ${answersHello}; cat; echo end >&2`);
    await made.open();
    await expect(made.open()).rejects.toThrow(/is open already/);
    await made.close();
    await made.close();
    await made.open();
    await made.close();
    expect(said).toEqual(['start', 'end', 'start', 'end']);
  });

  it('ends by a signal when its input does not end it, with all that it has started', async () => {
    const stubborn = target(
      `exec:trap '' TERM; sleep 600 & echo $! >&2; ${answersHello}; while :; do wait; done`,
      {
        endMs: 50,
      },
    );
    await stubborn.open();
    await stubborn.close();
    const [pid] = said.map(Number);
    // Whoever adopts it may be slow to ask how it has ended.
    for (let times = 0; times < 50 && runs(pid!); times++) await sleep(10);
    expect(runs(pid!)).toBe(false);
  });

  it('leaves a waiting call with an error', async () => {
    const made = target(`exec:${answersHello}; cat >/dev/null`);
    const device = await made.open();
    const waiting = Promise.resolve(device.getState()).catch((error: unknown) => error);
    await made.close();
    expect(await waiting).toMatchObject({ message: expect.stringMatching(/is closed$/) });
  });
});
