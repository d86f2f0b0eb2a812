import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RULES } from '../../src/rules/index.js';
import { VHOST_USER_RULES } from '../../src/rules/vhost-user.js';
import { backEnd, FEATURES, PROTOCOL } from '../../src/rules/vhost-user-example.js';
import { VHOST_USER_DECODED } from '../../src/rules/vhost-user-facts.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { validateEvents } from '../../src/validate/index.js';
import type { Finding } from '../../src/validate/report.js';
import { LegalSession, messagesOnly, withMessages } from './vhost-user-sessions.js';

const ours = new Set(VHOST_USER_RULES.map(({ id }) => id));
const findings = (events: readonly TraceEvent[]): Finding[] =>
  validateEvents(events).violations.filter(({ rule }) => ours.has(rule));
const rulesOf = (events: readonly TraceEvent[]): string[] =>
  [...new Set(findings(events).map(({ rule }) => rule))].sort();
const said = (events: readonly TraceEvent[]): string[] =>
  findings(events).map(({ rule, message }) => `${rule}: ${message}`);

/** A number below a bound, out of a list of numbers that a property draws. */
function drawing(numbers: readonly number[]): (below: number) => number {
  let at = 0;
  return (below) => (numbers[at++ % numbers.length]! + at) % below;
}

const NUMBERS = fc.array(fc.nat(0xffff), { minLength: 40, maxLength: 400 });

function legalSession(numbers: readonly number[], length = 120): TraceEvent[] {
  const session = new LegalSession(drawing(numbers));
  for (let n = 0; n < length; n++) session.advance();
  return session.events;
}

