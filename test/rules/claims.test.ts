import { describe, expect, test } from 'vitest';
import { REFUSED, step } from '../../src/automaton/automaton.js';
import { compile } from '../../src/automaton/compile.js';
import { CAPABILITY_SETS, MACHINES } from '../../src/machines/index.js';
import { type DeviceView, type HostView, type Refusal, RULES } from '../../src/rules/index.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { MIGRATION_STATUSES } from '../../src/uapi/qemu.js';
import { MIG_STATES } from '../../src/uapi/vfio.js';
import { RefusalRules } from '../../src/validate/refusals.js';
import { DIRTY_STRANGERS, dirtyTraceEvents } from './dirty-claims.js';
import { VHOST_TOGETHER, vhostTraceEvents } from './vhost-claims.js';
import { VHOST_USER_TOGETHER, vhostUserTraceEvents } from './vhost-user-claims.js';

const HOST: HostView = { id: 'host', devices: new Map(), vmRunning: undefined, status: undefined };

/** Devices that rules may tell apart when they look at a refusal. */
const VIEWS: DeviceView[] = (['open', 'reset', 'set', 'failed', null] as const).flatMap((lastMove) =>
  [CAPABILITY_SETS, ...CAPABILITY_SETS.map((caps) => [caps])].map((capabilities) => ({
    id: 'vf0',
    host: HOST,
    states: () => [],
    state: () => null,
    before: () => null,
    capabilities: () => capabilities,
    request: null,
    saved: false,
    lastMove,
    leftIn: null,
    resetOffered: undefined,
    dmaLogging: undefined,
    precopyInfoV2: undefined,
  })),
);

const event = (kind: string, fields: object = {}): TraceEvent =>
  traceEventSchema.parse({ kind, host: 'host', file: 'log', line: 7, ...fields });
const onDevice = (kind: string, fields: object = {}): TraceEvent => event(kind, { device: 'vf0', ...fields });

/** The trace events that may stand behind an event of a machine. */
function traceEvents(machine: string, name: string): TraceEvent[] {
  const ofTrackers =
    dirtyTraceEvents(machine, name) ?? vhostUserTraceEvents(machine, name) ?? vhostTraceEvents(machine, name);
  if (ofTrackers !== undefined) return ofTrackers;
  const [what = '', first = '', second] = name.split('.');
  switch (what) {
    case 'SET':
    case 'FAIL':
    case 'NOW':
      return [
        onDevice('set_state_result', { state: second === 'data_fd' || !second ? first : second }),
        onDevice('get_state', { errno: 0 }),
        onDevice('reset', { errno: 0 }),
      ];
    case 'GET':
      return [onDevice('get_state', { state: first, errno: 0 })];
    case 'RESET':
      return [onDevice('reset', { errno: first === 'ok' ? 0 : 5 }), onDevice('set_state_result')];
    case 'READ':
      return [onDevice('data_read', { result: 8 }), onDevice('save_complete', { errno: 0 })];
    case 'WRITE':
      return [onDevice('data_write', { result: 8 })];
    case 'PRECOPY_INFO':
      return [onDevice('precopy_info', { errno: 0 })];
    case 'DATA_SIZE':
      return [onDevice('data_size', { errno: 0 })];
    case 'START':
    case 'STOP':
    case 'REPORT':
      return [onDevice(`dma_logging_${what.toLowerCase()}`, { errno: 0 }), onDevice('reset', { errno: 0 })];
    case 'ARC':
      return [onDevice('driver_arc', { from: first, to: second })];
    case 'CALL':
      return [onDevice('set_state', { state: /^\d+$/.test(first) ? Number(first) : first, recover: second })];
    case 'PREPARE':
    case 'CHANGE':
      return [true, false].map((running) =>
        onDevice(`vmstate_${what.toLowerCase()}`, { running, reason: running ? 'running' : 'paused' }),
      );
    case 'NOTIFIER':
      return [onDevice('notifier', { event: first })];
    case 'SAVE':
      return [onDevice(SAVE_KINDS[first]!)];
    case 'LOAD':
      return first === 'setup' || first === 'failed'
        ? [first === 'setup' ? event('destination_setup') : event('destination_load_end', { errno: 5 })]
        : [onDevice(`load_${first}`)];
    case 'VM':
      return [event('vm_state', { running: first === 'start', reason: 'paused' })];
    case 'CLEANUP':
      return [event('source_cleanup')];
    case 'STATUS':
      return [event('migration_status', { status: first })];
    case 'RUN':
      return [event('run_state', { from: first, to: second })];
    case 'SETUP':
      return [event('migration_status', { status: 'setup' })];
    case 'SWITCHOVER':
      return [event('vm_state', { running: false, reason: 'finish-migrate' })];
    case 'ACK':
      return [event('query_pending', { ackTotal: 1 }), event('switchover_ack', { pending: 1 })];
    case 'NEED':
      return [event('switchover_ack_needed', { pending: 1 })];
    case 'APPROVED':
      return [event('switchover_approved', { pending: 1 })];
    default:
      throw new Error(`${machine} has the event ${name}, for which this test makes no trace event`);
  }
}

