/** Most words that are remembered; further ones are made anew each time. */
const MAX_WORDS = 8192;
/** Longest word that is remembered. */
const MAX_LENGTH = 256;
/** Places for words that are found without a look at all their bytes. */
const SLOTS = 256;

interface Word {
  readonly text: string;
  readonly length: number;
  readonly bytes: Uint8Array;
  /** The bytes as little-endian 32-bit words, without the rest that does not fill one. */
  readonly words: Int32Array;
}

/** Texts by their bytes, so that a word that comes a million times is made once. */
export class WordCache {
  readonly #slots: (Word | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #words = new Map<number, Word>();
  #last: Word | undefined;

  /** The word that was asked for last, if its bytes stand at `from` and end before `end`. */
  last(text: Uint8Array, view: DataView, from: number, end: number): string | undefined {
    const word = this.#last;
    return word !== undefined && from + word.length < end && same(word, text, view, from)
      ? word.text
      : undefined;
  }

  /** The text of the bytes from `from` to `to`, which are Latin-1. `view` must show the same bytes as `text`. */
  get(text: Buffer, view: DataView, from: number, to: number): string {
    const length = to - from;
    if (length > MAX_LENGTH) return text.toString('latin1', from, to);
    const slot =
      (length * 61 + text[from]! * 7 + text[to - 1]! + text[from + (length >> 1)]! * 3) & (SLOTS - 1);
    let word = this.#slots[slot];
    if (word === undefined || word.length !== length || !same(word, text, view, from)) {
      word = this.#find(text, view, from, to);
      if (word === undefined) return text.toString('latin1', from, to);
      this.#slots[slot] = word;
    }
    this.#last = word;
    return word.text;
  }

  /** The word, remembered from now on; nothing when it is new and no more can be remembered. */
  #find(text: Buffer, view: DataView, from: number, to: number): Word | undefined {
    let hash = to - from;
    for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + text[at]!) | 0;
    const known = this.#words.get(hash);
    if (known !== undefined && known.length === to - from && same(known, text, view, from)) return known;
    if (this.#words.size >= MAX_WORDS && known === undefined) return undefined;
    const word = makeWord(Buffer.from(text.subarray(from, to)));
    this.#words.set(hash, word);
    return word;
  }
}

function makeWord(bytes: Buffer): Word {
  const words = Int32Array.from({ length: bytes.length >> 2 }, (_, n) => bytes.readInt32LE(n * 4));
  return { text: bytes.toString('latin1'), length: bytes.length, bytes, words };
}

function same(word: Word, text: Uint8Array, view: DataView, from: number): boolean {
  const { words, bytes, length } = word;
  for (let n = 0; n < words.length; n++) if (view.getInt32(from + n * 4, true) !== words[n]) return false;
  for (let n = words.length * 4; n < length; n++) if (text[from + n] !== bytes[n]) return false;
  return true;
}
