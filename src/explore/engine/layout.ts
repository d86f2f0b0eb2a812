import { type Model, ModelError } from '../model.js';

/** Where a component's or a variable's number stands in a packed state. */
export interface Field {
  readonly name: string;
  /** Index of the 32-bit word. */
  readonly word: number;
  /** Lowest bit. */
  readonly shift: number;
  readonly bits: number;
  /** The largest value that it may have. */
  readonly most: number;
  readonly initial: number;
}

/** Bits in a word. */
export interface Place {
  readonly word: number;
  readonly shift: number;
}

/**
 * A symmetric group as records of equal form, in parts that are compared as one number each. Part p of member i is
 * `bits[p]` bits at `places[i][p]`.
 */
export interface Records {
  readonly bits: readonly number[];
  readonly places: readonly (readonly Place[])[];
}

/**
 * A state as 32-bit words. A field never straddles words. Bit 31 of word 0 is set in every state, so that a
 * word of zeros in a table means: nothing here.
 */
export interface Layout {
  readonly words: number;
  readonly fields: ReadonlyMap<string, Field>;
  readonly groups: readonly Records[];
  readonly initial: readonly number[];
}

const WORD = 32;
/** Set in word 0 of every state. */
export const OCCUPIED = 0x8000_0000 | 0;
const MOST_WORDS = 16;

interface Piece {
  readonly name: string;
  readonly bits: number;
  readonly most: number;
  readonly initial: number;
}

/**
 * Packs a model. Members of symmetric groups come first, each as a contiguous record, or several when it is wide.
 * @throws ModelError when a state would need more than 64 bytes
 */
export function layoutOf(model: Model, symmetric: boolean): Layout {
  const pieces = new Map(piecesOf(model).map((piece) => [piece.name, piece]));
  const room = new Room();
  const fields = new Map<string, Field>();
  const bitsOf = (names: readonly string[]) => names.reduce((sum, name) => sum + pieces.get(name)!.bits, 0);
  const put = (names: readonly string[]): Place => {
    const place = room.take(bitsOf(names));
    let { shift } = place;
    for (const name of names) {
      const piece = pieces.get(name)!;
      fields.set(name, { ...piece, word: place.word, shift });
      shift += piece.bits;
      pieces.delete(name);
    }
    return place;
  };
  const groups = (symmetric ? model.symmetry : []).map(({ members }) => {
    const parts = members.map((names) => partsOf(names, pieces));
    const bits = parts[0]!.map(bitsOf);
    return { bits, places: parts.map((each) => each.map(put)) };
  });
  const rest = [...pieces.values()].sort((a, b) => b.bits - a.bits);
  for (const { name } of rest) put([name]);
  if (room.words > MOST_WORDS)
    throw new ModelError(
      `${model.name}: a state needs ${4 * room.words} bytes; ${4 * MOST_WORDS} are the most`,
    );
  const initial = new Array<number>(room.words).fill(0);
  initial[0] = OCCUPIED;
  for (const field of fields.values()) initial[field.word]! |= field.initial << field.shift;
  return { words: room.words, fields, groups, initial };
}

/** Most bits of a part of a record: it is compared as a number that is never negative. */
const PART_BITS = 31;

/** The names of a record in parts. */
function partsOf(names: readonly string[], pieces: ReadonlyMap<string, Piece>): string[][] {
  const parts: string[][] = [];
  let free = 0;
  for (const name of names) {
    const { bits } = pieces.get(name)!;
    if (bits > free) {
      parts.push([]);
      free = PART_BITS;
    }
    parts.at(-1)!.push(name);
    free -= bits;
  }
  return parts;
}

function piecesOf(model: Model): Piece[] {
  const bits = (most: number): number => Math.max(1, WORD - Math.clz32(most));
  return [
    ...model.components.map(({ name, automaton }) => {
      const most = automaton.states.length - 1;
      return { name, bits: bits(most), most, initial: 0 };
    }),
    ...model.variables.map(({ name, max, initial }) => ({ name, bits: bits(max), most: max, initial })),
  ];
}

/** Hands out bits, in the first word that has room. */
class Room {
  readonly #used: number[] = [];

  get words(): number {
    return Math.max(1, this.#used.length);
  }

  take(bits: number): { word: number; shift: number } {
    let word = 0;
    while (this.#free(word) < bits) word++;
    this.#used[word] ??= 0;
    const shift = this.#used[word]!;
    this.#used[word] = shift + bits;
    return { word, shift };
  }

  /** Word 0 lacks the bit that is always set. */
  #free(word: number): number {
    return (word === 0 ? WORD - 1 : WORD) - (this.#used[word] ?? 0);
  }
}
