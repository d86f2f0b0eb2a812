import { type DeviceReport, type Finding, REPORT_SCHEMA, type Report } from '../../src/validate/report.js';
import type { ReporterOptions, RuleInfo } from '../../src/validate/reporters/index.js';

/** Everything that a name in a trace could do to an output: escapes, commands, markup, controls, halves of pairs. */
export const HOSTILE =
  'nic\n::error::owned\r\u001b[31mred\u001b[0m ]]> <b>"x" & \'y\' %0A |@me \u0000\u0007\ud800\u202e';

export function finding(changes: Partial<Finding> = {}): Finding {
  return {
    rule: 'FSM-02',
    title: 'a blocked arc was taken',
    party: 'driver',
    level: 'must',
    device: '0000:af:01.0',
    host: 'src',
    file: 'logs/src.trace.log',
    line: 3,
    t: 2_000_000,
    message: 'the device went from STOP_COPY to PRE_COPY',
    expected: ['STOP', 'RUNNING', 'an error'],
    before: ['STOP_COPY'],
    clause: { id: 'uapi/no-precopy-again', source: 'include/uapi/linux/vfio.h', text: 'It is blocked.' },
    cause: 'The driver does not check the state it is in.',
    known: null,
    ...changes,
  };
}

function device(changes: Partial<DeviceReport> = {}): DeviceReport {
  return {
    id: '0000:af:01.0',
    host: 'src',
    verdict: 'violation',
    role: 'source',
    capabilities: ['stop-copy', 'p2p', 'pre-copy'],
    finalState: 'PRE_COPY',
    transitions: 4,
    bytesRead: 65_536,
    bytesWritten: 0,
    states: [
      { name: 'RUNNING', start: 1_000_000, end: 1_500_000 },
      { name: 'STOP_COPY', start: 1_500_000, end: 2_000_000 },
      { name: 'PRE_COPY', start: 2_000_000, end: null },
    ],
    ...changes,
  };
}

/** A report with every feature. */
export function sampleReport(): Report {
  return {
    schema: REPORT_SCHEMA,
    verdict: 'violation',
    reason: null,
    devices: [
      device(),
      device({ id: HOSTILE, verdict: 'inconclusive', capabilities: [], finalState: null, role: 'none' }),
      device({ host: 'dst', verdict: 'conformant', role: 'destination', finalState: 'RUNNING', states: [] }),
    ],
    hosts: [
      {
        id: 'src',
        role: 'source',
        version: 'QEMU 11.1.2',
        statuses: [
          { name: 'setup', start: 1_000_000, end: 1_200_000 },
          { name: 'active', start: 1_200_000, end: null },
        ],
        runStates: [{ name: 'running', start: 900_000, end: 2_500_000 }],
        curves: [
          {
            name: 'dirty pages',
            unit: 'pages',
            points: [
              [1_000_000, 10],
              [2_000_000, 4],
            ],
          },
        ],
      },
      { id: 'dst', role: 'destination', version: null, statuses: [], runStates: [], curves: [] },
    ],
    violations: [
      finding(),
      finding({ line: 9 }),
      finding({
        rule: 'VMM-01',
        title: `title ${HOSTILE}`,
        level: 'should',
        party: 'vmm',
        device: HOSTILE,
        file: '/elsewhere/dst:1,2.log',
        message: `the device ${HOSTILE} was resumed`,
        known: 'QEMU 11.1 does so.',
      }),
      finding({ rule: 'HOST-01', device: null, file: null, line: null, t: null, before: [], level: 'must' }),
      finding({ rule: 'NOTE-01', level: 'note', file: '-', expected: [] }),
    ],
    suppressed: { 'FSM-02': 12 },
    rules: {
      checked: ['FSM-01', 'FSM-02', 'VMM-01', 'HOST-01', 'NOTE-01'],
      notObservable: [{ rule: 'DATA-01', needs: ['data_read', 'data_write'] }],
      notApplicable: ['DMA-01'],
    },
    events: {
      lines: 11_450_402,
      decoded: 228_439,
      ignored: 11_221_953,
      malformed: 3,
      unknown: { vfio_new: 7, [HOSTILE]: 1 },
    },
    inputs: [
      {
        file: 'logs/src.trace.log',
        format: 'qemu-log',
        host: 'src',
        bytes: 1000,
        cut: true,
        counts: { lines: 10, decoded: 7, ignored: 0, malformed: 3, unknown: { vfio_new: 7 } },
        remarks: ['lines of two processes are mixed'],
      },
    ],
    measurements: {
      migrations: [
        {
          host: 'src',
          role: 'source',
          outcome: 'failed',
          start: 1_000_000,
          total: 3_210_000,
          downtime: 120_400,
          bytes: { precopy: 24, stopcopy: 65_512 },
          rounds: 1,
        },
      ],
      timeInState: { 'src/0000:af:01.0': { RUNNING: 500_000, STOP_COPY: 500_000 } },
    },
  };
}

/** A report of a run that saw nothing. */
export function emptyReport(): Report {
  return {
    ...sampleReport(),
    verdict: 'inconclusive',
    reason: 'the input holds no event of a VFIO device',
    devices: [],
    hosts: [],
    violations: [],
    suppressed: {},
    rules: { checked: [], notObservable: [], notApplicable: [] },
    measurements: { migrations: [], timeInState: {} },
  };
}

function rule(id: string, changes: Partial<RuleInfo> = {}): RuleInfo {
  return {
    id,
    title: `title of ${id}`,
    party: 'driver',
    level: 'must',
    clause: { id: 'uapi/set', source: 'include/uapi/linux/vfio.h', text: 'The state is reached.' },
    about: 'What the rule asks for.',
    causes: 'What breaks it.',
    ...changes,
  };
}

export function sampleOptions(changes: Partial<ReporterOptions> = {}): ReporterOptions {
  return {
    version: '1.2.3',
    cwd: '/work',
    root: '/work',
    rules: ['FSM-01', 'FSM-02', 'VMM-01', 'DATA-01', 'DMA-01'].map((id) => rule(id)),
    failOn: 'should',
    color: false,
    quiet: false,
    excerpts: new Map(),
    ...changes,
  };
}
