import { describe, expect, test } from 'vitest';
import {
  FAULTS,
  type Fault,
  faultNamed,
  faultRandom,
  faulty,
  KNOWN_BUGS,
  shiftedByOffset,
} from '../../devices/faults/index.js';
import { mockGuestRig } from '../../devices/lab/index.js';
import { PagedMemory } from '../../devices/lab/paged-memory.js';
import { uartFactory } from '../../devices/uart/factory.js';
import { validateEvents } from '../../src/index.js';
import { CAPABILITY_SETS, type CapabilitySet, capabilityNames } from '../../src/machines/index.js';
import type { Slot } from '../../src/migrate/index.js';
import { PciSlot } from '../../src/migrate/pci-slot.js';
import { ruleNamed } from '../../src/rules/index.js';
import { type TraceEvent, traceEventSchema } from '../../src/trace/index.js';
import { DirtyBitmap } from '../../src/uapi/index.js';

const MODELS = ['uart', 'dma'] as const;
type Model = (typeof MODELS)[number];
/** With all a device can offer, and with the least. */
const SETS = [CAPABILITY_SETS[3]!, CAPABILITY_SETS[0]!];
const hasWhatItNeeds = ({ needs }: Fault, model: Model, caps: CapabilitySet): boolean =>
  needs.every((need) => {
    if (need === 'pre-copy') return caps.preCopy;
    return need === 'p2p' ? caps.p2p : model === 'dma';
  });

/** What is found in each scenario, as `scenario: rule`, with what it says; and the scenarios that did not end. */
async function foundIn(fault: Fault | null, model: Model, capabilities: CapabilitySet) {
  const found = new Map<string, string>();
  const ends: string[] = [];
  const of = fault === null ? '' : `&fault=${fault.name}`;
  const rig = mockGuestRig(`${model}?capabilities=${capabilityNames(capabilities)}${of}`, 1);
  for (const name of rig.scenarios) {
    const events: TraceEvent[] = [];
    const ended = await rig.play(name, (event) => events.push(traceEventSchema.parse(event)));
    if (ended !== null) ends.push(`${name}: ${ended}`);
    for (const { rule, level, message } of validateEvents(events).violations)
      found.set(`${name}: ${rule}`, `${level}: ${message}`);
  }
  return { found, ends };
}

/** A stream that the VMM spoils is refused, and nobody can tell from outside that it was the VMM. */
const FOUND_WITHOUT_FAULT = ['foreign: VFIO-SES-16'];

const name = (caps: CapabilitySet) => capabilityNames(caps).join(', ');

/** By fault: rules that have found it. */
const finders = new Map<string, Set<string>>();

describe.each(MODELS)('%s', (model) => {
  test.each(CAPABILITY_SETS.map((caps) => [name(caps), caps] as const))(
    '%s: without a fault every scenario ends, and nothing is found',
    async (_name, caps) => {
      const { found, ends } = await foundIn(null, model, caps);
      expect([...found.keys()]).toEqual(FOUND_WITHOUT_FAULT);
      expect(ends).toEqual([]);
    },
  );

  describe.each(SETS.map((caps) => [name(caps), caps] as const))('%s', (_, caps) => {
    const faults = FAULTS.filter((fault) => hasWhatItNeeds(fault, model, caps));
    test.each(faults.map((fault) => [fault.name, fault] as const))('%s is found', async (_name, fault) => {
      const { found } = await foundIn(fault, model, caps);
      const rules = [...found.keys()]
        .filter((each) => !FOUND_WITHOUT_FAULT.includes(each))
        .map((each) => each.split(': ')[1]!);
      finders.set(fault.name, new Set([...(finders.get(fault.name) ?? []), ...rules]));
      expect(
        fault.caughtBy.filter((rule) => rules.includes(rule)),
        JSON.stringify(Object.fromEntries(found)),
      ).not.toEqual([]);
    });
  });
});

/** By fault: a device and a scenario that show what neither UART nor DMA does. */
const ELSEWHERE = { 'stream-padded': ['e810-vf?generation=a', 'cut'] } as const;

test.each(Object.entries(ELSEWHERE))('%s is found elsewhere too', async (fault, [device, scenario]) => {
  const events: TraceEvent[] = [];
  await mockGuestRig(`${device}&fault=${fault}`, 1).play(scenario, (event) => events.push(event));
  const rules = validateEvents(events).violations.map(({ rule }) => rule);
  for (const rule of rules) finders.get(fault)!.add(rule);
  expect(faultNamed(fault)!.caughtBy.filter((rule) => rules.includes(rule))).not.toEqual([]);
});

test('each rule that a fault names has found it somewhere', () => {
  const idle = FAULTS.flatMap(({ name, caughtBy }) =>
    caughtBy.filter((rule) => !finders.get(name)?.has(rule)).map((rule) => `${name}: ${rule}`),
  );
  expect(idle).toEqual([]);
});

test('every fault has a name of its own, and rules that exist', () => {
  expect(new Set(FAULTS.map((fault) => fault.name)).size).toBe(FAULTS.length);
  for (const fault of FAULTS) {
    expect(faultNamed(fault.name)).toBe(fault);
    expect(fault.caughtBy.filter((id) => ruleNamed(id) === undefined)).toEqual([]);
  }
  expect(faultNamed('no such fault')).toBeUndefined();
});

test('every fault stands for a known bug, and every bug has what stands for it, or a reason', () => {
  const named = KNOWN_BUGS.flatMap(({ faults = [] }) => faults);
  expect([...new Set(named)].sort()).toEqual(FAULTS.map((fault) => fault.name).sort());
  const neither = KNOWN_BUGS.filter(
    ({ faults, published, unseen }) =>
      (faults === undefined && published === undefined) === (unseen === undefined),
  );
  expect(neither).toEqual([]);
});

describe('a machine with a faulty device', () => {
  const slot = (): Slot => {
    const ioas = new PagedMemory();
    const memory = { size: 2 ** 30, read: ioas.read.bind(ioas), write: ioas.write.bind(ioas) };
    const { lent } = new PciSlot('0000:00:04.0');
    return { name: '0000:00:04.0', ...lent, memory, ioas, driverRam: { start: 0, size: 65536 } };
  };

  test('is the machine of its factory, but for the device', async () => {
    const sound = uartFactory()(slot());
    const machine = faulty(uartFactory(), faultNamed('reset-lost')!)(slot());
    const { model, requirements, pci } = machine;
    expect({ model, requirements, pci }).toEqual({
      model: sound.model,
      requirements: sound.requirements,
      pci: sound.pci,
    });
    expect([machine.digest(), machine.macs()]).toEqual([sound.digest(), sound.macs()]);
    for (const { device } of [sound, machine]) {
      await device.setState('STOP');
      await device.reset();
    }
    expect([await sound.device.getState(), await machine.device.getState()]).toEqual(['RUNNING', 'STOP']);
  });

  test('does the same for the same seed', () => {
    const shifted = (seed: number) => {
      const bitmap = new DirtyBitmap({ iova: 0n, length: 0x10000n, pageSize: 4096n });
      bitmap.set(0);
      return [...shiftedByOffset(bitmap, { random: faultRandom(seed) })];
    };
    expect(shifted(3)).toEqual(shifted(3));
    expect(new Set(Array.from({ length: 20 }, (_, seed) => shifted(seed)).flat()).size).toBeGreaterThan(1);
  });
});
