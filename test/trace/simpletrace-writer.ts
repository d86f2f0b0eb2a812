import { FORMATS, parseFormat } from '../../src/trace/readers/simpletrace-formats.js';

/** One record to write: an event's name and the values that its format prints. */
export interface Traced {
  name: string;
  ns: bigint;
  values: readonly (bigint | string)[];
}

/** A line of a log, as the record that the simple back end would have written for it. */
export function tracedOf(line: string, ns: bigint): Traced | undefined {
  const bare = line.replace(/^(\d+@\d+\.\d+:|\d{4}-\d\d-\d\dT[\d:.]+Z )/, '');
  const [, name, args] = /^([a-z][a-z0-9_]*) (.*)$/.exec(bare) ?? [];
  if (name === undefined || args === undefined) return undefined;
  for (const text of FORMATS[name] ?? []) {
    const match = patternOf(text).exec(args);
    if (match !== null) return { name, ns, values: valuesOf(text, match.slice(1)) };
  }
  if (FORMATS[name] !== undefined) throw new Error(`no format fits: ${line}`);
  return { name, ns, values: [1n, 'something', 2n] };
}

const literal = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
const PATTERNS = { text: '(.*?)', signed: '(-?\\d+)', unsigned: '(\\d+)', hex: '([0-9a-f]+)' };

function patternOf(text: string): RegExp {
  const { conversions, after } = parseFormat(text);
  const parts = conversions.map(({ before, type }) => literal(before) + PATTERNS[type]);
  return new RegExp(`^${parts.join('')}${literal(after)}$`);
}

function valuesOf(text: string, words: readonly string[]): (bigint | string)[] {
  return parseFormat(text).conversions.map(({ type }, index) => {
    const word = words[index]!;
    if (type === 'text') return word;
    return BigInt.asUintN(64, BigInt(type === 'hex' ? `0x${word}` : word));
  });
}

/** A file of the simple back end, version 4. */
export class SimpletraceWriter {
  readonly #parts: Buffer[] = [];
  readonly #ids = new Map<string, bigint>();
  readonly #little: boolean;
  /** Bytes so far. */
  size = 0;

  constructor(little = true, version = 4n) {
    this.#little = little;
    this.raw(this.u64(0xffff_ffff_ffff_ffffn), this.u64(0xf2b1_77cb_0aa4_29b4n), this.u64(version));
  }

  u64(value: bigint): Buffer {
    const bytes = Buffer.alloc(8);
    if (this.#little) bytes.writeBigUInt64LE(value);
    else bytes.writeBigUInt64BE(value);
    return bytes;
  }

  u32(value: number): Buffer {
    const bytes = Buffer.alloc(4);
    if (this.#little) bytes.writeUInt32LE(value);
    else bytes.writeUInt32BE(value);
    return bytes;
  }

  raw(...parts: Uint8Array[]): this {
    for (const part of parts) {
      this.#parts.push(Buffer.from(part));
      this.size += part.length;
    }
    return this;
  }

  /** Names an event; QEMU does it for all events of its build, behind the header. */
  name(name: string): bigint {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = BigInt(this.#ids.size);
    this.#ids.set(name, id);
    this.raw(this.u64(0n), this.u64(id), this.u32(name.length), Buffer.from(name));
    return id;
  }

  event({ name, ns, values }: Traced): this {
    return this.record(this.name(name), ns, Buffer.concat(values.map((value) => this.#argument(value))));
  }

  record(id: bigint, ns: bigint, args: Uint8Array): this {
    return this.raw(
      this.u64(1n),
      this.u64(id),
      this.u64(ns),
      this.u32(24 + args.length),
      this.u32(4711),
      args,
    );
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #argument(value: bigint | string): Buffer {
    if (typeof value === 'bigint') return this.u64(value);
    const text = Buffer.from(value);
    return Buffer.concat([this.u32(text.length), text]);
  }
}

/** All trace events of a log as a simpletrace file, with names that the build of QEMU has anyway. */
export function writeLog(lines: readonly string[], built: readonly string[], little = true): Buffer {
  const writer = new SimpletraceWriter(little);
  const records = lines.map((line, index) => tracedOf(line, BigInt(index) * 1500n));
  const known = records.filter((record) => record !== undefined);
  for (const name of new Set([...built, ...known.map(({ name }) => name)])) writer.name(name);
  for (const record of known) writer.event(record);
  return writer.bytes();
}
