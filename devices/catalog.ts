import { type CapabilitySet, capabilitySet } from 'stopcopy/machines';
import type { DeviceFactory, VhostFactory } from 'stopcopy/migrate';
import { dmaFactory } from './dma/factory.js';
import { type E810VfFactoryOptions, e810VfFactory } from './e810-vf/factory.js';
import { FAULTS, type Fault, faultNamed, faulty } from './faults/index.js';
import { uartFactory } from './uart/factory.js';
import { VIRTIO_NET_FACES } from './virtio-net/faces.js';
import { virtioNetFactory } from './virtio-net/factory.js';

/** What every device of a machine may be made with; a device's own text says otherwise where it wants. */
export interface DeviceDefaults {
  /** Number of the device in its machine, from 0. */
  readonly index: number;
  readonly seed: number;
  readonly generation: 'a' | 'b';
  readonly personality: 'published' | 'uapi';
  readonly queuePairs: number;
  readonly preCopy: boolean;
  readonly dmaLogging: boolean;
  /** Name of a fault. */
  readonly fault?: string;
  /** VSI number of a VF on this host; default 1, as newer PF drivers give it to every VF. */
  readonly vsiId?: number;
  /** The guest of a VF, and how far the host trusts it. */
  readonly guest?: Pick<E810VfFactoryOptions, 'ringLength' | 'churn' | 'trusted'>;
}

/** Where nobody says otherwise. */
export const DEVICE_DEFAULTS: DeviceDefaults = {
  index: 0,
  seed: 1,
  generation: 'b',
  personality: 'uapi',
  queuePairs: 4,
  preCopy: false,
  dmaLogging: false,
};

/** Models that a machine can have. */
export const DEVICE_MODELS = ['e810-vf', 'uart', 'dma'] as const;
export type DeviceModel = (typeof DEVICE_MODELS)[number];

/** What a text says. */
export interface CatalogDevice {
  readonly model: DeviceModel;
  /** Without the fault. */
  readonly factory: DeviceFactory;
  readonly fault: Fault | null;
}

/** The values that an option of a device may have. */
const CHOICES = {
  generation: ['a', 'b'],
  personality: ['published', 'uapi'],
} as const;

/**
 * A device from its text: a model, and options of its own behind a question mark, as in
 * `e810-vf?generation=a&personality=published&queues=2&vsi=12&precopy&dma-logging&fault=late-load`. A `uart` and
 * a `dma` offer all that a device can; `uart?capabilities=stop-copy,p2p` offers less.
 * @throws RangeError when there is no such model, option, value or fault
 */
export function catalogDevice(text: string, defaults: DeviceDefaults): CatalogDevice {
  const [name = '', query = ''] = text.split('?', 2);
  const options = new URLSearchParams(query);
  const model = DEVICE_MODELS.find((each) => each === name);
  if (model === undefined)
    throw new RangeError(`no device model is called ${name || '""'}; there are ${DEVICE_MODELS.join(', ')}`);
  return { model, factory: FACTORIES[model](options, defaults), fault: faultOf(options, defaults) };
}

/** What the text of a virtio device begins with. */
const VIRTIO_NET = 'virtio-net:';

/**
 * A virtio device from its text: `virtio-net:vhost`, `virtio-net:vhost-user` or `virtio-net:vdpa`, and options of
 * its own behind a question mark, as in `virtio-net:vhost-user?queues=2&ring=128&packed`. Null: it is of another kind.
 * @throws RangeError when there is no such interface, option or value
 */
