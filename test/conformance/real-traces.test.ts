import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { validateInputs } from '../../src/validate/index.js';
import type { Report, Verdict } from '../../src/validate/report.js';

const ROOT = new URL('../traces/', import.meta.url).pathname;

/** What a recorded run has to be judged: a verdict, and the rules that are found broken, by level. */
interface Expected {
  verdict: Verdict;
  /** `rule party level` of each finding, notes included; none: conformant without a remark. */
  findings?: string[];
}

const conformant: Expected = { verdict: 'conformant' };

/** The real QEMU runs and what happened in them. */
const QEMU_LOGS: Record<string, Expected> = {
  'qemu-11.1/happy-default': conformant,
  'qemu-11.1/two-devices': conformant,
  'qemu-11.1/switchover-ack': conformant,
  'qemu-11.1/file-save-load': conformant,
  'qemu-11.1/multifd-transfer': conformant,
  'qemu-11.1/stop-cont': conformant,
  'qemu-11.1/cancel-precopy': conformant,
  'qemu-11.1/dst-killed-precopy': conformant,
  'qemu-11.1/incompatible-type': conformant,
  'qemu-11.1/corrupt-magic': conformant,
  'qemu-11.1/postcopy-cap': conformant,
  'qemu-10.0/happy-default': conformant,
  'qemu-10.0/two-devices': conformant,
  'qemu-10.0/cancel-precopy': conformant,
  'qemu-10.0/switchover-ack': conformant,
  'qemu-11.1-uapi/happy-default': conformant,
  'qemu-11.1-uapi/two-devices': conformant,
  // The VM was paused: the destination reports completed while its device is in RESUMING.
  'qemu-11.1/paused-migrate': { verdict: 'conformant', findings: ['VMM-DST-04 vmm note'] },
  // system_reset in PRE_COPY, and the device offers no reset.
  'qemu-11.1/reset-mid-precopy': { verdict: 'conformant', findings: ['VFIO-RST-03 vmm note'] },
  // After the cancel the device goes to RUNNING before the VM starts.
  'qemu-11.1/cancel-pre-switchover': { verdict: 'violation', findings: ['VMM-MIG-07 vmm should'] },
  // A second attempt onto a device that is still in RESUMING.
  'qemu-11.1/stale-resuming-device': { verdict: 'violation', findings: ['VFIO-RST-02 vmm should'] },
  // DMA logging is offered and cannot be read.
  'qemu-11.1-no-dma-log-report/happy-default': {
    verdict: 'violation',
    findings: ['VFIO-DMA-08 driver must'],
  },
};

function findings(report: Report): string[] {
  return [...new Set(report.violations.map(({ rule, party, level }) => `${rule} ${party} ${level}`))].sort();
}

function filesOf(folder: string, what: RegExp): { file: string }[] {
  return readdirSync(ROOT + folder)
    .filter((name) => what.test(name))
    .map((name) => ({ file: `${ROOT}${folder}/${name}` }));
}

async function expectReport(files: { file: string }[], expected: Expected): Promise<Report> {
  const report = await validateInputs(files);
  expect(findings(report)).toEqual(expected.findings ?? []);
  expect(report.verdict).toBe(expected.verdict);
  expect(report.events.malformed).toBe(0);
  expect(report.events.unknown).toEqual({});
  return report;
}

describe('QEMU logs, source and destination together', () => {
  test('each recorded run has an expectation', () => {
    const runs = ['qemu-11.1', 'qemu-10.0', 'qemu-11.1-uapi', 'qemu-11.1-no-dma-log-report'].flatMap(
      (version) => readdirSync(ROOT + version).map((run) => `${version}/${run}`),
    );
    expect(Object.keys(QEMU_LOGS).sort()).toEqual(runs.sort());
  });

  test.each(Object.entries(QEMU_LOGS))('%s', async (folder, expected) => {
    await expectReport(filesOf(folder, /\.trace\.log(\.gz)?$/), expected);
  });

  test('a whole migration ends in the states that the uAPI gives it, with all bytes', async () => {
    const report = await validateInputs(filesOf('qemu-11.1/happy-default', /\.trace\.log(\.gz)?$/));
    expect(report.devices).toMatchObject([
      { host: 'dst', role: 'destination', verdict: 'conformant', bytesWritten: 60 },
      { host: 'src', role: 'source', verdict: 'conformant', bytesRead: 60, finalState: 'STOP' },
    ]);
    expect(report.measurements.migrations).toMatchObject([
      { role: 'destination', outcome: 'completed' },
      { role: 'source', outcome: 'completed', bytes: { precopy: 24, stopcopy: 36 } },
    ]);
  });
});

