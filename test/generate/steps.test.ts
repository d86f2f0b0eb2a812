import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { step as next, REFUSED } from '../../src/automaton/index.js';
import { deviceAutomaton } from '../../src/generate/request-machine.js';
import { lowerRequests, type RequestStep, Walk } from '../../src/generate/steps.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';
import { stepSchema } from '../../src/suite/index.js';
import { MIG_STATES } from '../../src/uapi/vfio.js';

const FULL = CAPABILITY_SETS[3]!;
const requests = fc.array(fc.constantFrom<RequestStep>(...MIG_STATES, 'RESET', 8, 0xffff_ffff), {
  maxLength: 24,
});

describe('requests as steps', () => {
  test('follow the chart, whatever is asked', () => {
    fc.assert(
      fc.property(fc.constantFrom(...CAPABILITY_SETS), requests, fc.boolean(), (caps, asked, status) => {
        const automaton = deviceAutomaton(caps);
        let state = 0;
        for (const each of lowerRequests(caps, asked, { status })) {
          expect(stepSchema.parse(each)).toEqual(each);
          expect(each.at).toBe(automaton.states[state]![0]);
          const event = automaton.eventIndex.get(each.expect[0]!);
          if (event !== undefined) state = next(automaton, state, event);
          expect(state, JSON.stringify(each)).not.toBe(REFUSED);
        }
      }),
    );
  });

  test('each is there once, with the state asked for behind it', () => {
    fc.assert(
      fc.property(requests, (asked) => {
        const calls = lowerRequests(FULL, asked, { status: true }).map((each) => each.do);
        expect(calls.filter((call) => call === 'set' || call === 'reset')).toHaveLength(asked.length);
        expect(calls.filter((call) => call === 'get')).toHaveLength(asked.length);
      }),
    );
  });

  test('a load is fed before it is left, and an fd closed behind its session', () => {
    const steps = lowerRequests(FULL, [
      'RESUMING',
      'ERROR',
      'RESUMING',
      'RUNNING',
      'PRE_COPY',
      'STOP_COPY',
      'RESET',
    ]);
    expect(steps.map((each) => [each.do, each.expect.join(' ')])).toEqual([
      ['set', 'SET.RESUMING.data_fd'],
      ['set', 'FAIL.ERROR.RESUMING'],
      ['set', 'SET.RESUMING FAIL.RESUMING.RESUMING'],
      ['write', 'WRITE.ok'],
      ['set', 'SET.RUNNING'],
      ['close', 'CLOSE.ok'],
      ['set', 'SET.PRE_COPY.data_fd'],
      ['set', 'SET.STOP_COPY'],
      ['reset', 'RESET.ok'],
      ['close', 'CLOSE.ok'],
    ]);
    expect(steps.map((each) => ('fd' in each ? each.fd : null)).filter((fd) => fd !== null)).toEqual([
      0, 0, 1,
    ]);
  });
});

describe('a walk', () => {
  const expected = (walk: Walk) => walk.steps.at(-1)!.expect;

  test('knows a truncated load, and where it may leave the device', () => {
    const walk = new Walk(FULL).set('RESUMING').write(0, { from: 0, to: -1 }).set('RUNNING');
    expect(expected(walk).sort()).toEqual(['FAIL.RUNNING.ERROR', 'FAIL.RUNNING.RESUMING']);
    expect(walk.isCertain).toBe(false);
    expect(expected(walk.get()).sort()).toEqual(['GET.ERROR', 'GET.RESUMING']);
    expect(() => walk.set('STOP')).toThrow('the driver decides');
    expect(() => walk.write(0)).toThrow('no open data_fd 0 for certain');
    expect(walk.reset().isCertain).toBe(true);
  });

  test('leaves to the driver what only it can know', () => {
    for (const data of [{ flip: { at: 8, mask: 1 } }, { extra: 1 }, { from: 1, to: null }]) {
      const walk = new Walk(FULL).set('RESUMING').write(0, data);
      expect(expected(walk)).toEqual(['WRITE.ok', 'WRITE.error']);
      expect(expected(walk.set('STOP')).sort()).toEqual([
        'FAIL.STOP.ERROR',
        'FAIL.STOP.RESUMING',
        'SET.STOP',
      ]);
    }
    expect(() => new Walk(FULL).set('RESUMING').set('STOP_COPY')).toThrow('gives a data_fd');
  });

  test('takes a stream for whole when it was read to the permanent end', () => {
    const save = () => new Walk(FULL).set('STOP_COPY').read(0, { size: 1 });
    const whole = save().read(0, { until: 'end' }).set('RESUMING').write(1, { of: 0 });
    expect(expected(whole)).toEqual(['WRITE.ok']);
    const part = save().set('RESUMING').write(1, { of: 0 });
    expect(expected(part)).toEqual(['WRITE.ok', 'WRITE.error']);
  });

  test('expects the end that belongs to the state', () => {
    const walk = new Walk(FULL).set('PRE_COPY').read(0, { until: 'end' });
    expect(expected(walk)).toEqual(['READ.ENOMSG', 'READ.data']);
    expect(expected(walk.set('STOP_COPY').read(0, { until: 'end' }))).toEqual(['READ.end']);
    expect(expected(walk.read(0))).toEqual(['READ.end']);
    expect(expected(walk.set('RUNNING').read(0))).toEqual(['READ.error']);
    expect(() => walk.close(0).read(0)).toThrow('no open data_fd 0');
  });
});
