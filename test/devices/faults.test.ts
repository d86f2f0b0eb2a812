import { describe, expect, test } from 'vitest';
import {
  FAULTS,
  type Fault,
  faultNamed,
  faultRandom,
  faulty,
  shiftedByOffset,
} from '../../devices/faults/index.js';
import { uartFactory } from '../../devices/uart/factory.js';
import { validateEvents } from '../../src/index.js';
import { CAPABILITY_SETS, type CapabilitySet } from '../../src/machines/index.js';
import type { Slot } from '../../src/migrate/index.js';
import { PciSlot } from '../../src/migrate/pci-slot.js';
import { ruleNamed } from '../../src/rules/index.js';
import { DirtyBitmap } from '../../src/uapi/index.js';
import { PagedMemory } from './lab-dma.js';
import { DMA, type Subject, UART } from './lab-guest.js';
import { play, SCENARIOS } from './lab-scenarios.js';

const SUBJECTS = [UART, DMA];
/** With all a device can offer, and with the least. */
const SETS = [CAPABILITY_SETS[3]!, CAPABILITY_SETS[0]!];
const hasWhatItNeeds = ({ needs }: Fault, subject: Subject, caps: CapabilitySet): boolean =>
  needs.every((need) => {
    if (need === 'pre-copy') return caps.preCopy;
    return need === 'p2p' ? caps.p2p : subject === DMA;
  });

/** What is found in each scenario, as `scenario: rule`, with what it says; and the scenarios that did not end. */
async function foundIn(fault: Fault | null, subject: Subject, capabilities: CapabilitySet) {
  const found = new Map<string, string>();
  const ends: string[] = [];
  for (const name of Object.keys(SCENARIOS)) {
    const { events, ended } = await play(name, { subject, capabilities, fault, seed: 1 });
    if (ended !== null) ends.push(`${name}: ${ended}`);
    for (const { rule, level, message } of validateEvents(events).violations)
      found.set(`${name}: ${rule}`, `${level}: ${message}`);
  }
  return { found, ends };
}

/** A stream that the VMM spoils is refused, and nobody can tell from outside that it was the VMM. */
const FOUND_WITHOUT_FAULT = ['foreign: VFIO-SES-16'];

const name = ({ p2p, preCopy }: CapabilitySet) =>
  `stop-copy${p2p ? ', p2p' : ''}${preCopy ? ', pre-copy' : ''}`;

/** By fault: rules that have found it. */
const finders = new Map<string, Set<string>>();

describe.each(SUBJECTS)('$name', (subject) => {
  test.each(CAPABILITY_SETS.map((caps) => [name(caps), caps] as const))(
    '%s: without a fault every scenario ends, and nothing is found',
    async (_name, caps) => {
      const { found, ends } = await foundIn(null, subject, caps);
      expect([...found.keys()]).toEqual(FOUND_WITHOUT_FAULT);
      expect(ends).toEqual([]);
    },
  );

  describe.each(SETS.map((caps) => [name(caps), caps] as const))('%s', (_, caps) => {
    const faults = FAULTS.filter((fault) => hasWhatItNeeds(fault, subject, caps));
    test.each(faults.map((fault) => [fault.name, fault] as const))('%s is found', async (_name, fault) => {
      const { found } = await foundIn(fault, subject, caps);
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

describe('a machine with a faulty device', () => {
  const slot = (): Slot => {
    const ioas = new PagedMemory();
    const memory = { size: 2 ** 30, read: ioas.read.bind(ioas), write: ioas.write.bind(ioas) };
    const { lent } = new PciSlot('0000:00:04.0');
    return { name: '0000:00:04.0', ...lent, memory, ioas, driverRam: { start: 0, size: 65536 } };
  };

  test('is the machine of its factory, but for the device', async () => {
    const sound = uartFactory(slot());
    const machine = faulty(uartFactory, faultNamed('reset-lost')!)(slot());
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
