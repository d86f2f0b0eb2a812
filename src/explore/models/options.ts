import type { ModelEntry, ModelOptions, OptionRange, Variant } from '../model.js';

const NAMES = ['devices', 'pages', 'faults'] as const;

/**
 * The options of a model: what was given, else what the variant needs, else what is usual.
 * @throws RangeError for an option that the model does not have or that is out of its range, and for an
 * unknown variant
 */
export function modelOptions(entry: ModelEntry, given: Partial<ModelOptions> = {}): ModelOptions {
  const variant = variantOf(entry, given.variant ?? null);
  const needed = variant?.options ?? {};
  const number = (name: (typeof NAMES)[number]): number => {
    const range = entry.ranges[name];
    const value = given[name];
    if (value === undefined) return needed[name] ?? range?.usual ?? 0;
    if (range === undefined && value > 0) throw new RangeError(`the model ${entry.name} has no ${name}`);
    if (range === undefined) return 0;
    return inRange(entry, name, value, range);
  };
  if ((given.capabilities?.length ?? 0) > 0 && entry.capabilities.length === 0)
    throw new RangeError(`the model ${entry.name} has no VFIO devices, so no capabilities`);
  return {
    devices: number('devices'),
    pages: number('pages'),
    faults: number('faults'),
    capabilities: given.capabilities ?? needed.capabilities ?? entry.capabilities,
    variant: variant?.name ?? null,
  };
}

function inRange(entry: ModelEntry, name: string, value: number, range: OptionRange): number {
  if (Number.isInteger(value) && value >= range.least && value <= range.most) return value;
  throw new RangeError(`the model ${entry.name} takes ${range.least} to ${range.most} ${name}, not ${value}`);
}

function variantOf(entry: ModelEntry, name: string | null): Variant | null {
  if (name === null) return null;
  const found = entry.variants.find((each) => each.name === name);
  if (found !== undefined) return found;
  const names = entry.variants.map((each) => each.name).join(', ');
  throw new RangeError(`the model ${entry.name} has no variant '${name}'; there are ${names}`);
}
