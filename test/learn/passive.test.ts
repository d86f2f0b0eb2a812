import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drawFrom, type Mealy } from '../../src/automaton/index.js';
import {
  alphabetOf,
  NOT_ASKED,
  OUTPUTS,
  PassiveLearner,
  protocolMachine,
  STATUS_INPUT,
} from '../../src/learn/index.js';
import { CAPABILITY_SETS, requestedPath } from '../../src/machines/index.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { readTrace } from '../../src/trace/open.js';
import { ERRNO } from '../../src/uapi/errno.js';
import { MIG_STATES, type MigState } from '../../src/uapi/vfio.js';
import { readMatrix } from '../conformance/mtty-matrix.js';
import { answerOf } from './conformance.js';

const TRACES = new URL('../traces/', import.meta.url).pathname;
const ALL = CAPABILITY_SETS.at(-1)!;

async function learnFiles(...files: readonly string[]) {
  const learner = new PassiveLearner();
  for (const file of files)
    await readTrace(
      { file: TRACES + file },
      { emit: (event) => learner.take(event), wants: PassiveLearner.wants },
    );
  return learner.end('it');
}

function learnEvents(events: readonly TraceEvent[], device?: string) {
  const learner = new PassiveLearner(device);
  for (const event of events) learner.take(event);
  return learner.end('it');
}

/** What a trace has of a word that is put to a machine, GET among it where `asks` says so. */
function eventsOf(
  machine: Mealy,
  word: readonly number[],
  asks: (at: number) => boolean,
  host = 'h',
): TraceEvent[] {
  const on = { host, device: 'vf0', file: 'it', line: 1 } as const;
  const events: TraceEvent[] = [{ kind: 'device_open', ...on }];
  let state = 0;
  for (const [at, input] of word.entries()) {
    const { output, status, to } = answerOf(machine, state, input);
    const errno = ERRNO[output] ?? 0;
    const name = machine.inputs[input]!;
    if (name === 'RESET') events.push({ kind: 'reset', ...on, errno });
    else {
      const asked = name.slice('SET '.length);
      const dataFd = output === OUTPUTS.dataFd;
      events.push(
        { kind: 'set_state', ...on, state: MIG_STATES.find((each) => each === asked) ?? Number(asked) },
        { kind: 'set_state_result', ...on, errno, dataFd },
      );
    }
    if (asks(at)) events.push({ kind: 'get_state', ...on, state: status as MigState, errno: 0 });
    state = to;
  }
  return events;
}

const machineOf = (index: number): Mealy => {
  const machine = protocolMachine(CAPABILITY_SETS[index]!, alphabetOf());
  // Refusals are some error number in the protocol, and one of their own in a device.
  return { ...machine, outputs: machine.outputs.map((each) => (each === OUTPUTS.errno ? 'EINVAL' : each)) };
};

/** Random words of a machine's inputs but GET. */
function wordsOf(machine: Mealy, count: number, length: number, seed: number): number[][] {
  const draw = drawFrom(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length }, () => draw(machine.inputs.indexOf(STATUS_INPUT))),
  );
}

