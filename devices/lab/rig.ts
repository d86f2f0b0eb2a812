import type { GuestRig } from 'stopcopy/target';
import { refusalOf } from 'stopcopy/uapi';
import { DEVICE_DEFAULTS, type DeviceDefaults } from '../catalog.js';
import { longLife, ringStart, settings } from './e810-scenarios.js';
import { loadAfter, SCENARIOS, type Scenario } from './scenarios.js';
import { type Emit, Side } from './side.js';
import { optionOf, type Subject, subjectOf, withOptions } from './subject.js';

/** Ticks of traffic before anything happens to the VM. */
const WARM_UP = 7;

/** A scenario, and what is special with the devices that it is played on. */
interface Play {
  readonly scenario: Scenario;
  /** Options of the device on both hosts. */
  readonly both?: Readonly<Record<string, string>>;
  /** Options of the device on the second host, from the text of the device. */
  readonly other?: (text: string) => Readonly<Record<string, string>>;
  readonly guest?: DeviceDefaults['guest'];
}

const load: Scenario = (here, there) => loadAfter(here, there);
const generationOf = (text: string) => optionOf(text, 'generation') ?? DEVICE_DEFAULTS.generation;

const GENERAL_PLAYS: Readonly<Record<string, Play>> = Object.fromEntries(
  Object.entries(SCENARIOS).map(([name, scenario]) => [name, { scenario }]),
);

/** What a VF is tried with beside. */
const E810_PLAYS: Readonly<Record<string, Play>> = {
  ...GENERAL_PLAYS,
  'long-life': { scenario: longLife, guest: { churn: 1 } },
  'ring-start': { scenario: ringStart, both: { queues: '1' }, guest: { churn: 0 } },
  settings: { scenario: settings },
  // The stream is whole, and the VF on the other side cannot take it.
  'other-generation': {
    scenario: load,
    other: (text) => ({ generation: generationOf(text) === 'a' ? 'b' : 'a' }),
  },
  'fewer-queues': { scenario: load, both: { queues: '2' }, other: () => ({ queues: '1' }) },
};

/**
 * Migrations of a VM with a mock device.
 * @param text a device of the catalog, such as `e810-vf?generation=a&personality=published&fault=late-load`;
 * its fault is on both hosts
 * @param seed of the traffic, and of what a fault draws
 * @throws RangeError when the catalog has no such device
 */
export function mockGuestRig(text: string, seed: number): GuestRig {
  const { model } = subjectOf(text, { seed });
  const plays = model === 'e810-vf' ? E810_PLAYS : GENERAL_PLAYS;
  return {
    scenarios: Object.keys(plays),
    play: (name, emit) => {
      const play = Object.hasOwn(plays, name) ? plays[name] : undefined;
      if (play === undefined)
        throw new RangeError(`no scenario is called ${name}; there are ${Object.keys(plays).join(', ')}`);
      return perform(play, subjectsOf(text, seed, play), emit);
    },
  };
}

/** The devices of both hosts. */
function subjectsOf(text: string, seed: number, { both = {}, other, guest }: Play): [Subject, Subject] {
  const here = withOptions(text, both);
  const there = withOptions(here, other?.(text) ?? {});
  const defaults = { seed, ...(guest ? { guest } : {}) };
  // Where the PF driver gives out VSI numbers, a VF has another one on each host.
  const vsiId = generationOf(here) === 'a' && generationOf(there) === 'a' ? 2 : 1;
  return [subjectOf(here, defaults), subjectOf(there, { ...defaults, vsiId })];
}

/** To its end, or to the first call that the device refuses; the words of that. */
async function perform(
  { scenario }: Play,
  [onHere, onThere]: readonly [Subject, Subject],
  emit: Emit,
): Promise<string | null> {
  const error = await refusalOf(async () => {
    const here = new Side('alpha', onHere, emit);
    const there = new Side('beta', onThere, emit);
    here.guest = onHere.newGuest();
    await here.guest.setUp(here.device, here.machine);
    here.traffic(WARM_UP);
    await here.check();
    await scenario(here, there);
  });
  return error?.message ?? null;
}
