import {
  closeSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Report } from '../../src/validate/report.js';
import { expectOneLine, stopcopy } from '../support/cli.js';
import { DEVICE, deviceName, traceText } from '../support/qemu-trace.js';
import { bigLog } from '../support/real-mix.mjs';

/** Size of the inputs, in MB; formats of which every line is JSON get a quarter. */
const SIZE = Number(process.env.STOPCOPY_LARGE_MB ?? 1000);
const MOST_MEMORY = 200;
const BLOCK = 1 << 20;

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-large-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file of `megabytes`: a head, then the lines that `line` gives, by their number from 0. */
function made(megabytes: number, head: string, line: (n: number) => string): string {
  const path = join(folder, 'input');
  const file = openSync(path, 'w');
  writeSync(file, Buffer.from(head, 'latin1'));
  let n = 0;
  for (let size = 0; size < megabytes * 1e6; ) {
    const lines: string[] = [];
    for (let length = 0; length < BLOCK; n++) {
      const text = line(n);
      lines.push(text);
      length += text.length;
    }
    size += writeSync(file, Buffer.from(lines.join(''), 'latin1'));
  }
  closeSync(file);
  return path;
}

interface Judged {
  code: number | null;
  err: string;
  report: Report | undefined;
}

/** Validates an input within the memory that is allowed, and tells how it went. */
function judge(what: string, path: string, ...flags: string[]): Judged {
  const start = performance.now();
  const { code, out, err, peak } = stopcopy(['validate', '--json', ...flags, path]);
  const seconds = (performance.now() - start) / 1000;
  const size = statSync(path).size / 1e6;
  console.log(
    `${what}: ${size.toFixed(0)} MB in ${seconds.toFixed(2)} s, peak ${peak.toFixed(0)} MB, exit ${code}`,
  );
  expect(peak).toBeLessThan(MOST_MEMORY);
  return { code, err, report: out === '' ? undefined : (JSON.parse(out) as Report) };
}

/** The first line start in a file at or after `offset`, and the number of that line from 1. */
function lineAt(path: string, offset: number): { start: number; line: number } {
  const file = openSync(path, 'r');
  const block = Buffer.alloc(BLOCK);
  let line = 1;
  for (let done = 0; ; ) {
    const length = readSync(file, block, 0, BLOCK, null);
    for (let at = block.indexOf(10); at >= 0 && at < length; at = block.indexOf(10, at + 1)) {
      line++;
      if (done + at + 1 >= offset) {
        closeSync(file);
        return { start: done + at + 1, line };
      }
    }
    done += length;
  }
}

/** A copy of a file with a text put in at `offset`. */
function withText(path: string, offset: number, text: string): string {
  const copy = join(folder, 'copy');
  const [from, to] = [openSync(path, 'r'), openSync(copy, 'w')];
  const block = Buffer.alloc(BLOCK);
  for (let done = 0; ; ) {
    const length = readSync(from, block, 0, done < offset ? Math.min(BLOCK, offset - done) : BLOCK, null);
    if (length === 0) break;
    writeSync(to, block, 0, length);
    done += length;
    if (done === offset) writeSync(to, text);
  }
  closeSync(from);
  closeSync(to);
  return copy;
}

describe('a mix of the lines of real logs', () => {
  const path = bigLog(SIZE);

  test('is conformant', () => {
    const { code, report } = judge('real mix', path);
    expect({ code, verdict: report?.verdict }).toEqual({ code: 0, verdict: 'conformant' });
    expect(report?.events.malformed).toBe(0);
  });

  test('is a violation at the line where there is one', () => {
    const { start, line } = lineAt(path, Math.floor(statSync(path).size * 0.9));
    const copy = withText(path, start, `vfio_migration_set_device_state  (${DEVICE}) state RESUMING\n`);
    const { code, report } = judge('real mix with one violation', copy);
    rmSync(copy);
    expect({ code, verdict: report?.verdict }).toEqual({ code: 1, verdict: 'violation' });
    const lines = report?.violations.filter(({ level }) => level !== 'note').map((each) => each.line);
    expect(lines?.[0]).toBe(line);
  });
});