describe('from words of a known machine', () => {
  test.each(CAPABILITY_SETS.map((caps, index) => ({ caps, index })))(
    'what was asked often enough gives the machine again: $caps',
    ({ caps, index }) => {
      const machine = machineOf(index);
      const events = wordsOf(machine, 40, 60, 1).flatMap((word) => eventsOf(machine, word, () => true));
      const recorded = learnEvents(events);
      const { learned } = recorded;
      expect(learned.machine.states).toHaveLength(machine.states.length);
      expect([...learned.machine.output].some((each) => learned.machine.outputs[each] === NOT_ASKED)).toBe(
        false,
      );
      expect(recorded.compare(caps).seen).toEqual([]);
      // Without capabilities those are found that fit.
      expect(recorded.compare(null)).toEqual({ caps, seen: [] });
    },
  );

  test('a machine answers each word that it was made of as it was answered', () => {
    fc.assert(
      fc.property(
        fc.nat(3),
        fc.nat(),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 5 }),
        (index, seed, count, length, every) => {
          const machine = machineOf(index);
          const words = wordsOf(machine, count, length, seed);
          const recorded = learnEvents(
            words.flatMap((word) => eventsOf(machine, word, (at) => at % every === 0)),
          );
          expect(recorded.learned.nondeterminism).toBeNull();
          for (const word of words) {
            let [state, is] = [0, 0];
            for (const input of word) {
              const wanted = answerOf(machine, state, input);
              const name = machine.inputs[input]!;
              const found = answerOf(recorded.learned.machine, is, recorded.learned.inputs.indexOf(name));
              expect(found.output).toBe(wanted.output);
              [state, is] = [wanted.to, found.to];
            }
          }
          expect(recorded.compare(null).seen).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('a wrong answer is told with its place, and nothing that follows from it', () => {
    const machine = machineOf(3);
    const width = machine.inputs.length;
    const [stop, input] = [machine.states.indexOf('STOP'), machine.inputs.indexOf('SET PRE_COPY')];
    const output = Int16Array.from(machine.output);
    const next = Int16Array.from(machine.next);
    output[stop * width + input] = machine.outputs.indexOf('EINVAL');
    next[stop * width + input] = stop;
    const wrong: Mealy = { ...machine, output, next };
    const events = wordsOf(wrong, 40, 60, 1).flatMap((word) => eventsOf(wrong, word, () => true));
    const recorded = learnEvents(events.map((event, line) => ({ ...event, line })));
    const { seen } = recorded.compare(ALL);
    expect(seen.map(({ difference: { from, input, actual } }) => ({ from, input, actual }))).toEqual([
      { from: 'STOP', input: 'SET PRE_COPY', actual: 'EINVAL, now STOP' },
    ]);
    const [{ difference, call }] = seen as [(typeof seen)[0]];
    const line = Number(difference.location!.slice('it:'.length));
    expect(events.slice(line - 1, line + 1)).toMatchObject([{ state: 'PRE_COPY' }, { errno: ERRNO.EINVAL }]);
    const place = recorded.placeOf(call);
    const at = Math.floor(place / recorded.learned.inputs.length);
    expect(recorded.learned.machine.states[at]).toBe('STOP');
    expect(recorded.learned.inputs[place % recorded.learned.inputs.length]).toBe('SET PRE_COPY');
  });

  test('from a trace that begins in the middle nothing is concluded before the state is known', () => {
    const machine = machineOf(3);
    for (let from = 1; from < 40; from++) {
      const events = eventsOf(machine, wordsOf(machine, 1, 60, from)[0]!, (at) => at % 3 === 0).slice(from);
      const recorded = learnEvents(events);
      expect(recorded.compare(ALL).seen).toEqual([]);
      expect(recorded.learned.resets).toBe(0);
    }
  });
});

describe('what a trace does not tell', () => {
  const on = { host: 'h', device: 'vf0' } as const;
  const set = (
    state: MigState,
    result: Partial<TraceEvent & { kind: 'set_state_result' }> = {},
  ): TraceEvent[] => [
    { kind: 'set_state', ...on, state },
    { kind: 'set_state_result', ...on, state, ...result },
  ];

  test('a request without an answer ends the word; one for the same state does not', () => {
    const { learned, words } = learnEvents([
      { kind: 'device_open', ...on },
      ...set('STOP'),
      { kind: 'set_state', ...on, state: 'STOP' },
      ...set('RUNNING'),
      { kind: 'set_state', ...on, state: 'STOP' },
      ...set('STOP_COPY'),
    ]);
    expect(words.map(({ calls }) => calls.map(({ input }) => input))).toEqual([
      ['SET STOP', 'SET RUNNING'],
      ['SET STOP_COPY'],
    ]);
    expect(learned.notes).toEqual(['1 call without an answer in the trace']);
  });

  test('a state that is left without a call begins a new word', () => {
    const { words } = learnEvents([
      { kind: 'device_open', ...on },
      ...set('STOP'),
      { kind: 'get_state', ...on, state: 'STOP' },
      { kind: 'get_state', ...on, state: 'ERROR' },
      { kind: 'reset', ...on, errno: 0 },
    ]);
    expect(words.map(({ begins, calls }) => [begins, calls.length])).toEqual([
      [null, 1],
      ['ERROR', 1],
    ]);
  });

  test('calls to a data_fd that is over are no calls of the device', () => {
    const recorded = learnEvents([
      { kind: 'device_open', ...on },
      ...set('STOP_COPY', { errno: 0, dataFd: true }),
      { kind: 'data_read', ...on, size: 4096, result: 100 },
      { kind: 'data_read', ...on, size: 4096, result: 0 },
      { kind: 'data_read', ...on, size: 4096, result: -ERRNO.ENODEV! },
      ...set('STOP', { errno: 0, dataFd: false }),
      { kind: 'data_read', ...on, size: 4096, result: -ERRNO.ENODEV! },
    ]);
    expect(recorded.words[0]!.calls.map(({ input, output }) => `${input}: ${output}`)).toEqual([
      'SET STOP_COPY: data_fd',
      'READ: data, end',
      'SET STOP: ok',
    ]);
    expect(recorded.compare(ALL).seen).toEqual([]);
    expect(recorded.learned.notes).toEqual(["2 calls to a data_fd that is not the device's any more"]);
  });

  test('answers that contradict each other are told', () => {
    const word = (errno: number): TraceEvent[] => [
      { kind: 'device_open', ...on },
      { kind: 'set_state', ...on, state: 'STOP' },
      { kind: 'set_state_result', ...on, errno, ...(errno === 0 ? { state: 'STOP' } : {}) },
    ];
    const { learned } = learnEvents([...word(0), ...word(ERRNO.EIO!)]);
    expect(learned.nondeterminism).toEqual({ word: ['SET STOP'], answers: [['success, now STOP'], ['EIO']] });
  });

  test('numbers that are no states are one input', () => {
    const events = [8, 9, 4_294_967_295].flatMap((state): TraceEvent[] => [
      { kind: 'set_state', ...on, state },
      { kind: 'set_state_result', ...on, errno: ERRNO.EINVAL! },
    ]);
    expect(learnEvents(events).learned.inputs).toEqual(['SET 8', 'GET']);
  });

  test('one device of several', () => {
    const events = ['a', 'b'].flatMap((device) =>
      set('STOP').map((event) => ({ ...event, device }) as TraceEvent),
    );
    expect(learnEvents(events).learned.requests).toBe(2);
    expect(learnEvents(events, 'a').learned.requests).toBe(1);
    expect(learnEvents(events, 'h/b').learned.requests).toBe(1);
    expect(learnEvents(events, 'c').learned.requests).toBe(0);
  });
});

describe('from real traces', () => {
  test("of mtty's kernel driver: the table of the kernel, and a driver that wants data before it leaves RESUMING", async () => {
    const { learned } = await learnFiles('kernel-mtty/uapi.bpftrace.ndjson.gz');
    const { machine } = learned;
    const pairs = new Map<string, Set<string>>();
    for (const [state, name] of machine.states.entries())
      for (const [input, called] of machine.inputs.entries()) {
        const from = name.replace(/#.*/, '') as MigState;
        const to = called.slice('SET '.length) as MigState;
        const { output, status } = answerOf(machine, state, input);
        if (!called.startsWith('SET ') || !MIG_STATES.includes(to) || !MIG_STATES.includes(from)) continue;
        if (output === NOT_ASKED) continue;
        const granted = output === OUTPUTS.ok || output === OUTPUTS.dataFd;
        expect(granted ? status : from).toBe(granted ? to : from);
        const known = pairs.get(`${from} ${to}`) ?? new Set();
        pairs.set(`${from} ${to}`, known.add(granted ? 'granted' : 'refused'));
      }
    // 7 states that mtty is ever in, each asked for all 8.
    expect(pairs.size).toBe(56);
    for (const [pair, how] of pairs) {
      const [from, to] = pair.split(' ') as [MigState, MigState];
      const path = requestedPath(from, to, ALL);
      if (from === 'RESUMING' && path !== null) expect(how.has('granted'), pair).toBe(true);
      else expect([...how], pair).toEqual([path === null ? 'refused' : 'granted']);
    }
    expect([...pairs.get('RESUMING RUNNING')!].sort()).toEqual(['granted', 'refused']);
  });

  test('of mtty, driven by a program of its own: the end of PRE_COPY data reads 0 there', () => {
    const text = readFileSync(`${TRACES}kernel-mtty/matrix.ndjson`, 'utf8');
    const told = readMatrix(text).events.flatMap((events) =>
      learnEvents(events)
        .compare(null)
        .seen.map(({ difference: { from, input, actual } }) => `${from}: ${input}: ${actual}`),
    );
    expect([...new Set(told)].sort()).toMatchInlineSnapshot(`
      [
        "PRE_COPY, save: READ: end",
        "RUNNING, logging: LOG_START: ok",
      ]
    `);
  });

  test('of libvfio-user: PRE_COPY data has a permanent end there', async () => {
    const recorded = await learnFiles('vfio-user/nofd/src.jsonl.gz', 'vfio-user/nofd/dst.jsonl');
    const { seen } = recorded.compare(ALL);
    expect(seen.map(({ difference }) => difference)).toMatchObject([
      { from: 'PRE_COPY, save', input: 'READ', actual: 'data, end' },
    ]);
  });

  test('no run of QEMU gives a difference', async () => {
    for (const version of ['qemu-10.0', 'qemu-11.1'])
      for (const run of readdirSync(TRACES + version)) {
        const logs = readdirSync(`${TRACES}${version}/${run}`).filter((file) => file.includes('.trace.log'));
        const recorded = await learnFiles(...logs.map((file) => `${version}/${run}/${file}`));
        expect(recorded.learned.requests, run).toBeGreaterThan(0);
        expect(recorded.compare(null).seen, run).toEqual([]);
      }
  });
});
