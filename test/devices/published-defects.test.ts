import { describe, expect, test } from 'vitest';
import { KNOWN_BUGS } from '../../devices/faults/index.js';
import { mockGuestRig } from '../../devices/lab/index.js';
import { validateEvents } from '../../src/index.js';
import { ruleNamed } from '../../src/rules/index.js';
import { type TraceEvent, traceEventSchema } from '../../src/trace/index.js';

const GENERATIONS = ['a', 'b'] as const;
type Generation = (typeof GENERATIONS)[number];

/** Rules that find something in a scenario, each once, and all that they say; of how it has ended, if by a refusal. */
async function found(scenario: string, device: string) {
  const events: TraceEvent[] = [];
  const rig = mockGuestRig(device, 3);
  const ended = await rig.play(scenario, (event) => events.push(traceEventSchema.parse(event)));
  const { verdict, violations } = validateEvents(events);
  const of = (notes: boolean) =>
    [
      ...new Set(violations.filter(({ level }) => (level === 'note') === notes).map(({ rule }) => rule)),
    ].sort();
  const words = violations.map(({ rule, message }) => `${rule}: ${message}`).join('\n');
  return { broken: of(false), notes: of(true), ended, verdict, words };
}

/** What is found of a scenario: rules that are broken, rules that note something, and words that must be there. */
interface Expected {
  readonly broken?: readonly string[];
  readonly notes?: readonly string[];
  readonly says?: RegExp;
}

/** The mailbox goes on in RUNNING_P2P: it answers what the guest posts, and writes guest RAM. */
const MAILBOX: Expected = { notes: ['VFIO-QSC-03'] };
const CANCELLED: Expected = {
  broken: ['VFIO-OUT-01'],
  says: /after it was stopped, and does not work: the VF does not take any frame/,
};
const CUT: Expected = { broken: ['VFIO-SES-07', 'VFIO-SES-15'] };
const ATTACHED: Expected = { broken: ['VFIO-SES-14', 'VFIO-SES-15'], says: /in STOP, where no session/ };
/** Seen when the source has stopped for good: the source cannot go on either. */
const late = (code: string): Expected => ({
  broken: ['VFIO-OUT-01', 'VFIO-SES-17'],
  says: new RegExp(`the next arc to RUNNING_P2P fails with ${code}$`, 'm'),
});

const DEFECTS: Readonly<Record<Generation, Readonly<Record<string, Expected>>>> = {
  a: {
    'there-and-back': MAILBOX,
    plain: MAILBOX,
    paused: CANCELLED,
    // Dead at the source, it is dead at the destination.
    cancelled: { broken: ['VFIO-OUT-01', 'VFIO-OUT-02'], says: CANCELLED.says! },
    // What is missing are zeros, which nobody counts.
    cut: CUT,
    foreign: late('EINVAL'),
    resets: {},
    'other-generation': late('EPROTONOSUPPORT'),
    'fewer-queues': late('EINVAL'),
    'long-life': {
      ...{ ...MAILBOX, broken: ['VFIO-OUT-02'] },
      says: /the PF refused \w+: ERR_NO_MEMORY/,
    },
    'ring-start': {},
    // SET_RSS_HASHCFG is not logged.
    settings: {
      ...MAILBOX,
      broken: ['VFIO-OUT-03'],
      says: /"unicastPromisc":true.*became.*true/,
    },
    'late-bytes': ATTACHED,
  },
  b: {
    // Whether queues are enabled is not in the records, so a VF that was migrated never stops again.
    'there-and-back': {
      broken: ['VFIO-OUT-02', 'VFIO-OUT-05', 'VFIO-OUT-06', 'VFIO-QSC-01'],
      notes: ['VFIO-QSC-03'],
      says: /^VFIO-QSC-01: the device wrote \d+ bytes at \S+ in STOP$/m,
    },
    plain: MAILBOX,
    paused: CANCELLED,
    // The first save has used the records up.
    cancelled: { notes: ['VFIO-FSM-15'], says: /STOP_COPY fails with EIO in STOP/ },
    cut: CUT,
    foreign: late('EBADMSG'),
    resets: {},
    'other-generation': late('EINVAL'),
    // It becomes a VF of as many queue pairs as the image has.
    'fewer-queues': {},
    'long-life': MAILBOX,
    // The tail is the offset of its register, 0 in 16 bits: at head 0 the ring is empty for ever.
    'ring-start': {
      broken: ['VFIO-OUT-02'],
      says: /after it was loaded, and does not work: the VF does not take any frame/,
    },
    // Promiscuity has no record.
    settings: {
      ...{ ...MAILBOX, broken: ['VFIO-OUT-03'] },
      says: /"unicastPromisc":true.*became.*"unicastPromisc":false/,
    },
    'late-bytes': ATTACHED,
  },
};

const NAMES = mockGuestRig('e810-vf', 3).scenarios;

describe.each(GENERATIONS)('generation %s as published', (generation) => {
  test.each(NAMES)('%s', async (name) => {
    const { broken = [], notes = [], says } = DEFECTS[generation][name]!;
    const result = await found(name, `e810-vf?generation=${generation}&personality=published`);
    expect({ broken: result.broken, notes: result.notes }, result.words).toEqual({ broken, notes });
    expect(result.verdict).toBe(broken.length > 0 ? 'violation' : 'conformant');
    if (says) expect(result.words).toMatch(says);
  });
});

describe.each(GENERATIONS)('generation %s as the uAPI wants it', (generation) => {
  /** Refused as early as can be: that the source gave it cannot be told from here. */
  const refused = ['foreign', 'other-generation', 'fewer-queues'];
  test.each([
    ['STOP_COPY', ''],
    ['PRE_COPY and DMA logging', '&precopy&dma-logging'],
  ])('%s: nothing is found', { timeout: 30_000 }, async (_name, options) => {
    for (const name of NAMES) {
      const result = await found(name, `e810-vf?generation=${generation}&personality=uapi${options}`);
      const notes = refused.includes(name) ? ['VFIO-SES-16'] : [];
      expect({ name, ...result }, result.words).toMatchObject({
        ...{ name, broken: [], notes, ended: null, verdict: 'conformant' },
      });
    }
  });
});

test('every rule named here exists, and every scenario has been thought of', () => {
  const rules = Object.values(DEFECTS).flatMap((of) =>
    Object.values(of).flatMap(({ broken = [], notes = [] }) => [...broken, ...notes]),
  );
  expect(rules.filter((id) => ruleNamed(id) === undefined)).toEqual([]);
  for (const generation of GENERATIONS)
    expect(Object.keys(DEFECTS[generation]).sort()).toEqual([...NAMES].sort());
});

test('a known bug that a published driver stands for shows in its scenarios', () => {
  const idle = KNOWN_BUGS.flatMap(({ what, published }) =>
    (published?.scenarios ?? [])
      .filter(
        (name) =>
          (DEFECTS[published!.generation][name]?.broken ?? DEFECTS[published!.generation][name]?.notes ?? [])
            .length === 0,
      )
      .map((name) => `${what}: ${name}`),
  );
  expect(idle).toEqual([]);
});
