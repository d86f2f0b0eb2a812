import type { DeviceFactory } from 'stopcopy/migrate';
import { e810VfFactory } from './e810-vf/factory.js';
import { FAULTS, faultNamed, faulty } from './faults/index.js';
import { uartFactory } from './uart/factory.js';

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
}

/** Models that a machine can have. */
export const DEVICE_MODELS = ['e810-vf', 'uart'] as const;

/** The values that an option of a device may have. */
const CHOICES = {
  generation: ['a', 'b'],
  personality: ['published', 'uapi'],
} as const;

/**
 * A device from its text: a model, and options of its own behind a question mark, as in
 * `e810-vf?generation=a&personality=published&queues=2&vsi=12&precopy&dma-logging&fault=late-load`.
 * @throws RangeError when there is no such model, option, value or fault
 */
export function deviceFactory(text: string, defaults: DeviceDefaults): DeviceFactory {
  const [model = '', query = ''] = text.split('?', 2);
  const options = new URLSearchParams(query);
  const factory = factoryOf(model, options, defaults);
  const name = options.get('fault') ?? defaults.fault;
  if (name === undefined) return factory;
  const fault = faultNamed(name);
  if (fault === undefined)
    throw new RangeError(
      `no fault is called ${name}; there are ${FAULTS.map((each) => each.name).join(', ')}`,
    );
  return faulty(factory, fault, defaults.seed);
}

function factoryOf(model: string, options: URLSearchParams, defaults: DeviceDefaults): DeviceFactory {
  if (model === 'uart') {
    checkNames(options, ['fault']);
    return uartFactory;
  }
  if (model !== 'e810-vf')
    throw new RangeError(`no device model is called ${model || '""'}; there are ${DEVICE_MODELS.join(', ')}`);
  checkNames(options, ['generation', 'personality', 'queues', 'vsi', 'precopy', 'dma-logging', 'fault']);
  const { index, seed } = defaults;
  return e810VfFactory({
    seed,
    generation: choice(options, 'generation', defaults.generation),
    personality: choice(options, 'personality', defaults.personality),
    queuePairs: count(options, 'queues', 16) ?? defaults.queuePairs,
    preCopy: options.has('precopy') || defaults.preCopy,
    dmaLogging: options.has('dma-logging') || defaults.dmaLogging,
    hostMac: Uint8Array.of(0x02, 0x53, 0x43, 0x00, 0x00, index + 1),
    // Newer PF drivers give every VF the number 1.
    vsiId: count(options, 'vsi', 0xffff) ?? 1,
  });
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
