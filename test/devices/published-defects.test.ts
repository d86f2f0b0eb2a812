import { describe, expect, test } from 'vitest';
import { validateEvents } from '../../src/index.js';
import { capabilitySet } from '../../src/machines/index.js';
import { ruleNamed } from '../../src/rules/index.js';
import {
  VIRTCHNL_OPS,
  type VirtchnlOp,
  VirtchnlPromiscInfo,
  VirtchnlRssHashcfg,
} from '../../src/uapi/index.js';
import { refusal } from './lab.js';
import { type LabE810, type LabE810Options, labE810 } from './lab-e810.js';
import { migrate, type Setting, type Side, take } from './lab-migration.js';
import { loadBroken, play, SCENARIOS, type Scenario } from './lab-scenarios.js';

type Generation = LabE810Options['generation'];
const GENERATIONS: readonly Generation[] = ['a', 'b'];

const vfOf = ({ model }: Side) => (model as LabE810).device;

/** The guest has gone on for long before it is migrated, and goes on. */
const longLived: Scenario = async (here, there) => {
  const { model } = here;
  const { pf } = vfOf(here).state;
  // Where messages are logged, until the log is almost full; where the log is kept short, as long as that.
  const slices = pf.logging ? 2500 : 100;
  for (let slice = 0; slice < slices && pf.log.length < 985; slice++) (model as LabE810).run(1);
  await here.check();
  await (await migrate(here, there)).close();
};

/** The VF is stopped when the device is about to use the first descriptor of a ring. */
const atRingStart: Scenario = async (here, there) => {
  const atStart = () => vfOf(here).state.rx[0]!.head === 0;
  const lastly = () => {
    for (let ticks = 0; ticks < 1000 && !atStart(); ticks++) here.traffic(1);
    expect(atStart()).toBe(true);
  };
  await (await migrate(here, there, { lastly })).close();
};

/** What the guest has asked for is compared, beside its traffic. */
const settings: Scenario = async (here, there) => {
  const { pf, state } = vfOf(here);
  // The driver does not ask for these; its mailbox is left alone.
  const ask = (op: VirtchnlOp, message: Uint8Array) =>
    expect(pf.handleMessage(VIRTCHNL_OPS[op], message, { replay: true })).toBe(0);
  ask('CONFIG_PROMISCUOUS_MODE', VirtchnlPromiscInfo.encode({ vsi_id: state.pf.vsiId, flags: 3 }));
  ask('SET_RSS_HASHCFG', VirtchnlRssHashcfg.encode({ hashcfg: state.pf.rss.hashcfg & ~(1n << 44n) }));
  const of = (side: Side) => {
    const { unicastPromisc, multicastPromisc, rss } = vfOf(side).state.pf;
    return { unicastPromisc, multicastPromisc, hashcfg: `${rss.hashcfg}` };
  };
  const asked = JSON.stringify(of(here));
  await (await migrate(here, there)).close();
  const found = JSON.stringify(of(there));
  there.tell({
    ...{ kind: 'state_compare', device: 'vf0', equal: asked === found },
    what: `${asked} became ${found}`,
  });
};

/** The last bytes come after RESUMING was left. */
const lateBytes: Scenario = async (here, there) => {
  const guest = here.guest!;
  const into = (await there.set('RESUMING'))!;
  await here.stop();
  const bytes = await take((await here.set('STOP_COPY'))!);
  await into.write(bytes.subarray(0, 200));
  const error = await refusal(async () => {
    await there.set('STOP');
    await into.write(bytes.subarray(200));
  });
  if (error) await there.device.reset();
  else await there.run(guest);
};

/** All that the source gives is loaded, whatever it is to the destination. */
const loaded: Scenario = (here, there) => loadBroken(here, there, (bytes) => bytes);

interface Case {
  readonly scenario: Scenario;
  /** What is special with the VFs of both hosts, and with that of the second. */
  readonly both?: Partial<LabE810Options>;
  readonly other?: Partial<LabE810Options>;
}

/** What the published drivers are tried with beside the scenarios that all devices go through. */
const CASES: Readonly<Record<string, (generation: Generation) => Case>> = {
  'a VF of the other generation': (generation) => ({
    scenario: loaded,
    other: { generation: generation === 'a' ? 'b' : 'a' },
  }),
  'a VF with fewer queue pairs': () => ({ scenario: loaded, other: { queuePairs: 1 } }),
  'a guest of long life': () => ({ scenario: longLived, both: { churn: 1 } }),
  'at the start of a ring': () => ({ scenario: atRingStart, both: { queuePairs: 1, churn: 0 } }),
  'settings of the guest': () => ({ scenario: settings }),
  'bytes after RESUMING': () => ({ scenario: lateBytes }),
};

