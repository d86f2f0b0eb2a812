import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { accepted, compile } from '../../src/automaton/index.js';
import { CAPABILITY_SETS, machineNamed } from '../../src/machines/index.js';
import { CaseModel, dataBytes, dataRange, type Step } from '../../src/suite/index.js';
import { MIG_STATES } from '../../src/uapi/index.js';

const BARE = { expect: ['?'], rule: 'VFIO-FSM-01', at: 'RUNNING' } as const;
const IMAGE = 100;

const fd = fc.nat(3);
const data = fc.record({
  from: fc.constantFrom(0, 50, -10),
  to: fc.constantFrom(null, 50, -1),
});
const anyStep = fc
  .oneof(
    fc.record({ do: fc.constant('set'), state: fc.constantFrom(...MIG_STATES) }),
    fc.constantFrom({ do: 'get' }, { do: 'reset' }, { do: 'data_size' }),
    fc.record({
      do: fc.constant('read'),
      fd,
      size: fc.constant(8),
      until: fc.constantFrom('once', 'end'),
    }),
    fc.record({ do: fc.constant('write'), fd, data, piece: fc.constant(null) }),
    fc.record({ do: fc.constantFrom('precopy_info', 'close'), fd }),
  )
  .map((step) => ({ ...step, ...BARE, expect: [...BARE.expect] }) as unknown as Step);

/** Calls that the chart has no event for. */
const UNKNOWN_TO_CHART = ['CLOSE'];

test.each(CAPABILITY_SETS)('whatever is allowed the vfio-device chart takes: %o', (caps) => {
  const automaton = compile(machineNamed('vfio-device')!.make(caps));
  fc.assert(
    fc.property(fc.array(fc.tuple(anyStep, fc.nat()), { maxLength: 40 }), (steps) => {
      const model = new CaseModel(caps, IMAGE);
      let state = 0;
      for (const [step, choice] of steps) {
        const allowed = model.allowed(step);
        if (allowed === null) continue;
        const known = allowed.filter((each) => !UNKNOWN_TO_CHART.includes(each.split('.')[0]!));
        // An fd of an old session is none of the chart's: to it that is the end of a session, an error.
        const own = !('fd' in step) || model.fds[step.fd]?.alive === true;
        if (own) expect(accepted(automaton, state)).toEqual(expect.arrayContaining(known));
        const outcome = allowed[choice % allowed.length]!;
        model.take(step, outcome);
        const event = automaton.eventIndex.get(outcome);
        if (own && event !== undefined) state = automaton.next[state * automaton.events.length + event]!;
        expect(automaton.states[state]![0]).toBe(model.state);
      }
    }),
    { numRuns: 150 },
  );
});

describe('a load', () => {
  const set = (state: string) => ({ do: 'set', state, ...BARE }) as unknown as Step;
  const write = (from: number, to: number | null) =>
    ({ do: 'write', fd: 0, data: { from, to }, piece: null, ...BARE }) as unknown as Step;
  type Parts = [number, number | null][];

  function leaving(parts: Parts): string[] {
    const model = new CaseModel(CAPABILITY_SETS[0]!, IMAGE);
    model.take(set('RESUMING'), 'SET.RESUMING.data_fd');
    for (const [from, to] of parts) model.take(write(from, to), 'WRITE.ok');
    return model.allowed(set('STOP'))!.sort();
  }

  it.each<[string, Parts, string[]]>([
    ['the whole image', [[0, null]], ['SET.STOP']],
    [
      'the whole image in two parts',
      [
        [0, 40],
        [40, 100],
      ],
      ['SET.STOP'],
    ],
    ['all but its end', [[0, -1]], ['FAIL.STOP.ERROR', 'FAIL.STOP.RESUMING']],
    ['nothing', [], ['FAIL.STOP.ERROR', 'FAIL.STOP.RESUMING', 'SET.STOP']],
    ['its end alone', [[40, null]], ['FAIL.STOP.ERROR', 'FAIL.STOP.RESUMING', 'SET.STOP']],
    [
      'more than it',
      [
        [0, null],
        [0, 1],
      ],
      ['FAIL.STOP.ERROR', 'FAIL.STOP.RESUMING', 'SET.STOP'],
    ],
  ])('of %s', (_, parts, outcomes) => {
    expect(leaving(parts)).toEqual(outcomes);
  });
});

describe('data of a write', () => {
  const image = Uint8Array.from({ length: 10 }, (_, at) => at);

  it('is a part of the image, changed where it says', () => {
    expect(dataRange({ from: -4, to: -1 }, 10)).toEqual({ from: 6, to: 9 });
    expect(dataRange({ from: 8, to: 99 }, 10)).toEqual({ from: 8, to: 10 });
    expect(dataRange({ from: 8, to: 3 }, 10)).toEqual({ from: 8, to: 8 });
    expect([...dataBytes({ from: 7, to: null, extra: 2 }, image)]).toEqual([7, 8, 9, 0, 0]);
    expect([...dataBytes({ from: 0, to: 3, flip: { at: -1, mask: 0xff } }, image)]).toEqual([0, 1, 0xfd]);
    expect([...image]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});