describe('sessions that walk the charts', () => {
  test('raise nothing, however they are told', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(NUMBERS, fc.boolean(), (numbers, needReply) => {
        const events = legalSession(numbers);
        for (const { kind } of events) kinds.add(kind);
        expect(said(events)).toEqual([]);
        expect(said(withMessages(events, 'before', needReply))).toEqual([]);
        expect(said(withMessages(events, 'after', needReply))).toEqual([]);
        expect(said(messagesOnly(events))).toEqual([]);
      }),
      { numRuns: 40 },
    );
    // The walks reach what there is to reach.
    for (const kind of [
      'vhost_write',
      'vhost_state_check',
      'vhost_postcopy',
      'vring_base_read',
      'vhost_log_base',
    ])
      expect(kinds).toContain(kind);
  });

  test('raise nothing when the trace begins in their middle', () => {
    fc.assert(
      fc.property(NUMBERS, fc.nat(100), (numbers, cut) => {
        const events = legalSession(numbers);
        expect(said(events.slice(cut))).toEqual([]);
        expect(said(withMessages(events, 'before').slice(cut))).toEqual([]);
        expect(said(messagesOnly(events).slice(cut))).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  test('raise no more than remarks when kinds of event are not traced', () => {
    fc.assert(
      fc.property(NUMBERS, fc.array(fc.nat(30), { minLength: 1, maxLength: 4 }), (numbers, off) => {
        const events = withMessages(legalSession(numbers), 'before');
        const kinds = [...new Set(events.map(({ kind }) => kind))];
        const without = new Set(off.map((n) => kinds[n % kinds.length]!));
        const alarms = findings(events.filter(({ kind }) => !without.has(kind))).filter(
          ({ level }) => level !== 'note',
        );
        expect(alarms.map(({ rule, message }) => `${rule}: ${message} without ${[...without]}`)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('are events of the vocabulary', () => {
    fc.assert(
      fc.property(NUMBERS, (numbers) => {
        const events = legalSession(numbers);
        for (const event of [...withMessages(events, 'after', true), ...messagesOnly(events)])
          traceEventSchema.parse(event);
      }),
      { numRuns: 10 },
    );
  });
});

describe('the conformant examples of all rules stay clean when a kind of event is not traced', () => {
  test.each(VHOST_USER_RULES.map((rule) => [rule.id, rule] as const))('%s', (_id, rule) => {
    for (const kind of new Set(rule.conformant.map((event) => event.kind))) {
      const rest = rule.conformant.filter((event) => event.kind !== kind);
      expect(
        findings(rest)
          .filter(({ level }) => level !== 'note')
          .map(({ rule }) => `${rule} without ${kind}`),
      ).toEqual([]);
    }
  });
});

/** Examples that are told in full, and have no messages of their own. */
const DECODED = VHOST_USER_RULES.filter(({ violating }) =>
  violating.every(({ kind }) => kind !== 'vhost_message'),
);

describe('a request that comes as a message too moves no machine twice', () => {
  test.each(DECODED.map((rule) => [rule.id, rule] as const))('%s', (id, rule) => {
    // Without LOG_SHMFD nobody answers SET_LOG_BASE.
    const sharedLog = id !== 'VHOST-USR-52';
    for (const where of ['before', 'after'] as const) {
      expect(rulesOf(withMessages(rule.conformant, where))).toEqual(rulesOf(rule.conformant));
      const broken = rulesOf(withMessages(rule.violating, where, false, sharedLog));
      expect(broken).toContain(id);
      expect(broken).toEqual(rulesOf(rule.violating));
    }
  });

  test('most rules are looked at that way', () => expect(DECODED.length).toBeGreaterThan(35));
});

describe('a log with nothing but messages', () => {
  const b = backEnd();
  const stopped = [...b.started(), b.stop()];
  const pagefault = b.started([...PROTOCOL, 'PAGEFAULT']);
  /** The last request stands only when another one follows. */
  const later = [b.event('vhost_offered', { features: 1 })];

  test.each([
    ['VHOST-USR-62', [...b.started(), b.stateFd('save'), ...later]],
    ['VHOST-USR-63', [...stopped, b.check(), ...later]],
    ['VHOST-USR-70', [...pagefault, b.postcopy('listen'), ...later]],
    ['VHOST-USR-71', [...pagefault, b.postcopy('advise'), b.postcopy('end'), ...later]],
    ['VHOST-USR-31', [...b.started(), b.base(0, 7), b.stop(0, 7)]],
  ] as const)('shows a breach of %s', (id, events) => {
    expect(rulesOf(messagesOnly(events))).toEqual([id]);
  });

  test('where it does not say which ring was started, nobody is accused', () => {
    const blind = messagesOnly([...b.started(), b.stop(), b.stateFd('save'), b.check(), ...later]).filter(
      ({ kind }) => kind !== 'vring_start' && kind !== 'vring_stop',
    );
    expect(said(blind)).toEqual([]);
  });

  test('headers without payload, as passt is traced, accuse nobody either', () => {
    const session = withMessages([...b.started(), b.stop(), b.stateFd('save'), b.check()], 'before')
      .filter(({ kind }) => !/^vring_(num|base|addr|kick_fd|enable)$/.test(kind))
      .map((event) => {
        const { features: _features, ...rest } = event as TraceEvent & { features?: unknown };
        return event.kind === 'vhost_offered' ? event : (rest as TraceEvent);
      });
    expect(said(session)).toEqual([]);
  });

  test('a connection that is lost has nobody to ask for a base', () => {
    const window = (begin: boolean) => b.bare('vring_stop', { index: 0, begin });
    const lost = [
      ...messagesOnly(b.started()),
      b.event('vhost_close', { lost: true }),
      window(true),
      window(false),
      ...messagesOnly(b.started()),
    ];
    expect(said(lost)).toEqual([]);
  });
});

describe('a second connection begins anew', () => {
  const b = backEnd();

  test.each([true, false])('with an event of its own: %s', (opens) => {
    const second = b.started().filter(({ kind }) => opens || kind !== 'vhost_open');
    const events = [
      ...b.started(),
      b.kick(),
      b.write('used'),
      b.event('vhost_close', { lost: true }),
      ...second,
    ];
    expect(said(events)).toEqual([]);
    expect(rulesOf([...events, b.kick(), b.base(0, 1), b.stop(0, 1)])).toEqual(['VHOST-USR-30']);
  });

  test('memory that is written after the end is nobody’s breach', () => {
    expect(said([...b.started(), b.stop(), b.event('vhost_close'), b.write('buffer')])).toEqual([]);
  });
});

describe('libvhost-user, which starts a ring on SET_VRING_KICK', () => {
  test('raises nothing when it works before a kick', () => {
    const b = backEnd();
    expect(
      said([...b.started(), b.write('used'), b.write('buffer'), b.kick(), b.write('used'), b.stop(0, 3)]),
    ).toEqual([]);
  });
});

describe('without bit 30 in SET_FEATURES rings are enabled', () => {
  const b = backEnd();
  const features = FEATURES & ~(1n << 30n) & ~(1n << 26n);
  const session = (...more: TraceEvent[]) => [
    b.event('vhost_open'),
    b.event('vhost_offered', { features: `0x${features.toString(16)}` }),
    b.event('vhost_set_owner'),
    b.features(features),
    b.table(),
    ...b.ring(0),
    b.kick(),
    ...more,
  ];

  test('a ring that is named later, too', () =>
    expect(said(session(b.write('buffer'), b.stop(0, 1)))).toEqual([]));
});

describe('the same ring on two hosts', () => {
  const source = backEnd('source');
  const destination = backEnd('destination');
  const left = (b: typeof source, save = true) => [
    ...b.started(),
    b.log(),
    b.features(FEATURES),
    b.kick(),
    b.stop(0, 353),
    ...(save ? [b.stateFd('save'), b.stateEnd(), b.check()] : []),
  ];
  const arrived = (b: typeof source, base: number, load = true) => [
    ...b.offer(),
    ...(load ? [b.stateFd('load'), b.stateEnd(), b.check()] : []),
    b.enable(0),
    b.features(FEATURES & ~(1n << 26n)),
    b.table(),
    ...b.ring(0, { from: base }),
  ];
  const of = (...events: TraceEvent[][]) => rulesOf(events.flat());

  test('goes on where it stopped', () => expect(of(left(source), arrived(destination, 353))).toEqual([]));
  test('or does not', () => expect(of(left(source), arrived(destination, 352))).toEqual(['VHOST-USR-84']));
  test('whichever file comes first', () =>
    expect(of(arrived(destination, 352), left(source))).toEqual(['VHOST-USR-84']));
  test('under another name, when each host has one', () =>
    expect(of(left(source), arrived(backEnd('destination', 'net1'), 352))).toEqual(['VHOST-USR-84']));
  test('with a log only', () =>
    expect(of(left(source, false), arrived(destination, 352, false))).toEqual(['VHOST-USR-84']));
  test('is not judged when the guest may have set it up anew', () =>
    expect(of(left(source, false), arrived(destination, 0, false))).toEqual([]));
  test('is judged all the same when the VM was stopped before', () => {
    const events = left(source, false);
    const at = events.findIndex(({ kind }) => kind === 'vring_base_read');
    const halt: TraceEvent = { kind: 'vm_state', host: 'source', running: false, reason: 'finish-migrate' };
    expect(of(events.toSpliced(at, 0, halt), arrived(destination, 0, false))).toEqual(['VHOST-USR-84']);
  });
  test('is not judged without a migration', () => {
    const plain = [...source.started(), source.kick(), source.stop(0, 353)];
    expect(of(plain, arrived(destination, 352, false))).toEqual([]);
  });
  test('is not judged when the source runs again', () =>
    expect(of(left(source), [source.kickFd(0)], arrived(destination, 352))).toEqual([]));
  test('is matched by name when there are several', () => {
    const [a, b] = [backEnd('source', 'a'), backEnd('source', 'b')];
    const [c, d] = [backEnd('destination', 'a'), backEnd('destination', 'c')];
    const wrong = findings([left(a), left(b), arrived(c, 352), arrived(d, 7)].flat());
    expect(wrong.map(({ rule, device, host }) => [rule, device, host])).toEqual([
      ['VHOST-USR-84', 'a', 'destination'],
    ]);
  });
});

test('every rule of vhost-user is one of the rules, and there are at least 32', () => {
  for (const rule of VHOST_USER_RULES) expect(RULES).toContain(rule);
  expect(VHOST_USER_RULES.length).toBeGreaterThanOrEqual(32);
  expect(VHOST_USER_DECODED.size).toBeGreaterThan(20);
});
