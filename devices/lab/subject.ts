import type { DeviceFactory, Slot } from 'stopcopy/migrate';
import { catalogDevice, DEVICE_DEFAULTS, type DeviceDefaults, type DeviceModel } from '../catalog.js';
import type { Fault } from '../faults/index.js';
import { DmaGuest, RING_RANGE } from './dma-guest.js';
import type { Guest } from './guest.js';
import { IavfGuest, iavfRam } from './iavf-guest.js';
import { UartGuest } from './uart-guest.js';

/** A device that is to be migrated, and its guest. */
export interface Subject {
  readonly model: DeviceModel;
  readonly factory: DeviceFactory;
  readonly fault: Fault | null;
  readonly seed: number;
  /** Guest memory that the device may reach by DMA, and its log covers. */
  readonly dma: { readonly iova: bigint; readonly length: bigint };
  /** Guest memory that is the driver's; the device writes to no other. */
  readonly driverRam: Slot['driverRam'];
  /** What tells whether both sides have the same state: what the device saves, or the digest of its machine. */
  readonly comparedBy: 'saved state' | 'digest';
  newGuest(): Guest;
}

/** A small machine whose guest changes its filters often, so that little time shows much. */
const SMALL = {
  ...DEVICE_DEFAULTS,
  queuePairs: 2,
  guest: { ringLength: 64, churn: 8, trusted: true },
} as const satisfies DeviceDefaults;

type Surroundings = Pick<Subject, 'dma' | 'driverRam' | 'comparedBy' | 'newGuest'>;

const WITHOUT_DRIVER = {
  dma: RING_RANGE,
  driverRam: { start: 0, size: 0 },
  comparedBy: 'saved state',
} as const;

const BY_MODEL: Readonly<Record<DeviceModel, (text: string) => Surroundings>> = {
  uart: () => ({ ...WITHOUT_DRIVER, newGuest: () => new UartGuest() }),
  dma: () => ({ ...WITHOUT_DRIVER, newGuest: () => new DmaGuest() }),
  'e810-vf': (text) => {
    const pairs = Math.max(SMALL.queuePairs, Number(optionOf(text, 'queues') ?? 0));
    const driverRam = iavfRam(pairs, SMALL.guest.ringLength);
    const dma = { iova: BigInt(driverRam.start), length: BigInt(driverRam.size) };
    return { dma, driverRam, comparedBy: 'digest', newGuest: () => new IavfGuest() };
  },
};

/**
 * The subject of a text of the catalog.
 * @param defaults what the text leaves open, where it is not as in the lab
 * @throws RangeError as `catalogDevice` does
 */
export function subjectOf(text: string, defaults: Partial<DeviceDefaults> = {}): Subject {
  const guest = { ...SMALL.guest, ...defaults.guest };
  const all = { ...SMALL, ...defaults, guest };
  const { model, factory, fault } = catalogDevice(text, all);
  return { model, factory, fault, seed: all.seed, ...BY_MODEL[model](text) };
}

/** An option of a device, as its text has it. */
export function optionOf(text: string, name: string): string | null {
  return optionsOf(text).get(name);
}

/** The text with some of its options set to something else. */
export function withOptions(text: string, options: Readonly<Record<string, string>>): string {
  const all = optionsOf(text);
  for (const [name, value] of Object.entries(options)) all.set(name, value);
  return `${text.split('?', 1)[0]}?${all}`;
}

const optionsOf = (text: string) => new URLSearchParams(text.split('?', 2)[1]);
