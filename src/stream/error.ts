/** Damage in a stream: where, and what should have stood there. What came before was reported already. */
export class StreamError extends Error {
  override readonly name = 'StreamError';
  /** Offset in the stream, in bytes. */
  readonly offset: number;
  /** What was expected at the offset. */
  readonly expected: string;
  /** What was there instead; absent when the stream ends there. */
  readonly got: string | undefined;

  constructor(offset: number, expected: string, got?: string, where?: string) {
    super(
      `expected ${expected}, ${got === undefined ? 'the stream ends' : `got ${got}`}${where ? ` (${where})` : ''}`,
    );
    this.offset = offset;
    this.expected = expected;
    this.got = got;
  }
}

/** A number as error messages show it. */
export function hex(value: number | bigint, digits = 2): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** Longest text from a stream in a message. */
const QUOTED = 80;

/** A text from the stream as error messages show it: one line, and no longer than is useful. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}...` : text);
}