const SAVE_KINDS: Readonly<Record<string, string>> = {
  setup: 'save_setup',
  iterate: 'save_iterate',
  drain: 'save_complete_start',
  drained: 'save_complete',
  config: 'save_config',
  cleanup: 'save_cleanup',
};

/** Events that a trace can show and no chart has: nothing takes them, so a rule must. */
const STRANGERS: Readonly<Record<string, readonly string[]>> = {
  ...DIRTY_STRANGERS,
  'vfio-driver': MIG_STATES.flatMap((from) => MIG_STATES.map((to) => `ARC.${from}.${to}`)),
  'vmm-set-state': [
    ...MIG_STATES.flatMap((state) => MIG_STATES.map((recover) => `CALL.${state}.${recover}`)),
    ...MIG_STATES.map((state) => `NOW.${state}`),
    'CALL.77.RUNNING',
  ],
  'migration-status': MIGRATION_STATUSES.map((status) => `STATUS.${status}`),
  'run-state': ['RUN.running.no-such-state', 'RUN.no-such-state.running', 'RUN..'],
  'vfio-device': MIG_STATES.flatMap((state) => [
    `SET.${state}`,
    `SET.${state}.data_fd`,
    `GET.${state}`,
    ...MIG_STATES.map((at) => `FAIL.${state}.${at}`),
  ]),
};

/** What one trace event may have been: each event alone, and those that are looked for together. */
function observations(events: readonly string[]): string[][] {
  const alone = events.map((name) => [name]);
  const sets = MIG_STATES.map((state) => [`SET.${state}`, `SET.${state}.data_fd`]);
  const together = [
    ...VHOST_USER_TOGETHER,
    ...VHOST_TOGETHER,
    ...sets,
    ...sets.map((names) => [...names, 'RESET.ok']),
    ...MIG_STATES.map((state) => MIG_STATES.map((at) => `FAIL.${state}.${at}`)),
    ...['RESET', 'DATA_SIZE', 'START', 'STOP', 'REPORT'].map((name) => [`${name}.ok`, `${name}.error`]),
    ['setup', 'switchover', 'done', 'failed'].map((name) => `NOTIFIER.${name}`),
  ];
  return [...alone, ...together.filter((names) => names.every((name) => events.includes(name)))];
}

const rules = new RefusalRules(RULES, new Set());

/** The refusals of one observation: what no state before takes, as each of its trace events. */
function unclaimed(refusal: Refusal): string | undefined {
  try {
    const rule = rules.ruleOf(refusal);
    rule.refusal!.message?.(refusal);
    return undefined;
  } catch (error) {
    const { machine, events, before, trace, device } = refusal;
    return `${machine} in ${before} on ${events} (${trace.kind}, last move ${device?.lastMove}): ${error}`;
  }
}

const OF_HOSTS = new Set([
  'vm-phases',
  'switchover-ack',
  'switchover-ack-legacy',
  'migration-status',
  'run-state',
]);

describe('whatever a machine refuses, some rule claims', () => {
  const machines = MACHINES.flatMap((entry) =>
    entry.capabilitySets.map((caps) => [entry.name, entry, caps] as const),
  );

  test.each(machines)('%s %#', (name, entry, caps) => {
    const automaton = compile(entry.make(caps));
    const alphabet = [...new Set([...automaton.events, ...(STRANGERS[name] ?? [])])];
    const views = OF_HOSTS.has(name) ? [null] : VIEWS;
    const holes: string[] = [];
    let refusals = 0;
    for (const events of observations(alphabet)) {
      const traces = events.flatMap((each) => traceEvents(name, each));
      const indices = events.map((each) => automaton.eventIndex.get(each));
      for (const [state, configuration] of automaton.states.entries()) {
        const taken = indices.some(
          (index) => index !== undefined && step(automaton, state, index) !== REFUSED,
        );
        if (taken) continue;
        refusals++;
        for (const trace of traces)
          for (const device of views) {
            const before = [configuration.join(' ')];
            const hole = unclaimed({ machine: name, events, before, trace, device });
            if (hole !== undefined) holes.push(hole);
          }
      }
    }
    expect(holes.slice(0, 20)).toEqual([]);
    expect(refusals).toBeGreaterThan(0);
  });
});