describe('QMP streams of the same runs', () => {
  const runs = Object.keys(QEMU_LOGS).filter((folder) => filesOf(folder, /\.qmp\.ndjson(\.gz)?$/).length > 0);
  test.each(runs)('%s', async (folder) => {
    // QMP shows the states that QEMU believes in, and nothing that these runs did wrong.
    await expectReport(filesOf(folder, /\.qmp\.ndjson(\.gz)?$/), conformant);
  });
});

describe('kernel logs of the same runs', () => {
  const runs = Object.keys(QEMU_LOGS).filter((folder) => existsSync(`${ROOT}${folder}/dmesg.txt`));
  test.each(runs)('%s', async (folder) => {
    const report = await expectReport(filesOf(folder, /^dmesg\.txt$/), conformant);
    expect(report.rules.checked).toEqual(
      expect.arrayContaining(['VFIO-ARC-01', 'VFIO-ARC-02', 'VFIO-ARC-03']),
    );
  });
});

describe('recordings at the ioctl boundary', () => {
  test.each(['happy-default', 'two-devices'])(
    'qemu-11.1-uapi/%s: QEMU conforms, mtty reads 0',
    async (run) => {
      const files = filesOf(`qemu-11.1-uapi/${run}`, /^uapi/);
      await expectReport(files, { verdict: 'violation', findings: ['VFIO-PRE-01 driver should'] });
      const known = await validateInputs(files, { profile: 'mtty' });
      expect(known).toMatchObject({ verdict: 'conformant', violations: expect.arrayContaining([]) });
      expect(known.violations[0]!.known).toContain('temporary end');
    },
  );

  test('kernel-mtty: the matrix program finds the deviations of mtty', async () => {
    const report = await validateInputs([{ file: `${ROOT}kernel-mtty/uapi.bpftrace.ndjson.gz` }]);
    const ofDriver = findings(report).filter((each) => each.includes(' driver '));
    expect(ofDriver).toEqual([
      'VFIO-DMA-01 driver must',
      'VFIO-DMA-03 driver note',
      'VFIO-DMA-07 driver must',
      'VFIO-PRE-01 driver should',
      'VFIO-SES-10 driver must',
    ]);
  });
});

describe('inside the kernel', () => {
  test('kernel-mtty/ftrace-kprobes: each hop is the uAPI’s', async () => {
    const report = await expectReport([{ file: `${ROOT}kernel-mtty/ftrace-kprobes.txt.gz` }], conformant);
    expect(report.rules.checked).toEqual(expect.arrayContaining(['VFIO-ARC-04', 'VFIO-ARC-05']));
  });

  test('kernel-mtty/matrix.dmesg: each arc is the uAPI’s', async () => {
    const report = await expectReport([{ file: `${ROOT}kernel-mtty/matrix.dmesg.gz` }], conformant);
    expect(report.rules.checked).toEqual(
      expect.arrayContaining(['VFIO-ARC-01', 'VFIO-ARC-02', 'VFIO-ARC-03']),
    );
  });
});

describe('vfio-user', () => {
  test.each(['nofd', 'pair'])('%s: conformant under the profile of libvfio-user', async (run) => {
    const report = await validateInputs(filesOf(`vfio-user/${run}`, /\.jsonl(\.gz)?$/));
    expect(report.verdict).toBe('conformant');
    expect(report.violations.every(({ level, known }) => level === 'note' && known !== null)).toBe(true);
  });

  test('nofd against the bare uAPI: size 0 at the temporary end', async () => {
    const report = await validateInputs(filesOf('vfio-user/nofd', /\.jsonl(\.gz)?$/), { profile: 'uapi' });
    expect(findings(report)).toEqual(['VFIO-PRE-01 driver should']);
  });
});

describe('what cannot be judged is inconclusive', () => {
  test('strace shows no payload of VFIO_DEVICE_FEATURE, and says so', async () => {
    const report = await validateInputs([{ file: `${ROOT}kernel-mtty/matrix.strace.gz` }]);
    expect(report.violations).toEqual([]);
    expect(report.inputs[0]!.remarks.join(' ')).toContain('VFIO_DEVICE_FEATURE');
    expect(report.rules.checked.length).toBeLessThan(report.rules.notObservable.length);
  });

  test('a destination that never got a stream has no verdict of its own', async () => {
    const report = await validateInputs(filesOf('qemu-11.1/postcopy-cap', /^dst\.trace\.log$/));
    expect(report).toMatchObject({ verdict: 'inconclusive', devices: [{ verdict: 'inconclusive' }] });
  });
});