export function vhostFactory(text: string, defaults: DeviceDefaults): VhostFactory | null {
  if (!text.startsWith(VIRTIO_NET)) return null;
  const [name = '', query = ''] = text.slice(VIRTIO_NET.length).split('?', 2);
  const face = VIRTIO_NET_FACES.find((each) => each === name);
  if (face === undefined)
    throw new RangeError(
      `virtio-net has no interface ${name || '""'}; there are ${VIRTIO_NET_FACES.join(', ')}`,
    );
  const options = new URLSearchParams(query);
  checkNames(options, ['queues', 'ring', 'packed', 'fault']);
  const fault = options.get('fault');
  const ringSize = count(options, 'ring', 256);
  if (ringSize !== null && (ringSize & (ringSize - 1)) !== 0)
    throw new RangeError(`ring is a power of two up to 256, not ${ringSize}`);
  return virtioNetFactory({
    face,
    seed: defaults.seed,
    mac: macOf(defaults.index),
    queuePairs: count(options, 'queues', 4) ?? 1,
    packed: options.has('packed'),
    ...(ringSize === null ? {} : { ringSize }),
    ...(fault === null ? {} : { fault }),
  });
}

/** Locally administered, one for each device of a machine. */
const macOf = (index: number): Uint8Array => Uint8Array.of(0x02, 0x53, 0x43, 0x00, 0x00, index + 1);

/** The device of a text, with its fault. @throws RangeError as `catalogDevice` does */
export function deviceFactory(text: string, defaults: DeviceDefaults): DeviceFactory {
  const { factory, fault } = catalogDevice(text, defaults);
  return fault === null ? factory : faulty(factory, fault, defaults.seed);
}

function faultOf(options: URLSearchParams, defaults: DeviceDefaults): Fault | null {
  const name = options.get('fault') ?? defaults.fault;
  if (name === undefined) return null;
  const fault = faultNamed(name);
  if (fault !== undefined) return fault;
  throw new RangeError(`no fault is called ${name}; there are ${FAULTS.map((each) => each.name).join(', ')}`);
}

type Make = (options: URLSearchParams, defaults: DeviceDefaults) => DeviceFactory;

const FACTORIES: Readonly<Record<DeviceModel, Make>> = {
  uart: (options) => uartFactory(capabilitiesOf(options)),
  dma: (options) => dmaFactory(capabilitiesOf(options)),
  'e810-vf': (options, defaults) => {
    checkNames(options, ['generation', 'personality', 'queues', 'vsi', 'precopy', 'dma-logging', 'fault']);
    const { index, seed, guest, vsiId } = defaults;
    return e810VfFactory({
      ...guest,
      seed,
      generation: choice(options, 'generation', defaults.generation),
      personality: choice(options, 'personality', defaults.personality),
      queuePairs: count(options, 'queues', 16) ?? defaults.queuePairs,
      preCopy: options.has('precopy') || defaults.preCopy,
      dmaLogging: options.has('dma-logging') || defaults.dmaLogging,
      hostMac: macOf(index),
      vsiId: count(options, 'vsi', 0xffff) ?? vsiId ?? 1,
    });
  },
};

/** What a device offers, of those that can offer all; undefined where the text does not say. */
function capabilitiesOf(options: URLSearchParams): CapabilitySet | undefined {
  checkNames(options, ['capabilities', 'fault']);
  const names = options.get('capabilities');
  return names === null ? undefined : capabilitySet(names.split(',').filter((name) => name !== ''));
}

function checkNames(options: URLSearchParams, known: readonly string[]): void {
  for (const name of options.keys())
    if (!known.includes(name))
      throw new RangeError(`no option is called ${name}; there are ${known.join(', ')}`);
}

function choice<K extends keyof typeof CHOICES>(
  options: URLSearchParams,
  name: K,
  usual: (typeof CHOICES)[K][number],
): (typeof CHOICES)[K][number] {
  const value = options.get(name);
  if (value === null) return usual;
  const found = CHOICES[name].find((each) => each === value);
  if (found === undefined) throw new RangeError(`${name} is ${CHOICES[name].join(' or ')}, not ${value}`);
  return found;
}

/** A number from 1 on, or null where it is not said. */
function count(options: URLSearchParams, name: string, most: number): number | null {
  const text = options.get(name);
  if (text === null) return null;
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > most) throw new RangeError(`${name} is a number from 1 to ${most}, not ${text}`);
  return number;
}