describe('no newline at all', () => {
  const FORMATS = [
    'qemu-log',
    'ndjson',
    'uapi-bpftrace',
    'qmp',
    'vfio-user-jsonl',
    'libvfio-user-log',
    'vhost-user-capture',
    'kernel-log',
    'ftrace-kprobes',
    'strace',
  ];

  test('after the head of a real log', () => {
    const head = traceText('qemu-11.1/stop-cont/src.trace.log');
    const path = made(SIZE, head, () => 'x'.repeat(1000));
    const { code, report } = judge('real head, then no newline', path);
    expect({ code, cut: report?.inputs[0]?.cut }).toEqual({ code: 0, cut: true });
  });

  test('from the first byte on', () => {
    const { code, err } = judge(
      'letters without newline',
      made(SIZE, '', () => 'x'.repeat(1000)),
    );
    expect(code).toBe(2);
    expectOneLine(err, /unknown format/);
  });

  test.each(FORMATS)('zeros as %s', (format) => {
    const path = join(folder, 'zeros');
    closeSync(openSync(path, 'w'));
    truncateSync(path, SIZE * 1e6);
    expect(judge(`zeros as ${format}`, path, '--format', format).code).toBe(3);
  });

  test.each(FORMATS)('a head and one endless line as %s', (format) => {
    const path = made(SIZE / 4, '{"kind":"x","ev":"', () => 'a -> b, (c) = '.repeat(100));
    expect(judge(`endless line as ${format}`, path, '--format', format).code).toBe(3);
  });
});

const json = JSON.stringify;
const stamp = (n: number) => (n / 1e3).toFixed(6);

