import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  A_HEADER_SIZE,
  A_SLOTS_OFFSET,
  decodeImageA,
  describeImageA,
  encodeImageA,
  encodeImageB,
  fieldSize,
  IMAGE_A_FIELDS,
  IMAGE_FILE_SIZE,
  type ImageA,
  imageASize,
  imageErrorOf,
  type LayoutField,
  slotsOfImageA,
  typeName,
} from '../../devices/index.js';
import { ByHand, QUEUES, vfA, vfB } from './e810-fixture.js';

/** The layout as the notes on the published struct have it: offset, name, type. */
const TABLE: readonly (readonly [number, string, string])[] = [
  [0, 'magic', 'u32'],
  [4, 'version', 'u32'],
  [8, 'total_size', 'u64'],
  [16, 'vf_caps', 'u32'],
  [20, 'num_txq', 'u16'],
  [22, 'num_rxq', 'u16'],
  [24, 'int_dyn_ctl', 'u32[65]'],
  [284, 'int_intr', 'u32[4][65]'],
  [1324, 'asq_bal', 'u32'],
  [1328, 'asq_bah', 'u32'],
  [1332, 'asq_len', 'u32'],
  [1336, 'asq_head', 'u32'],
  [1340, 'asq_tail', 'u32'],
  [1344, 'arq_bal', 'u32'],
  [1348, 'arq_bah', 'u32'],
  [1352, 'arq_len', 'u32'],
  [1356, 'arq_head', 'u32'],
  [1360, 'arq_tail', 'u32'],
  [1364, 'rx_tail', 'u32[256]'],
  [2388, 'vsi_id', 'u16'],
  [2390, 'rx_head', 'u16[256]'],
  [2902, 'tx_head', 'u16[256]'],
];

const problem = (bytes: Uint8Array): string => {
  const error = imageErrorOf(() => decodeImageA(bytes));
  return error ? `${error.problem} ${error.code}` : 'none';
};

