import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createServer, connect as dial, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, test } from 'vitest';
import type { MigrateReport } from '../../src/migrate/report.js';
import type { InspectReport } from '../../src/stream/report.js';
import type { TraceEvent } from '../../src/trace/event.js';
import type { Report } from '../../src/validate/report.js';
import { expectOneLine } from '../support/cli.js';
import { type Ended, Running, runs } from '../support/processes.js';

const TIMEOUT = 60_000;
const root = mkdtempSync(join(tmpdir(), 'stopcopy-e2e-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A folder for a test, and in it one where the command makes its own: they can be seen, and have to be gone. */
function scratch() {
  const folder = mkdtempSync(join(root, 'x'));
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  return { temporary, env: { TMPDIR: temporary }, at: (name: string) => join(folder, name) };
}

/** A small VM that is migrated at once. */
const SMALL = ['--ram', '48M', '--working-set', '2M', '--dirty-rate', '500', '--run-for', '0'];
const small = (...options: string[]) => [
  ...['migrate', ...SMALL, '--queues', '1', '--patience', '15000'],
  ...options,
];

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const exists = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined;
const reportOf = ({ out, err }: Ended): MigrateReport => {
  expect(out, err).toMatch(/^\{[\s\S]*\}\n$/);
  return JSON.parse(out) as MigrateReport;
};

/** The verdict on what was recorded. */
async function judge(...files: string[]) {
  const { out, err } = await runs(['validate', '--json', ...files]);
  expect(out, err).toMatch(/^\{[\s\S]*\}\n$/);
  const { verdict, violations, rules } = JSON.parse(out) as Report;
  return { verdict, violations, checked: rules.checked.length };
}

/** What the control socket answers. */
async function ask(control: string, word: string): Promise<string> {
  const socket = dial(control);
  socket.end(`${word}\n`);
  return text(socket);
}

/** Starts early, for it waits long. */
const nobodyThere = (() => {
  const started = performance.now();
  const { env, at } = scratch();
  return runs(small('--device', 'uart', '--to', `unix:${at('nobody')}`), { env }).then((ended) => ({
    ended,
    seconds: (performance.now() - started) / 1000,
  }));
})();

describe.concurrent('both sides by one command', () => {
  test('two VFs: the fixed names of the report, and a trace that is conformant', {
    timeout: TIMEOUT,
  }, async () => {
    const { temporary, env, at } = scratch();
    const record = at('pair.ndjson');
    const options = ['--device', 'e810-vf', '--vfs', '2', '--ram', '256M', '--run-for', '0'];
    const ended = await runs(['migrate', ...options, '--json', '--record', record], { env });
    expect(ended).toMatchObject({ code: 0, err: '' });
    const report = reportOf(ended);
    expect(report).toMatchObject({
      ...{ schema: 'stopcopy-migrate-1', outcome: 'completed', running: 'destination' },
      ...{ memoryEqual: true, deviceStateEqual: true, framesLost: 0, framesDuplicated: 0 },
    });
    const { bytes, downtimeMs, totalMs, rounds } = report;
    expect(Object.keys(bytes)).toEqual(['ram', 'device', 'total']);
    expect(bytes.ram).toBeGreaterThan(1e6);
    expect(bytes.device).toBe(report.devices[0]!.bytes + report.devices[1]!.bytes);
    expect(bytes.total).toBeGreaterThan(bytes.ram + bytes.device);
    expect(totalMs).toBeGreaterThan(downtimeMs!);
    expect(rounds).toBeGreaterThanOrEqual(2);
    expect(mode(record)).toBe('600');
    expect(readdirSync(temporary)).toEqual([]);
    const { verdict, violations, checked } = await judge(record);
    expect([verdict, violations]).toEqual(['conformant', []]);
    expect(checked).toBeGreaterThanOrEqual(40);
  });
});

describe.concurrent('two sides, each by a command of its own', () => {
  const sides = ['--precopy', '--generation', 'a'];

  test.each(['unix', 'tcp'])('over %s', { timeout: TIMEOUT }, async (kind) => {
    const { env, at } = scratch();
    const there = kind === 'unix' ? `unix:${at('two-sides')}` : 'tcp:127.0.0.1:0';
    const [here, other] = [at(`${kind}-source.ndjson`), at(`${kind}-destination.ndjson`)];
    const destination = new Running(small(...sides, '--incoming', there, '--record', other), { env });
    const [, uri] = await destination.says(/^waiting for a migration at (\S+)\n/);
    if (kind === 'unix') expect(mode(at('two-sides'))).toBe('600');
    const source = await runs(small(...sides, '--to', uri!, '--json', '--record', here), { env });
    expect(reportOf(source)).toMatchObject({
      ...{ outcome: 'completed', running: 'destination', memoryEqual: true, deviceStateEqual: true },
      ...{ framesLost: 0, framesDuplicated: 0, error: null },
    });
    expect(source).toMatchObject({ code: 0, err: '' });
    const { code, out, err } = await destination.ended;
    expect(code).toBe(0);
    expect(out).toBe('incoming migration COMPLETED\nguest continued here, 0 frames lost\n');
    expect(err.split('\n').slice(1)).toEqual(['setup', 'active', 'completed', '']);
    expect([exists(at('two-sides')), mode(here), mode(other)]).toEqual([false, '600', '600']);
    if (kind === 'unix')
      expect(await judge(here, other)).toMatchObject({ verdict: 'conformant', violations: [] });
  });

  test('a source waits for a destination, and says so', { timeout: TIMEOUT }, async () => {
    const { env, at } = scratch();
    const uri = `unix:${at('late')}`;
    const source = new Running(small('--device', 'uart', '--to', uri), { env });
    await source.says(/^nobody listens at unix:\S+late yet; trying for 10 s$/m);
    const destination = runs(small('--device', 'uart', '--incoming', uri, '--json'), { env });
    expect((await source.ended).code).toBe(0);
    expect(JSON.parse((await destination).out)).toMatchObject({
      ...{ schema: 'stopcopy-incoming-1', outcome: 'completed', error: null, running: true },
    });
  });

  test('VFs of two generations: the requirement is named, and the guest goes on', {
    timeout: TIMEOUT,
  }, async () => {
    const { env, at } = scratch();
    const uri = `unix:${at('generations')}`;
    const destination = new Running(small('--generation', 'b', '--incoming', uri), { env });
    await destination.says(/^waiting/);
    const source = await runs(small('--generation', 'a', '--to', uri, '--json'), { env });
    const report = reportOf(source);
    expect([source.code, report.outcome, report.running]).toEqual([1, 'failed', 'source']);
    expect(report.error).toMatch(/generation: the source has a, the destination has b/);
    expect(report.devices[0]!.works).toBe(true);
    const { code, out } = await destination.ended;
    expect([code, out]).toEqual([
      1,
      'incoming migration FAILED: 0000:00:04.0 generation: the source has a, the destination has b\nthe VM does not run here\n',
    ]);
  });
});

describe.concurrent('a file in between', () => {
  /** What is in a file is what the report says of it. */
  async function inspected(file: string, report: MigrateReport): Promise<void> {
    const { code, out } = await runs(['inspect', '--json', file]);
    expect(code).toBe(0);
    const { complete, sections, ram, vfio, bytes, error } = JSON.parse(out) as InspectReport;
    expect([complete, error, bytes]).toEqual([true, undefined, statSync(file).size]);
    expect(sections.filter(({ type }) => type === 'START').map(({ idstr }) => idstr)).toEqual([
      'ram',
      '0000:00:04.0/vfio',
    ]);
    expect(vfio.map(({ idstr }) => idstr)).toEqual(['0000:00:04.0/vfio']);
    expect(vfio[0]!.records).toBeGreaterThan(2);
    expect(bytes).toBe(report.bytes.total);
    expect(vfio[0]!.dataBytes).toBe(report.bytes.device);
    expect([ram.pages, ram.zeroPages]).toEqual([report.pages.normal, report.pages.zero]);
    expect(report.bytes.ram).toBe(4096 * ram.pages);
  }

  async function loads(file: string, device: string[] = [], fds: number[] = []): Promise<void> {
    const { code, out } = await runs(small(...device, '--incoming', file, '--json'), { fds });
    const { outcome, running, report } = JSON.parse(out);
    expect([code, outcome, running, report.complaints]).toEqual([0, 'completed', true, []]);
  }

  const UART = ['--device', 'uart'];
  const NOWHERE = { outcome: 'completed', running: 'none', memoryEqual: null, framesLost: null } as const;

  test('file:', { timeout: TIMEOUT }, async () => {
    const { env, at } = scratch();
    const file = at('vm.mig');
    const saved = await runs(small('--to', `file:${file}`, '--json'), { env });
    const report = reportOf(saved);
    expect(saved.code).toBe(0);
    expect(report).toMatchObject(NOWHERE);
    expect(mode(file)).toBe('600');
    await Promise.all([inspected(file, report), loads(`file:${file}`)]);
  });

  test('exec:', { timeout: TIMEOUT }, async () => {
    const { env, at } = scratch();
    const file = at('exec.mig');
    const saved = await runs(small(...UART, '--to', `exec:cat > ${file}`, '--json'), { env });
    expect(reportOf(saved)).toMatchObject(NOWHERE);
    await loads(`exec:cat ${file}`, UART);
  });

  test('fd:', { timeout: TIMEOUT }, async () => {
    const { env, at } = scratch();
    const file = at('fd.mig');
    const into = openSync(file, 'w');
    const saved = await runs(small(...UART, '--to', 'fd:3'), { env, fds: [into] });
    closeSync(into);
    expect(saved.code, saved.err).toBe(0);
    expect(saved.out).toMatch(/^migration COMPLETED\n {2}all of the VM is written, and it is stopped here\b/);
    const from = openSync(file, 'r');
    await loads('fd:3', UART, [from]);
    closeSync(from);
  });
});

describe.concurrent('what is wrong is said in a line', () => {
  const refused: [string, string[], RegExp][] = [
    [
      'a device',
      ['--device', 'ixgbe', '--incoming', 'fd:0'],
      /no device model is called ixgbe; there are e810-vf/,
    ],
    ['RAM, seen by a side of a pair', ['--ram', '20M'], /--ram 20971520: .* 25169920 or more/],
    ['a URI', ['--to', 'udp:1.2.3.4:5'], /--to .*"udp" is not known, expected tcp:HOST:PORT, unix:PATH/],
    ['a control', ['status', '--control', '/no/socket'], /unix:\S+: cannot connect: there is no such file/],
    ['a record', ['--record', '/no/such/folder'], /cannot write \S+: ENOENT/],
    ['post-copy', ['--capability', 'postcopy-ram', '--to', 'fd:1'], /VFIO devices do not support post-copy/],
  ];

  test.each(refused)('%s', { timeout: TIMEOUT }, async (_name, options, words) => {
    const { temporary, env } = scratch();
    const { code, out, err } = await runs(small(...options), { env });
    expect({ code, out }, err).toEqual({ code: 2, out: '' });
    // Before it there may be the prerequisites.
    expectOneLine(err.slice(err.indexOf('stopcopy: ')), words);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('nobody listens', { timeout: TIMEOUT }, async () => {
    const { ended, seconds } = await nobodyThere;
    expect([ended.code, ended.out]).toEqual([2, '']);
    expect(ended.err).toMatch(/nobody listens at unix:\S+ yet; trying for 10 s\n/);
    expect(ended.err).toMatch(/^stopcopy: unix:\S+: cannot connect: there is no such file\n$/m);
    expect(seconds).toBeLessThan(20);
  });
});

describe("a migration that is in somebody's hand", () => {
  const PAUSE = ['--capability', 'pause-before-switchover'];

  test('waits in pre-switchover, says how far it is, and goes on', { timeout: TIMEOUT }, async () => {
    const { temporary, env, at } = scratch();
    const control = at('continue');
    const pair = new Running(small(...PAUSE, '--control', control), { env });
    await pair.says(/pre-switchover/);
    expect(mode(control)).toBe('600');
    const [folderOfPair] = readdirSync(temporary);
    expect(mode(join(temporary, folderOfPair!))).toBe('700');
    expect(await ask(control, 'status')).toBe('pre-switchover, VM finish-migrate\n');
    const answer = await runs(['migrate', 'continue', '--control', control]);
    expect(answer).toMatchObject({ code: 0, out: 'the switchover goes on\n', err: '' });
    const { code, out, err } = await pair.ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^migration COMPLETED\n {2}guest continued on destination, 0 frames lost\n/);
    for (const line of [
      'ok   0000:00:04.0 supports migration: migration flags 0x3',
      'ok   0000:00:04.0 can be dirty tracked: by the IOMMU',
      'ok   RAM size: 50331648 bytes',
      'ok   machine type: stopcopy-pc-1',
      'ok   0000:00:04.0 queue pairs: 1',
      'ok   capabilities: pause-before-switchover return-path',
    ])
      expect(err.split('\n')).toContain(line);
    const progress = err.split('\n').filter((line) => /^\d+\.\d s /.test(line));
    const phases = progress.map((line) => line.split(' ')[2]);
    expect([...new Set(phases)]).toEqual(['setup', 'active', 'pre-switchover', 'device', 'completed']);
    expect([...err].filter((character) => character < ' ' && character !== '\n')).toEqual([]);
    expect([exists(control), readdirSync(temporary)]).toEqual([false, []]);
  });

  test.each<[string, (pair: Running, control: string) => unknown]>([
    ['a word', (_, control) => ask(control, 'cancel')],
    ['an interrupt', (pair) => pair.kill('SIGINT')],
  ])('is cancelled by %s, and the guest goes on', { timeout: TIMEOUT }, async (_name, cancel) => {
    const { temporary, env, at } = scratch();
    const [control, record] = [at('control'), at('cancelled.ndjson')];
    const pair = new Running(small(...PAUSE, '--control', control, '--record', record), { env });
    await pair.says(/pre-switchover {2}STOP/);
    await cancel(pair, control);
    const { code, out } = await pair.ended;
    expect(code).toBe(1);
    expect(out).toMatch(/^migration CANCELLED: .*\n {2}guest continues on source\n/);
    expect(out).toMatch(/of state, works, .* 0 lost/);
    expect([exists(control), readdirSync(temporary)]).toEqual([false, []]);
    expect(await judge(record)).toMatchObject({ verdict: 'conformant' });
  });

  test('goes on at the source when the destination is killed', { timeout: TIMEOUT }, async () => {
    const { env, at } = scratch();
    const uri = `unix:${at('killed')}`;
    const destination = new Running(small('--incoming', uri), { env });
    await destination.says(/^waiting/);
    const source = new Running(small('--to', uri, '--max-bandwidth', '1M'), { env });
    await source.says(/ active .* sent [1-9]/);
    destination.kill();
    const { code, out } = await source.ended;
    expect(code).toBe(1);
    expect(out).toMatch(/^migration FAILED: .*\n {2}guest continues on source\n/);
    expect(out).toMatch(/of state, works, /);
    // The next destination takes the place of the dead one.
    const next = new Running(small('--incoming', uri), { env });
    await next.says(/^waiting/);
    next.kill('SIGTERM');
    await next.ended;
  });
});

/** Asks until the answer is this. */
async function waitFor(control: string, status: RegExp): Promise<void> {
  while (!status.test(await ask(control, 'status').catch(() => '')))
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Stands between the two sides, and cuts the connection when the destination answers the last byte. */
async function cutBeforeTheAnswer(path: string, target: string) {
  const state = { armed: false, close: () => {} };
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = dial(target);
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on('error', () => {});
    near.pipe(far);
    far.on('data', (bytes) => {
      if (state.armed) for (const socket of [near, far]) socket.destroy();
      else near.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  state.close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return state;
}

describe.concurrent('a connection that is cut between the last byte and its answer', () => {
  const PAUSE = ['--capability', 'pause-before-switchover'];

  test.each(['cont', 'quit'])('the source waits for a word: %s', { timeout: TIMEOUT }, async (word) => {
    const { env, at } = scratch();
    const [there, proxy, control, record] = [at('there'), at('proxy'), at('control'), at('cut.ndjson')];
    const destination = new Running(small(...PAUSE, '--incoming', `unix:${there}`), { env });
    await destination.says(/^waiting/);
    const cut = await cutBeforeTheAnswer(proxy, there);
    try {
      const options = ['--to', `unix:${proxy}`, '--control', control, '--record', record, '--json'];
      const source = new Running(small(...PAUSE, ...options), { env });
      await waitFor(control, /^pre-switchover/);
      cut.armed = true;
      expect(await ask(control, 'continue')).toBe('the switchover goes on\n');
      await source.says(/\n\}\n$/, 'out');
      const report = JSON.parse(source.out) as MigrateReport;
      expect([report.outcome, report.running]).toEqual(['ambiguous', 'none']);
      for (const command of ['quit', 'cont'])
        expect(report.advice).toContain(`stopcopy migrate --control ${control} ${command}`);
      expect(await ask(control, 'status')).toMatch(/VM finish-migrate\n$/);
      expect(await ask(control, 'cancel')).toBe('there is nothing to cancel any more\n');
      expect(await ask(control, word)).toBe(
        word === 'cont' ? 'the VM runs here again\n' : 'the VM is given up here\n',
      );
      expect((await source.ended).code).toBe(3);
      const events = readFileSync(record, 'utf8')
        .trimEnd()
        .split('\n')
        .slice(1)
        .map((line) => JSON.parse(line) as TraceEvent);
      const after = events.slice(events.findLastIndex(({ kind }) => kind === 'migration_error'));
      const ran = after.flatMap((event) => (event.kind === 'guest_check' ? [event.works] : []));
      expect(ran).toEqual(word === 'cont' ? [true] : []);
      expect(after.some((event) => event.kind === 'run_state' && event.to === 'running')).toBe(
        word === 'cont',
      );
      expect(exists(control)).toBe(false);
      expect((await destination.ended).out).toMatch(/^incoming migration COMPLETED\n/);
    } finally {
      cut.close();
    }
  });
});