/** Rules that find something, each once, and all that they say; of how the scenario has ended, if by a refusal. */
async function found({ scenario, both, other }: Case, options: LabE810Options & { preCopy?: boolean }) {
  const { preCopy = false, ...model } = options;
  const setting = (more: Partial<LabE810Options> = {}): Setting => ({
    subject: labE810({ ...model, ...both, ...more }),
    capabilities: capabilitySet(preCopy ? ['p2p', 'pre-copy'] : ['p2p']),
    fault: null,
    seed: 1,
  });
  const { events, ended } = await play(scenario, setting(), setting(other));
  const { verdict, violations } = validateEvents(events);
  const of = (notes: boolean) =>
    [
      ...new Set(violations.filter(({ level }) => (level === 'note') === notes).map(({ rule }) => rule)),
    ].sort();
  const words = violations.map(({ rule, message }) => `${rule}: ${message}`).join('\n');
  return { broken: of(false), notes: of(true), ended, verdict, words };
}

const caseOf = (name: string, generation: Generation): Case =>
  CASES[name]?.(generation) ?? { scenario: SCENARIOS[name]! };

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
    'there and back': MAILBOX,
    plain: MAILBOX,
    paused: CANCELLED,
    // Dead at the source, it is dead at the destination.
    cancelled: { broken: ['VFIO-OUT-01', 'VFIO-OUT-02'], says: CANCELLED.says! },
    // What is missing are zeros, which nobody counts.
    cut: CUT,
    foreign: late('EINVAL'),
    resets: {},
    'a VF of the other generation': late('EPROTONOSUPPORT'),
    'a VF with fewer queue pairs': late('EINVAL'),
    'a guest of long life': {
      ...{ ...MAILBOX, broken: ['VFIO-OUT-02'] },
      says: /the PF refused \w+: ERR_NO_MEMORY/,
    },
    'at the start of a ring': {},
    // SET_RSS_HASHCFG is not logged.
    'settings of the guest': {
      ...MAILBOX,
      broken: ['VFIO-OUT-03'],
      says: /"unicastPromisc":true.*became.*true/,
    },
    'bytes after RESUMING': ATTACHED,
  },
  b: {
    // Whether queues are enabled is not in the records, so a VF that was migrated never stops again.
    'there and back': {
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
    'a VF of the other generation': late('EINVAL'),
    // It becomes a VF of as many queue pairs as the image has.
    'a VF with fewer queue pairs': {},
    'a guest of long life': MAILBOX,
    // The tail is the offset of its register, 0 in 16 bits: at head 0 the ring is empty for ever.
    'at the start of a ring': {
      broken: ['VFIO-OUT-02'],
      says: /after it was loaded, and does not work: the VF does not take any frame/,
    },
    // Promiscuity has no record.
    'settings of the guest': {
      ...{ ...MAILBOX, broken: ['VFIO-OUT-03'] },
      says: /"unicastPromisc":true.*became.*"unicastPromisc":false/,
    },
    'bytes after RESUMING': ATTACHED,
  },
};

const NAMES = [...Object.keys(SCENARIOS), ...Object.keys(CASES)];

describe.each(GENERATIONS)('generation %s as published', (generation) => {
  test.each(NAMES)('%s', async (name) => {
    const { broken = [], notes = [], says } = DEFECTS[generation][name]!;
    const result = await found(caseOf(name, generation), { generation, personality: 'published' });
    expect({ broken: result.broken, notes: result.notes }, result.words).toEqual({ broken, notes });
    expect(result.verdict).toBe(broken.length > 0 ? 'violation' : 'conformant');
    if (says) expect(result.words).toMatch(says);
  });
});

describe.each(GENERATIONS)('generation %s as the uAPI wants it', (generation) => {
  /** Refused as early as can be: that the source gave it cannot be told from here. */
  const refused = ['foreign', 'a VF of the other generation', 'a VF with fewer queue pairs'];
  test.each([
    ['STOP_COPY', {}, NAMES],
    ['PRE_COPY and DMA logging', { preCopy: true, dmaLogging: true }, Object.keys(SCENARIOS)],
  ] as const)('%s: nothing is found', { timeout: 30_000 }, async (_name, options, names) => {
    for (const name of names) {
      const result = await found(caseOf(name, generation), { generation, personality: 'uapi', ...options });
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
