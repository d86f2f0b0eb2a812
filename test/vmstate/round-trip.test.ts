import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BodyParser,
  Cursor,
  parseDescription,
  parseWhole,
  StreamError,
} from '../../src/stream/index.js';
import { StepsRunner } from '../../src/stream/steps-runner.js';
import {
  describeBytes,
  describeEntry,
  loadVmState,
  saveVmState,
  VmStateError,
  vmDescriptionText,
} from '../../src/vmstate/index.js';
import { feed } from '../stream/recorded.js';
import { type AnyState, anyState, sent } from './arbitrary-state.js';

/** Loads a state that ends where its bytes end. */
function loaded({ description }: AnyState, bytes: Uint8Array, cuts: readonly number[] = []): object {
  const target = {};
  const cursor = new Cursor();
  feed(new StepsRunner(cursor, loadVmState(description, target, description.version)(cursor)), bytes, cuts);
  expect(cursor.offset).toBe(bytes.length);
  return target;
}

describe('any state', () => {
  it('is loaded as it was saved, however its bytes are cut', () => {
    fc.assert(
      fc.property(anyState(), fc.array(fc.nat(), { maxLength: 9 }), (state, cuts) => {
        const bytes = saveVmState(state.description, state.target);
        expect(loaded(state, bytes, cuts)).toEqual(sent(state));
      }),
      { numRuns: 150 },
    );
  });

  it('is loaded into objects that have values already', () => {
    fc.assert(
      fc.property(anyState(), (state) => {
        const bytes = saveVmState(state.description, state.target);
        const target = structuredClone(state.target);
        parseWhole(bytes, loadVmState(state.description, target, state.description.version));
        expect(target).toEqual(state.target);
        expect(saveVmState(state.description, target)).toEqual(bytes);
      }),
      { numRuns: 100 },
    );
  });

  it('is described with the sizes that it has', () => {
    fc.assert(
      fc.property(anyState(), (state) => {
        const { description, target } = state;
        const bytes = saveVmState(description, target);
        const entry = describeEntry({ idstr: '0000:00:04.0/x', instance: 3, description, target });
        const text = vmDescriptionText(4096, [entry, describeBytes('x/vfio', 0, 16)]);
        const { devices, pageSize } = parseDescription(text);
        expect(pageSize).toBe(4096);
        expect(devices).toMatchObject([
          { name: '0000:00:04.0/x', instance: 3, vmsd: description.name, size: bytes.length },
          { name: 'x/vfio', instance: 0, size: 16 },
        ]);
      }),
      { numRuns: 100 },
    );
  });

  it('cut short is damage, and leaves the target alone', () => {
    fc.assert(
      fc.property(anyState(), fc.nat(), ({ description, target }, at) => {
        const bytes = saveVmState(description, target);
        fc.pre(bytes.length > 0);
        const short = bytes.subarray(0, at % bytes.length);
        const into = {};
        try {
          parseWhole(short, andMore(loadVmState(description, into, description.version)));
        } catch (error) {
          expect(error).toBeInstanceOf(StreamError);
          expect(into).toEqual({});
          return;
        }
        // Nothing tells that subsections are missing, or that the head of one is cut.
        expect(isInHead(bytes, short.length)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe('bytes that no state has', () => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(fc.constantFrom(0, 1, 5, 0x0b, 0xff), { maxLength: 200 }).map((bytes) => Uint8Array.from(bytes)),
  );

  it('neither crash nor hang, nor make more than themselves', () => {
    fc.assert(
      fc.property(anyState(), hostile, ({ description }, bytes) => {
        const target = {};
        try {
          parseWhole(bytes, andMore(loadVmState(description, target, description.version)));
        } catch (error) {
          expect(error instanceof StreamError || error instanceof VmStateError).toBe(true);
          expect(target).toEqual({});
        }
        expect(size(target)).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 250 },
    );
  });

  it('of a state with changes are refused, or give another state', () => {
    fc.assert(
      fc.property(anyState(), fc.nat(), fc.nat(255), (state, at, value) => {
        const bytes = saveVmState(state.description, state.target);
        fc.pre(bytes.length > 0);
        bytes[at % bytes.length] = value;
        const target = {};
        try {
          parseWhole(bytes, loadVmState(state.description, target, state.description.version));
        } catch (error) {
          expect(error instanceof StreamError || error instanceof VmStateError).toBe(true);
          return;
        }
        expect(Object.keys(target).length).toBeGreaterThan(0);
      }),
      { numRuns: 250 },
    );
  });

  it('do not take the memory that a count asks for', () => {
    const most = 0xffff_ffff;
    for (const of of ['u8', 'u64'] as const) {
      const description = {
        name: 'x',
        version: 1,
        minimumVersion: 1,
        fields: [
          { name: 'count', type: 'u32' },
          { name: 'values', type: { varray: 'count', of, most } },
        ],
      } as const;
      const before = process.memoryUsage().arrayBuffers;
      const bytes = Buffer.from('ffffffff0102030405060708', 'hex');
      expect(() => parseWhole(bytes, loadVmState(description, {}, 1))).toThrow(StreamError);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 24);
    }
  });
});

/** Whether this place is in the type, length and name of a subsection. */
function isInHead(bytes: Uint8Array, at: number): boolean {
  const text = Buffer.from(bytes).toString('latin1');
  const names = text.matchAll(/(state|(inner|each)\d)\/part\d/g);
  return [...names].some(({ index, 0: name }) => at >= index - 2 && at < index + name.length);
}

/** The parser, and whatever comes behind its state. */
function andMore(parser: BodyParser): BodyParser {
  return function* (c) {
    yield* parser(c);
    while (yield* c.has(1)) c.pos += c.available;
  };
}

/** Values that a target holds; a byte, a flag and an integer are one each. */
function size(value: unknown): number {
  if (value instanceof Uint8Array) return value.length;
  if (Array.isArray(value)) return value.reduce((sum: number, each) => sum + size(each), 0);
  if (typeof value === 'object' && value !== null) return size(Object.values(value));
  return 1;
}
