import type { VmField, VmStateDescription } from './description.js';
import { VmStateError } from './error.js';

/** What was read of a state, before the target has it. */
export interface Loaded {
  readonly description: VmStateDescription;
  readonly version: number;
  /** For messages. */
  readonly path: string;
  readonly values: ReadonlyMap<VmField, LoadedValue>;
  readonly subsections: readonly Loaded[];
}

export type LoadedValue = boolean | number | bigint | Uint8Array | (number | bigint)[] | Loaded | Loaded[];

type Target = Record<string, unknown>;
type TypedArray = { from(values: ArrayLike<number | bigint>): unknown };

const TYPED = [Uint16Array, Uint32Array, BigUint64Array, Int8Array, Int16Array, Int32Array, BigInt64Array];

/**
 * Gives the values to the target, then calls every `postLoad`, from the inside out.
 * @throws VmStateError with the path, when the target or a `postLoad` refuses
 */
export function takeOver(target: object, loaded: Loaded, where: string): void {
  attempt(loaded.path, where, () => assign(target as Target, loaded));
  announce(target, loaded, where);
}

function assign(target: Target, { values, subsections }: Loaded): void {
  for (const [{ name }, value] of values) target[name] = placed(target[name], value);
  for (const each of subsections) assign(target, each);
}

/** A value as the target holds it: structs stay the objects that they are, an array gets one of its kind. */
function placed(present: unknown, value: LoadedValue): unknown {
  if (Array.isArray(value)) {
    if (isStructs(value)) {
      return value.map((each, index) => placed(Array.isArray(present) ? present[index] : undefined, each));
    }
    const kind = TYPED.find((each) => present instanceof each) as TypedArray | undefined;
    return kind === undefined ? value : kind.from(value);
  }
  if (value instanceof Uint8Array && Array.isArray(present)) return Array.from(value);
  if (!isLoaded(value)) return value;
  const struct = typeof present === 'object' && present !== null ? present : {};
  assign(struct as Target, value);
  return struct;
}

function announce(target: object, loaded: Loaded, where: string): void {
  const { description, values, subsections, version, path } = loaded;
  for (const [{ name }, value] of values) {
    const now = (target as Target)[name];
    if (isLoaded(value)) announce(now as object, value, where);
    else if (Array.isArray(value) && isStructs(value)) {
      for (const [index, each] of value.entries()) announce((now as object[])[index]!, each, where);
    }
  }
  for (const each of subsections) announce(target, each, where);
  attempt(path, where, () => description.postLoad?.(target, version));
}

function attempt(path: string, where: string, run: () => void): void {
  try {
    run();
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new VmStateError(path, `${path} cannot be taken over: ${said}`, { cause, where });
  }
}

function isLoaded(value: LoadedValue): value is Loaded {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function isStructs(values: readonly unknown[]): values is Loaded[] {
  return typeof values[0] === 'object';
}
