import { type CapabilitySet, flagsOfCapabilities } from '../../machines/capabilities.js';
import { machineNamed, regionsOf } from '../../machines/index.js';
import {
  hasSession,
  inPreCopy,
  inSavingGroup,
  opensSession,
  requestedPath,
} from '../../machines/vfio-arcs.js';
import type { Case, Step, StepOf, Suite } from '../../suite/index.js';
import { MIG_STATE_NUMBER, MIG_STATES, type MigState } from '../../uapi/vfio.js';

/** A text as a C string. What is not printable ASCII is written in octal, and no trigraph is made. */
export function cString(text: string): string {
  const bytes = [...new TextEncoder().encode(text)];
  const escaped = bytes.map((byte) => {
    if (byte < 0x20 || byte > 0x7e || byte === 0x3f) return `\\${byte.toString(8).padStart(3, '0')}`;
    const char = String.fromCharCode(byte);
    return char === '"' || char === '\\' ? `\\${char}` : char;
  });
  return `"${escaped.join('')}"`;
}

const mask = (states: Iterable<MigState>): number =>
  [...states].reduce((bits, state) => bits | (1 << MIG_STATE_NUMBER[state]), 0);

const matrix = (name: string, type: string, cell: (from: MigState, to: MigState) => number): string =>
  [
    `static const ${type} ${name}[STATES][STATES] = {`,
    ...MIG_STATES.map((from) => `\t{ ${MIG_STATES.map((to) => cell(from, to)).join(', ')} },`),
    '};',
  ].join('\n');

/** What the machines say of a device with these capabilities, as tables by state. */
export function cMachine(caps: CapabilitySet): string {
  const device = regionsOf(machineNamed('vfio-device')!.make(caps))[0]!;
  const failures = new Set(device.transitions.map(({ from, event }) => `${from} ${event}`));
  const fails = (from: MigState, to: MigState) =>
    mask(MIG_STATES.filter((at) => failures.has(`${from} FAIL.${to}.${at}`)));
  return [
    '/* The device as the machines of stopcopy have it. */',
    '',
    `#define SUITE_FLAGS 0x${flagsOfCapabilities(caps).toString(16)}U`,
    `#define SAVING_GROUP 0x${mask(MIG_STATES.filter(inSavingGroup)).toString(16)}U`,
    `#define IN_PRE_COPY 0x${mask(MIG_STATES.filter(inPreCopy)).toString(16)}U`,
    `#define HAS_SESSION 0x${mask(MIG_STATES.filter(hasSession)).toString(16)}U`,
    '/* Arcs of the path of a request, from a state (row) to one; -1: there is no path. */',
    matrix('path_length', 'signed char', (from, to) => requestedPath(from, to, caps)?.length ?? -1),
    '/* Whether a request that succeeds gives a data_fd. */',
    matrix('gives_fd', 'bool', (from, to) =>
      requestedPath(from, to, caps) !== null && opensSession(from, to) ? 1 : 0,
    ),
    '/* The states, as bits, in which a request that fails may leave the device. */',
    matrix('fails_in', 'unsigned char', fails),
  ].join('\n');
}

/** The steps of each case, and the cases. */
export function cCases(suite: Suite, image: Case): string {
  const cases = [image, ...suite.cases];
  return [
    '/* The suite. */',
    '',
    `#define MAX_FDS ${1 + Math.max(...cases.map(sets))}`,
    `static const char suite_capabilities[] = ${cString(suite.capabilities.join(', '))};`,
    '',
    ...cases.flatMap((each, index) => caseSteps(each, index)),
    'static const struct test_case cases[] = {',
    ...cases.map(
      ({ id, title, steps }, index) =>
        `\t{ ${cString(id)}, ${cString(title)}, steps_${index}, ${steps.length} },`,
    ),
    '};',
    '#define CASES (sizeof cases / sizeof cases[0])',
  ].join('\n');
}

const sets = ({ steps }: Case): number => steps.filter((step) => step.do === 'set').length;

function caseSteps({ steps }: Case, index: number): string[] {
  const ranges = steps.flatMap((step, at) => {
    if (step.do !== 'log_start' || step.ranges.length === 0) return [];
    const each = step.ranges.map(({ iova, length }) => `{ ${iova}U, ${length}U }`);
    return [
      `static const struct vfio_device_feature_dma_logging_range ranges_${index}_${at}[] = { ${each.join(', ')} };`,
    ];
  });
  return [
    ...ranges,
    `static const struct step steps_${index}[] = {`,
    ...steps.map((step, at) => `\t{ ${stepFields(step, `ranges_${index}_${at}`).join(', ')} },`),
    '};',
  ];
}

/** The initializer of a step. */
function stepFields(step: Step, ranges: string): string[] {
  const common = [
    `.call = CALL_${step.do.toUpperCase()}`,
    `.at = VFIO_DEVICE_STATE_${step.at}`,
    `.expect = ${cString(step.expect.join(' '))}`,
    `.rule = ${cString(step.rule)}`,
  ];
  return [...common, ...ownFields(step, ranges)];
}

function ownFields(step: Step, ranges: string): string[] {
  switch (step.do) {
    case 'set':
      return [`.asked = ${cString(`${step.state}`)}`, `.number = ${numberOf(step)}U`];
    case 'read':
      return [`.fd = ${step.fd}`, `.size = ${step.size}U`, `.to_end = ${step.until === 'end'}`];
    case 'write':
      return [`.fd = ${step.fd}`, ...dataFields(step)];
    case 'precopy_info':
    case 'close':
      return [`.fd = ${step.fd}`];
    case 'read_region':
      return [`.number = ${step.region}U`, `.offset = ${step.offset}U`, `.size = ${step.size}U`];
    case 'log_start':
      return [
        `.page_size = ${step.pageSize}U`,
        ...(step.ranges.length > 0 ? [`.ranges = ${ranges}`] : []),
        `.number = ${step.ranges.length}U`,
      ];
    case 'log_report':
      return [`.page_size = ${step.pageSize}U`, `.offset = ${step.iova}U`, `.size = ${step.length}U`];
    case 'scenario':
      return [`.asked = ${cString(step.name)}`];
    default:
      return [];
  }
}

const numberOf = ({ state }: StepOf<'set'>): number =>
  typeof state === 'number' ? state : MIG_STATE_NUMBER[state];

function dataFields({ data, piece }: StepOf<'write'>): string[] {
  const { of, from, to, flip, extra } = data;
  return [
    `.of = ${of ?? -1}`,
    `.from = ${from}`,
    to === null ? '.to_last = true' : `.to = ${to}`,
    ...(flip === undefined ? [] : [`.flip_at = ${flip.at}`, `.flip_mask = ${flip.mask}U`]),
    ...(extra === undefined ? [] : [`.extra = ${extra}U`]),
    ...(piece === null ? [] : [`.piece = ${piece}U`]),
  ];
}
