import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { validateEvents, validateInputs } from '../../src/validate/index.js';
import type { Report, Verdict } from '../../src/validate/report.js';
import { replay, type Step, steps } from './vhostlog-replay.js';

/** Small copies, which are always there, and the whole recordings, which need not be. */
const BUNDLED = new URL('../traces/vhost/', import.meta.url).pathname;
const WHOLE = new URL('../../../shared/traces/', import.meta.url).pathname;

/** What a recorded run has to be judged: a verdict, and `rule party level` of each finding, notes included. */
interface Expected {
  verdict: Verdict;
  findings?: string[];
}

const conformant: Expected = { verdict: 'conformant' };

/** QEMU's logs of the runs, both sides together, by folder of the whole recordings. */
const QEMU_LOGS: Readonly<Record<string, Expected>> = {
  'vhost-user/passt-happy': conformant,
  // The rings start while logging is on: each is kicked before SET_LOG_BASE.
  'vhost-user/passt-dst-killed': { verdict: 'violation', findings: ['VHOST-USR-51 vmm must'] },
  // The back end is lost in the midst of it; the migration fails, and the VM goes on.
  'vhost-user/passt-src-backend-killed': { verdict: 'conformant', findings: ['VHOST-USR-75 driver note'] },
  // The rings are never started: nothing but the negotiation.
  'vhost-user/testpmd-happy': conformant,
  'vdpa-vhost-net/vdpa-happy': conformant,
  // After the cancel the device runs with shadow virtqueues again.
  'vdpa-vhost-net/vdpa-cancel': { verdict: 'violation', findings: ['SVQ-03 vmm should'] },
  // The guest's driver never came up.
  'vdpa-vhost-net/vdpa-svq': conformant,
  // QEMU traces no request of kernel vhost.
  'vdpa-vhost-net/vhostnet-happy': { verdict: 'inconclusive' },
};

/** Straces of the back ends of the same runs. The payloads of requests do not show. */
const STRACES: Readonly<Record<string, Expected>> = {
  'vhost-user/passt-happy': conformant,
  'vhost-user/passt-dst-killed': conformant,
};

function findings(report: Report): string[] {
  return [...new Set(report.violations.map(({ rule, party, level }) => `${rule} ${party} ${level}`))].sort();
}

function filesOf(folder: string, what: RegExp): { file: string }[] {
  return readdirSync(folder)
    .filter((name) => what.test(name))
    .map((name) => ({ file: `${folder}/${name}` }));
}

async function expectReport(files: { file: string }[], expected: Expected): Promise<Report> {
  expect(files).not.toEqual([]);
  const report = await validateInputs(files);
  expect(findings(report)).toEqual(expected.findings ?? []);
  expect(report.verdict).toBe(expected.verdict);
  expect(report.events.malformed).toBe(0);
  expect(report.events.unknown).toEqual({});
  return report;
}

const LOG = /\.trace\.log(\.gz)?$/;
const STRACE = /\.strace(\.gz)?$/;
const short = (folder: string) => folder.slice(folder.indexOf('/') + 1);

describe('the bundled copies', () => {
  test.each(Object.entries(QEMU_LOGS))('%s: QEMU logs', async (folder, expected) => {
    await expectReport(filesOf(BUNDLED + short(folder), LOG), expected);
  });

  test.each(Object.entries(STRACES))('%s: strace of the back end', async (folder, expected) => {
    await expectReport(filesOf(BUNDLED + short(folder), STRACE), expected);
  });

  test('both ends of one connection, with payloads', async () => {
    await expectReport(filesOf(`${BUNDLED}strace`, /^vhost-user-both-ends\.strace\.gz$/), conformant);
  });

  test('hold no traffic of the guest: every line moves a header, or a header with 8 bytes', () => {
    const ours = /iov_len=(12|20)\}\], msg_iovlen=1,|accept4\(|close\(/;
    for (const folder of Object.keys(STRACES))
      for (const { file } of filesOf(BUNDLED + short(folder), STRACE)) {
        const lines = gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n');
        expect(lines.filter((line) => !ours.test(line))).toEqual([]);
      }
  });
});