/** Lines of which each has a name that no other line has, wherever a format has names. */
const NAMES: Record<string, { size: number; head: string; line: (n: number) => string }> = {
  'qemu-log: devices': {
    size: SIZE,
    head: '',
    line: (n) => `vfio_migration_set_device_state  (${deviceName(n)}) state RUNNING\n`,
  },
  'qemu-log: long device names': {
    size: SIZE,
    head: 'migrate_set_state new state setup\n'.repeat(9000),
    line: (n) => `vfio_migration_set_device_state  (${String(n).padStart(100_000, 'x')}) state RUNNING\n`,
  },
  'qemu-log: devices that are opened': {
    size: SIZE,
    head: '',
    line: (n) =>
      `vfio_migration_realize  (${deviceName(n)})\nvfio_device_get  (${deviceName(n)}) flags 0x3\n`,
  },
  'qemu-log: event names': {
    size: SIZE,
    head: 'migrate_set_state new state setup\n',
    line: (n) => `event_${n.toString(36)} x 1\n`,
  },
  'qemu-log: run states': {
    size: SIZE / 2,
    head: '',
    line: (n) => `runstate_set current_run_state 7 (a${n}) new_state 9 (b${n})\n`,
  },
  'qemu-log: migrations': {
    size: SIZE / 2,
    head: '',
    line: (n) =>
      `2026-11-21T01:29:28.${String(n % 1_000_000).padStart(6, '0')}Z migrate_set_state new state ${n % 2 ? 'failed' : 'setup'}\n`,
  },
  'qemu-log: changes of state': {
    size: SIZE / 2,
    head: '',
    line: (n) => {
      const state = n % 2 ? 'PRE_COPY' : 'RUNNING';
      const time = `2026-11-21T01:29:28.${String(n % 1_000_000).padStart(6, '0')}Z`;
      return `${time} vfio_migration_set_state  (vf0) new state ${state}, recover state ERROR\n${time} vfio_migration_set_device_state  (vf0) state ${state}\n`;
    },
  },
  'qemu-log: packets': {
    size: SIZE / 2,
    head: '',
    line: (n) => `vfio_load_state_device_buffer_incoming  (vf0) idx ${n}\n`,
  },
  'ndjson: hosts and devices': {
    size: SIZE / 4,
    head: '{"schema":"stopcopy-trace-1"}\n',
    line: (n) =>
      `${json({ kind: 'get_state', host: `host${n >> 2}`, device: `vf${n}`, state: 'RUNNING', errno: 0 })}\n`,
  },
  'ndjson: kinds': {
    size: SIZE / 4,
    head: '{"schema":"stopcopy-trace-1"}\n',
    line: (n) => `${json({ kind: `kind_${n}_${'y'.repeat(1000)}`, host: 'h' })}\n`,
  },
  'ndjson: numbers as states': {
    size: SIZE / 8,
    head: '{"schema":"stopcopy-trace-1"}\n',
    line: (n) => `${json({ kind: 'set_state', host: 'h', device: 'vf0', state: n, recover: 'ERROR' })}\n`,
  },
  'uapi-bpftrace: processes and descriptors': {
    size: SIZE / 4,
    head: '{"schema":"stopcopy-uapi-1","ev":"begin"}\n',
    line: (n) =>
      `${json({ t: n * 1000, pid: n >> 4, tid: n, ev: 'device_open', fd: n & 15, ret: n & 15, name: `vf${n}` })}\n${json({ t: n * 1000 + 1, pid: n >> 4, tid: n, ev: 'vfio_device_feature', fd: n & 15, flags: 0x20002, in: 1, out: 1, data_fd: n, ret: 0, dur: 1 })}\n`,
  },
  'uapi-bpftrace: long records': {
    size: SIZE / 4,
    head: '{"schema":"stopcopy-uapi-1","ev":"begin"}\n',
    line: (n) =>
      `${json({ t: n * 1000, pid: 1, tid: 1, ev: 'data_read', fd: 1, count: 1, ret: 1, comm: 'z'.repeat(100_000) })}\n`,
  },
  'qmp: commands without a reply': {
    size: SIZE / 4,
    head: '',
    line: (n) =>
      `${json({ execute: 'query-migrate', id: `id${n}`, arguments: { x: 'y'.repeat(50_000) } })}\n`,
  },
  'qmp: devices': {
    size: SIZE / 4,
    head: '',
    line: (n) =>
      `${json({ event: 'VFIO_MIGRATION', timestamp: { seconds: n, microseconds: 0 }, data: { 'device-id': `vf${n}`, 'qom-path': '/x', 'device-state': 'running' } })}\n`,
  },
  'vfio-user-jsonl: commands without a reply': {
    size: SIZE / 4,
    head: '',
    line: (n) => {
      const size = 16 + 8 + 20_000;
      const head = Buffer.alloc(size);
      head.writeUInt16LE(n & 0xffff, 0);
      head.writeUInt16LE(16, 2);
      head.writeUInt32LE(size, 4);
      head.writeUInt32LE(8 + 20_000, 16);
      head.writeUInt32LE(0x20006, 20);
      return `${json({ t: n, dir: 'c2s', hex: head.toString('hex') })}\n`;
    },
  },
  'libvfio-user-log: devices': {
    size: SIZE / 4,
    head: '',
    line: (n) => `/var/run/vf${n}: migration: transitioning from state running to state pre-copy\n`,
  },
  'kernel-log: devices': {
    size: SIZE / 4,
    head: '',
    line: (n) => `[${stamp(n)}] mtty vf${n}: mtty_step_state: 2 -> 6\n`,
  },
  'kernel-log: long lines': {
    size: SIZE / 4,
    head: '[    0.000000] mtty vf0: mtty_step_state: 2 -> 6\n'.repeat(2000),
    line: (n) => `[${stamp(n)}] ${'x'.repeat(100_000)}: mtty vf${n}: mtty_step_state: 2 -> 6\n`,
  },
  'ftrace-kprobes: tasks': {
    size: SIZE / 4,
    head: '# tracer: nop\n',
    line: (n) =>
      `  task${n % 1000}-${n}  [001] .....    ${stamp(n)}: driver_set: (set_state+0x0/0x1 [mtty]) dev=0x${(n % 65536).toString(16)} new=6\n`,
  },
  'qemu-log: vhost pointers': {
    size: SIZE / 4,
    head: '',
    line: (n) =>
      `vhost_dev_init_in 0x${n.toString(16)}\nvhost_vdpa_init dev: 0x${n}, common dev: 0x${n}${'0'.repeat(20_000)} vdpa: 0x${n}\nvhost_vdpa_add_status dev: 0x${n} status: 0x3\n`,
  },
  'vhost-user-capture: requests without a reply': {
    size: SIZE / 4,
    head: '{"schema":"stopcopy-vhost-user-1"}\n',
    line: (n) => {
      const head = Buffer.alloc(12 + 4096);
      head.writeUInt32LE(1 + (n % 45), 0);
      head.writeUInt32LE(9, 4);
      head.writeUInt32LE(4096, 8);
      return `${json({ t: n, dir: 'f2b', hex: head.toString('hex'), fds: 1 })}\n`;
    },
  },
  'strace: paths and sockets': {
    size: SIZE / 4,
    head: '',
    line: (n) =>
      `${n} openat(AT_FDCWD, "/dev/vhost-vdpa-${n % 99_999}", O_RDWR) = ${n % 100_000} ${' '.repeat(5000)}\n` +
      `${n} openat(AT_FDCWD</${'x'.repeat(3000)}>, "/dev/vhost-vdpa-${n % 99_999}", O_RDWR) = ${n % 100_000}\n` +
      `${n} sendmsg(${n % 99_000}, {msg_iov=[{iov_base="\\2\\0\\0\\0\\1\\0\\0\\0\\0\\20\\0\\0", iov_len=12}]}, 0) = 12\n` +
      `${n} sendmsg(${n % 99_000}, {msg_iov=[{iov_base="${'a'.repeat(4000)}", iov_len=4000}]}, 0) = 4000\n`,
  },
  'strace: threads and descriptors': {
    size: SIZE / 4,
    head: '',
    line: (n) =>
      `${n} ioctl(${n % 100_000}, VFIO_DEVICE_RESET) = 0\n${n + 1} read(${n % 100_000}, "${'r'.repeat(5000)} <unfinished ...>\n`,
  },
};

describe('names without end', () => {
  test.each(Object.entries(NAMES))('%s', (what, { size, head, line }) => {
    const { code, err, report } = judge(what, made(size, head, line), '--format', what.split(':')[0]!);
    expect([0, 1, 3]).toContain(code);
    expect(err).toBe('');
    expect(report?.devices.length).toBeLessThanOrEqual(2048);
  });
});