/** The image with some bytes replaced. */
function changed(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

describe('the layout', () => {
  test('is the table', () => {
    expect(IMAGE_A_FIELDS.map((field) => [field.offset, field.name, typeName(field)])).toEqual(TABLE);
    for (const { certainty } of IMAGE_A_FIELDS) expect(certainty).toBe('concluded');
  });

  test('is what a C compiler makes of these fields: each aligned to its own size, no gap, 3416 in all', () => {
    const width = { u8: 1, u16: 2, u32: 4, u64: 8, mac: 1, bytes: 1 };
    let end = 0;
    for (const field of IMAGE_A_FIELDS as readonly LayoutField[]) {
      expect(field.offset % width[field.type], field.name).toBe(0);
      expect(field.offset, field.name).toBe(end);
      end += fieldSize(field);
    }
    expect([end, A_SLOTS_OFFSET]).toEqual([3414, 3414]);
    expect([Math.ceil(end / 8) * 8, A_HEADER_SIZE]).toEqual([3416, 3416]);
  });
});

describe('golden bytes', () => {
  const bytes = encodeImageA(vfA);

  test('the image is what is put down by hand', () => {
    const hand = new ByHand();
    hand
      .u32(0xe8000001, 1)
      .u64(BigInt(imageASize(vfA.messages)))
      .u32(vfA.vf_caps)
      .u16(QUEUES, QUEUES);
    hand.u32(...vfA.int_dyn_ctl);
    for (const row of vfA.int_intr) hand.u32(...row);
    hand.u32(vfA.asq_bal, vfA.asq_bah, vfA.asq_len, vfA.asq_head, vfA.asq_tail);
    hand.u32(vfA.arq_bal, vfA.arq_bah, vfA.arq_len, vfA.arq_head, vfA.arq_tail);
    hand.u32(...vfA.rx_tail);
    expect(hand.length).toBe(2388);
    hand.u16(vfA.vsi_id, ...vfA.rx_head, ...vfA.tx_head);
    for (const { opcode, payload } of vfA.messages)
      hand.u32(opcode).u16(payload.length).raw(payload).zeros(2);
    hand.zeros(8);
    expect(hand.length).toBe(imageASize(vfA.messages) - 2);
    expect(Buffer.compare(hand.to(131072).bytes(), bytes)).toBe(0);
  });

  test('has the length, the size and the sum that it had before', () => {
    // 3416 of the struct, 8 and the length of each of eight messages, 8 of the terminator.
    const messages = 8 + 4 + 57 + 69 + 20 + (8 + 64 * 4) + (14 + 12 * 5) + 12;
    expect(imageASize(vfA.messages)).toBe(3416 + 8 * 8 + messages + 8);
    expect([bytes.length, imageASize(vfA.messages)]).toEqual([131072, 3996]);
    expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe('c54c7140e35733b9');
  });

  test('describe tells every field and every message at its place', () => {
    const { rows, error } = describeImageA(bytes);
    expect(error).toBeNull();
    expect(rows.slice(0, TABLE.length).map(({ offset, name, type }) => [offset, name, type])).toEqual(TABLE);
    const row = (name: string) => rows.find((each) => each.name === name);
    expect(row('magic')).toMatchObject({ value: '0xe8000001', size: 4, certainty: 'concluded' });
    expect(row('total_size')?.value).toBe('3996');
    expect(row('rx_head')?.value).toMatch(/^\[100, 101, 102, 103, 0, /);
    expect(row('virtchnl_msgs[0]')).toMatchObject({ offset: 3414, size: 16, type: 'slot' });
    expect(row('virtchnl_msgs[1]')).toMatchObject({ offset: 3430, value: 'opcode 3, 4 bytes: 30 31 32 33' });
    expect(row('virtchnl_msgs[7]')?.value).toMatch(/^opcode 8, 12 bytes/);
    expect(rows.length).toBe(TABLE.length + 8);
  });
});

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const array = <T>(item: fc.Arbitrary<T>, length: number) =>
  fc.array(item, { minLength: length, maxLength: length });
const slot = fc.record(
  {
    opcode: fc.integer({ min: 1, max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 300 }),
    stray: fc.integer({ min: 1, max: 0xffff }),
  },
  { requiredKeys: ['opcode', 'payload'] },
);
const scalars = ['vf_caps', 'asq_bal', 'asq_bah', 'asq_len', 'asq_head', 'asq_tail'] as const;
const scalars2 = ['arq_bal', 'arq_bah', 'arq_len', 'arq_head', 'arq_tail'] as const;
const anyImage: fc.Arbitrary<ImageA> = fc.record({
  ...(Object.fromEntries([...scalars, ...scalars2].map((name) => [name, u32])) as Record<
    (typeof scalars)[number] | (typeof scalars2)[number],
    typeof u32
  >),
  num_txq: u16,
  num_rxq: u16,
  vsi_id: u16,
  int_dyn_ctl: array(u32, 65),
  int_intr: array(array(u32, 65), 4),
  rx_tail: array(u32, 256),
  rx_head: array(u16, 256),
  tx_head: array(u16, 256),
  messages: fc.array(slot, { maxLength: 40 }),
});

describe('both directions', () => {
  test('any image is read back as it was written, from the file and from its shortest cut', () => {
    fc.assert(
      fc.property(anyImage, (image) => {
        const bytes = encodeImageA(image);
        expect(bytes.length).toBe(IMAGE_FILE_SIZE);
        const back = decodeImageA(bytes);
        expect(back).toEqual(image);
        expect(Buffer.compare(encodeImageA(back), bytes)).toBe(0);
        expect(decodeImageA(bytes.subarray(0, imageASize(image.messages)))).toEqual(image);
      }),
      { numRuns: 60 },
    );
  });

  test('mutated bytes are read or refused, and what is read is written back the same', () => {
    const bytes = encodeImageA(vfA).subarray(0, 4100);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(4099), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const mutated = bytes.slice();
          for (const [at, value] of changes) mutated[at] = value;
          describeImageA(mutated);
          if (problem(mutated) !== 'none') return;
          expect(Buffer.compare(encodeImageA(decodeImageA(mutated)).subarray(0, 4100), mutated)).toBe(0);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('what does not fit is refused when it is written', () => {
    expect(() => encodeImageA({ ...vfA, vsi_id: 65536 })).toThrow(
      'vsi_id: expected an integer from 0 to 65535',
    );
    expect(() => encodeImageA({ ...vfA, rx_head: [1] })).toThrow('rx_head: expected 256 elements, got 1');
    const none = { opcode: 0, payload: new Uint8Array(1) };
    expect(() => encodeImageA({ ...vfA, messages: [none] })).toThrow('opcode: expected any but 0');
    const long = { opcode: 1, payload: new Uint8Array(65536) };
    expect(() => encodeImageA({ ...vfA, messages: [long] })).toThrow('msg_len');
    const most = (count: number, last: number) => [
      ...Array.from({ length: count }, () => ({ opcode: 6, payload: new Uint8Array(4088) })),
      { opcode: 6, payload: new Uint8Array(last) },
    ];
    // 31 slots of 4096 leave 131072 - 3416 - 8 - 126976 = 672 bytes for the last one.
    expect(encodeImageA({ ...vfA, messages: most(31, 664) }).length).toBe(131072);
    expect(() => encodeImageA({ ...vfA, messages: most(31, 665) })).toThrow(
      expect.objectContaining({ code: 'ENOBUFS', problem: 'overflow' }),
    );
  });
});

describe('what is wrong is named', () => {
  const bytes = encodeImageA(vfA);
  const size = imageASize(vfA.messages);

  test('every cut before total_size', () => {
    for (let cut = 0; cut < size; cut++)
      expect(problem(bytes.subarray(0, cut)), String(cut)).toBe('truncated EINVAL');
    expect(problem(bytes.subarray(0, size))).toBe('none');
  });

  test.each([
    ['another magic', changed(bytes, 0, 2), 'magic EINVAL'],
    ['another version', changed(bytes, 4, 2), 'version EINVAL'],
    ['no room for a terminator', changed(bytes, 8, 0x5f, 0x0d), 'length EINVAL'],
    ['a total_size that is too small', changed(bytes, 8, 0x9b), 'truncated ENOBUFS'],
    ['a total_size that is too large', changed(bytes, 8, 0x9d), 'length EINVAL'],
    ['a message that is too long', changed(bytes, 3414 + 4, 0xff, 0xff), 'truncated ENOBUFS'],
    ['a list that ends early', changed(bytes, 3414, 0), 'length EINVAL'],
    ['no terminator', changed(bytes, size - 10, 1), 'truncated ENOBUFS'],
    ['data in the terminator', changed(bytes, size - 3, 1), 'not-zero EINVAL'],
    ['data at the end of the file', changed(bytes, 131071, 1), 'not-zero EINVAL'],
    ['a file that is too long', Buffer.concat([bytes, new Uint8Array(1)]), 'trailing EINVAL'],
    ['nothing', new Uint8Array(0), 'truncated EINVAL'],
    ['an image of generation B', encodeImageB(vfB), 'other-generation EINVAL'],
  ])('%s', (_words, damaged, expected) => {
    expect(problem(damaged)).toBe(expected);
    expect(describeImageA(damaged).error?.message).toContain(expected.split(' ')[0]);
  });

  test('the walk of the published loader sees the slots and nothing else', () => {
    const walked = [...slotsOfImageA(changed(bytes, 131071, 1))].map(({ message }) => message);
    expect(walked).toEqual(vfA.messages);
    const cut = new Uint8Array(IMAGE_FILE_SIZE);
    cut.set(bytes.subarray(0, 3414 + 16));
    expect([...slotsOfImageA(cut)].length).toBe(1);
  });
});