describe.skipIf(!existsSync(WHOLE))('the whole recordings', () => {
  test('each has an expectation', () => {
    const runs = ['vhost-user', 'vdpa-vhost-net'].flatMap((group) =>
      readdirSync(WHOLE + group).map((run) => `${group}/${run}`),
    );
    expect(Object.keys(QEMU_LOGS).sort()).toEqual(runs.sort());
  });

  test.each(Object.entries(QEMU_LOGS))('%s: QEMU logs', async (folder, expected) => {
    await expectReport(filesOf(WHOLE + folder, LOG), expected);
  });

  test.each(Object.entries(STRACES))('%s: strace of the back end', async (folder, expected) => {
    await expectReport(filesOf(WHOLE + folder, STRACE), expected);
  });

  test('the copies of the same runs are judged alike', async () => {
    for (const folder of Object.keys(QEMU_LOGS)) {
      const [whole, copy] = await Promise.all([
        validateInputs(filesOf(WHOLE + folder, LOG)),
        validateInputs(filesOf(BUNDLED + short(folder), LOG)),
      ]);
      expect(copy.rules.checked, folder).toEqual(whole.rules.checked);
    }
  });
});

/** The steps that take the backends away, and the last reading. */
const STOP = [50, 51, 56];

describe('kernel vhost: which bits each step sets', () => {
  const program = steps(readFileSync(`${BUNDLED}kernel/vhostlog.ndjson`, 'utf8'));
  const ofDriver = (all: readonly Step[]) =>
    findings(validateEvents(replay(all))).filter((each) => / driver (must|should)$/.test(each));
  /** The program with the bits of one reading changed. */
  const withBits = (seq: number, change: (bits: NonNullable<Step['bits']>) => NonNullable<Step['bits']>) =>
    program.map((step) => (step.seq === seq ? { ...step, bits: change(step.bits!) } : step));
  const without = (seq: number, gpa: string) => {
    const changed = withBits(seq, (bits) => bits.filter((each) => each.gpa !== gpa));
    expect(changed).not.toEqual(program);
    return changed;
  };

  test('the replay is events of the vocabulary, and says what the program saw', () => {
    const events = replay(program);
    for (const event of events) traceEventSchema.parse(event);
    const reads = events.filter(({ kind }) => kind === 'vhost_log_read');
    expect(reads).toHaveLength(program.filter(({ op }) => op === 'log').length);
  });

  test('the kernel marks all that it writes, by either gate', () => {
    const report = validateEvents(replay(program));
    expect(ofDriver(program)).toEqual([]);
    expect(report.rules.checked.filter((id) => id.startsWith('VHOST-'))).not.toEqual([]);
  });

  /** The program up to a reading, and then its stop: at that point no bit may lag its data any more. */
  const stoppedAfter = (seq: number, all: readonly Step[]) =>
    all.filter((step) => step.seq <= seq || STOP.includes(step.seq));

  test.each([
    ['the buffer, with LOG_ALL alone', 29, '0x40018000'],
    ['the used ring, with its flag', 34, '0x40001000'],
    ['the buffer, with both', 34, '0x4001a000'],
    ['the used ring after a transmit', 38, '0x40005000'],
    ['the second page of a buffer that crosses a boundary', 40, '0x400a1000'],
  ])('a bit that is missing is found when the rings have stopped: %s', (_what, seq, gpa) => {
    expect(ofDriver(stoppedAfter(seq, program))).toEqual([]);
    expect(ofDriver(stoppedAfter(seq, without(seq, gpa)))).not.toEqual([]);
  });

  test('with LOG_ALL alone nobody expects the used ring, and with LOG_ALL off no buffer', () => {
    expect(program.find(({ seq }) => seq === 29)!.bits).toHaveLength(1);
    expect(program.find(({ seq }) => seq === 25)!.bits).toEqual([]);
    expect(ofDriver(stoppedAfter(25, program))).toEqual([]);
  });

  test('the strace of the same run tells requests and results, and is not judged', async () => {
    const report = await validateInputs([
      { file: new URL('../traces/kernel-vhost/vhostlog.strace', import.meta.url).pathname },
    ]);
    expect(report.violations.filter(({ party }) => party === 'driver')).toEqual([]);
    expect(report.inputs[0]!.remarks.join(' ')).toContain('without their payload');
  });
});
