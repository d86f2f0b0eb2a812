import { type Model, ModelError } from '../model.js';
import type { Position } from './search.js';

/** What a checkpoint holds beside the states. */
export interface Saved {
  /** Of the model and of what changes the course of the search: see `fingerprint`. */
  readonly model: string;
  readonly position: Position;
  readonly shown: readonly number[];
  readonly stepState: readonly number[];
  readonly fired: readonly number[];
  readonly seconds: number;
}

/** Eight bytes at the beginning of every checkpoint: name and version. */
const MAGIC = 'STOPCKP1';
const HEAD = 16;
const WHAT = 'it is no checkpoint of stopcopy explore';

/**
 * A checkpoint in parts: the magic, the length of the head (u32, little endian) and zeros up to 16 bytes, the
 * head as JSON, padded to 4 bytes with spaces, and the states as words of 32 bits in the order of this machine.
 */
export function encodeCheckpoint(saved: Saved, words: Iterable<Int32Array>): Uint8Array[] {
  const text = JSON.stringify(saved);
  const padded = Buffer.from(text);
  const head = Buffer.alloc(HEAD + Math.ceil(padded.length / 4) * 4, ' ');
  head.fill(0, 0, HEAD);
  head.write(MAGIC, 0, 'latin1');
  head.writeUInt32LE(head.length - HEAD, 8);
  padded.copy(head, HEAD);
  return [
    head,
    ...Array.from(words, (part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength)),
  ];
}

/**
 * Reads a checkpoint.
 * @param width words of a state
 * @throws ModelError when it is none, is cut, or is of another model or size
 */
export function decodeCheckpoint(
  bytes: Uint8Array,
  model: Model,
  fingerprint: string,
  width: number,
): { saved: Saved; words: Int32Array } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < HEAD || view.toString('latin1', 0, 8) !== MAGIC) throw new ModelError(WHAT);
  const start = HEAD + view.readUInt32LE(8);
  if (start > view.length || start % 4 !== 0)
    throw new ModelError(`the checkpoint is cut at byte ${view.length}`);
  const saved = parse(view.toString('utf8', HEAD, start));
  if (saved.model !== fingerprint)
    throw new ModelError(
      `the checkpoint is of another model, or of ${model.name} with other options, variant or properties`,
    );
  const { count } = saved.position;
  const size = 4 * count * width;
  if (!Number.isSafeInteger(count) || count < 1 || view.length !== start + size)
    throw new ModelError(
      `the checkpoint is cut at byte ${view.length}: it says ${count} states, which end at byte ${start + size}`,
    );
  const words = new Int32Array(count * width);
  new Uint8Array(words.buffer).set(bytes.subarray(start));
  return { saved, words };
}

function parse(text: string): Saved {
  try {
    const saved = JSON.parse(text) as Partial<Saved>;
    const { position, shown, stepState, fired } = saved;
    const whole = [position?.levels, shown, stepState, fired].every(Array.isArray);
    if (whole && typeof saved.model === 'string') return saved as Saved;
  } catch {
    // Told below.
  }
  throw new ModelError(WHAT);
}

/** A text that is equal for equal models that are searched in the same way only. */
export function fingerprint(model: Model, properties: readonly string[], symmetric: boolean): string {
  const { name, options, actions, variables, symmetry } = model;
  const components = model.components.map(({ name: component, automaton }) => [
    component,
    automaton.states.length,
    hash(automaton.next.join()),
  ]);
  const rules = actions.map(({ when, sync, set, labels }) => [when, sync, set, labels]);
  const all = [
    name,
    options,
    components,
    variables,
    rules,
    model.properties,
    symmetry,
    properties,
    symmetric,
  ];
  return `${name} ${hash(JSON.stringify(all))}`;
}

/** FNV-1a over 53 bits: told apart are models, not attackers. */
function hash(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x1b873593;
  for (let at = 0; at < text.length; at++) {
    low = Math.imul(low ^ text.charCodeAt(at), 0x01000193);
    high = Math.imul(high ^ text.charCodeAt(at), 0x5bd1e995);
  }
  return (low >>> 0).toString(16).padStart(8, '0') + (high >>> 0).toString(16).padStart(8, '0');
}
