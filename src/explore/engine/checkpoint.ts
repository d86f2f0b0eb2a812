import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type Model, ModelError } from '../model.js';
import type { Position } from './search.js';

/** What a checkpoint holds beside the states. */
export interface Saved {
  /** Of the model and of what changes the course of the search: see `fingerprint`. */
  readonly model: string;
  readonly position: Position;
  /** Per watched property the state that shows it, or -1; per action 1 when it happened. */
  readonly shown: readonly number[];
  readonly fired: readonly number[];
  /** Seconds that the search has taken. */
  readonly seconds: number;
}

/** Eight bytes at the beginning of every checkpoint: name and version. */
const MAGIC = 'STOPCKP3';
const HEAD = 16;
const WHAT = 'it is no checkpoint of stopcopy explore';

/**
 * A checkpoint in parts: the magic, the length of the head and a checksum of all that follows (both u32, little
 * endian), the head as JSON, padded to 4 bytes with spaces, and the states as words of 32 bits in the order of this
 * machine.
 */
export function encodeCheckpoint(saved: Saved, words: Iterable<Int32Array>): Uint8Array[] {
  const text = Buffer.from(JSON.stringify(saved));
  const head = new Uint8Array(HEAD + Math.ceil(text.length / 4) * 4).fill(0x20);
  head.set(text, HEAD);
  const parts = Array.from(words, (part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  const view = Buffer.from(head.buffer);
  view.write(MAGIC, 0, 'latin1');
  view.writeUInt32LE(head.length - HEAD, 8);
  view.writeUInt32LE(checksum([head.subarray(HEAD), ...parts]), 12);
  return [head, ...parts];
}

/**
 * Reads a checkpoint: what it says, and the bytes of its states.
 * @param width words of a state
 * @throws ModelError when it is none, is cut or damaged, or is of another model or size
 */
export function decodeCheckpoint(
  bytes: Uint8Array,
  model: Model,
  fingerprint: string,
  width: number,
): { saved: Saved; states: Uint8Array } {
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
  if (view.length !== start + size)
    throw new ModelError(
      `the checkpoint is cut at byte ${view.length}: it says ${count} states, which end at byte ${start + size}`,
    );
  if (checksum([bytes.subarray(HEAD)]) !== view.readUInt32LE(12))
    throw new ModelError('the checkpoint is damaged: its checksum is not that of its bytes');
  return { saved, states: bytes.subarray(start) };
}

function parse(text: string): Saved {
  try {
    const saved = JSON.parse(text) as Saved;
    if (isWhole(saved)) return saved;
  } catch {
    // Told below.
  }
  throw new ModelError(WHAT);
}

function isWhole({ model, position, shown, fired, seconds }: Saved): boolean {
  const numbers = (list: readonly number[]) => list.every((each) => Number.isSafeInteger(each));
  const { count, next, end, levels, edges } = position;
  return (
    typeof model === 'string' &&
    Number.isFinite(seconds) &&
    [levels, shown, fired, [count, next, end, edges]].every(numbers) &&
    count >= 1 &&
    levels[0] === 0 &&
    levels.every((first, level) => level === 0 || first > levels[level - 1]!) &&
    levels.at(-1)! <= next &&
    next <= end &&
    end <= count
  );
}

/** It finds what a disk breaks, no attacker. */
function checksum(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => crc32(part, sum), 0);
}

/** A text that is equal for equal models that are searched in the same way only. */
export function fingerprint(model: Model, symmetric: boolean): string {
  const { name, options, actions, variables, properties, symmetry } = model;
  const components = model.components.map(({ name: component, automaton }) => [
    component,
    automaton.states.length,
    hash(automaton.next.join()),
  ]);
  const rules = actions.map(({ when, sync, set, labels }) => [when, sync, set, labels]);
  const all = [name, options, components, variables, rules, properties, symmetry, symmetric];
  return `${name} ${hash(JSON.stringify(all))}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
