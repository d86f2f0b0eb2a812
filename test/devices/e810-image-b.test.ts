import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  B_NUM_TYPES,
  decodeImageB,
  describeImageB,
  encodeImageA,
  encodeImageB,
  encodeRecord,
  generationOf,
  IMAGE_B_RECORDS,
  IMAGE_FILE_SIZE,
  type ImageB,
  imageErrorOf,
  type LayoutField,
  layoutSize,
  type RecordLayout,
  recordsOfImageB,
  typeName,
} from '../../devices/index.js';
import { ByHand, MAC, vfA, vfB } from './e810-fixture.js';

/** Types, bytes of their fields, and the fields themselves as the notes have them. */
const TABLE: readonly (readonly [number, string, number, string])[] = [
  [0, 'END', 0, ''],
  [1, 'HEADER', 8, 'magic u32 0, version u16 4, num_supported_tlvs u16 6'],
  [
    2,
    'VF_INFO',
    86,
    'dev_lan_addr mac 0, hw_lan_addr mac 6, driver_caps u32 12, vlan_v2_caps bytes[40] 16, vf_ver_major u32 56, vf_ver_minor u32 60, min_tx_rate u32 64, max_tx_rate u32 68, virtchnl_op_max u32 72, num_vf_qs u16 76, num_msix u16 78, port_vlan_tpid u16 80, port_vlan_vid u16 82, port_vlan_prio u8 84, flags u8 85',
  ],
  [3, 'TX_QUEUE', 17, 'dma u64 0, count u16 8, head u16 10, queue_id u16 12, vector_id u16 14, flags u8 16'],
  [
    4,
    'RX_QUEUE',
    27,
    'dma u64 0, max_frame u16 8, rx_buf_len u16 10, rxdid u32 12, count u16 16, head u16 18, tail u16 20, queue_id u16 22, vector_id u16 24, flags u8 26',
  ],
  [
    5,
    'MSIX_REGS',
    26,
    'int_dyn_ctl u32 0, int_intr u32[4] 4, tx_itr_idx u16 20, rx_itr_idx u16 22, vector_id u16 24',
  ],
  [
    6,
    'MBX_REGS',
    40,
    'atq_head u32 0, atq_tail u32 4, atq_bal u32 8, atq_bah u32 12, atq_len u32 16, arq_head u32 20, arq_tail u32 24, arq_bal u32 28, arq_bah u32 32, arq_len u32 36',
  ],
  [
    7,
    'STATS',
    96,
    'rx_bytes u64 0, rx_unicast u64 8, rx_multicast u64 16, rx_broadcast u64 24, rx_discards u64 32, rx_unknown_protocol u64 40, tx_bytes u64 48, tx_unicast u64 56, tx_multicast u64 64, tx_broadcast u64 72, tx_discards u64 80, tx_errors u64 88',
  ],
  [8, 'RSS', 63, 'hashcfg u64 0, key bytes[52] 8, lut_size u16 60, hfunc u8 62'],
  [9, 'VLAN_FILTERS', 2, 'num_vlans u16 0'],
  [10, 'MAC_FILTERS', 2, 'num_macs u16 0'],
];

const fail = (bytes: Uint8Array) => imageErrorOf(() => decodeImageB(bytes));
const problem = (bytes: Uint8Array): string => {
  const error = fail(bytes);
  return error ? `${error.problem} ${error.code}` : 'none';
};

/** The records of an image, each with its head, to be put together otherwise. */
function recordsOf(bytes: Uint8Array): { name: string; bytes: Uint8Array }[] {
  return [...recordsOfImageB(bytes)].map(({ layout, offset, data }) => ({
    name: layout.name,
    bytes: bytes.slice(offset, offset + 4 + data.length),
  }));
}
const joined = (records: readonly { bytes: Uint8Array }[]) =>
  Buffer.concat(records.map(({ bytes }) => bytes));

describe('the layout', () => {
  test('is the table', () => {
    const layouts: readonly RecordLayout[] = IMAGE_B_RECORDS;
    const text = (fields: readonly LayoutField[]) =>
      fields.map((field) => `${field.name} ${typeName(field)} ${field.offset}`).join(', ');
    expect(layouts.map(({ type, name, fields }) => [type, name, layoutSize(fields), text(fields)])).toEqual(
      TABLE,
    );
    expect(layouts.map(({ type }) => type)).toEqual(layouts.map((_, index) => index));
    expect(B_NUM_TYPES).toBe(11);
  });

  test('has no gap, and only the order of bits is concluded', () => {
    for (const { name, fields } of IMAGE_B_RECORDS as readonly RecordLayout[]) {
      let end = 0;
      for (const field of fields) {
        expect(field.offset, `${name}.${field.name}`).toBe(end);
        expect(field.certainty, `${name}.${field.name}`).toBe(field.bits ? 'concluded' : 'read');
        end = layoutSize([field]);
      }
    }
  });
});

describe('golden bytes', () => {
  const bytes = encodeImageB(vfB);

  test('a VF with four queue pairs, five vectors and a MAC has 796 bytes', () => {
    const sizes = [12, 108, 4 * 32, 4 * 24, 5 * 32, 44, 100, 132, 12, 4];
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(796);
    expect(bytes.length).toBe(796);
  });

  test('begins as every stream does', () => {
    expect(Buffer.from(bytes.subarray(0, 12)).toString('hex')).toBe('01000800010000e801000b00');
  });

  test('is what is put down by hand', () => {
    const { vfInfo, rss, stats } = vfB;
    const hand = new ByHand();
    hand.u16(1, 8).u32(0xe8000001).u16(1, 11);
    hand
      .u16(2, 104)
      .raw(MAC)
      .raw(MAC)
      .u32(vfInfo.driver_caps)
      .raw(vfInfo.vlan_v2_caps)
      .u32(1, 1, 10, 25_000, 114);
    hand
      .u16(4, 5, 0x8100, 42)
      .u8(3, 0b1011_1001)
      .u32(...vfInfo.opcodes_allowlist)
      .zeros(2);
    for (let vector = 0; vector < 5; vector++) {
      hand.u16(5, 28).u32(0x0100_0001 + vector, vector, 0x20 + vector, 0x40 + vector, 0x60 + vector);
      hand.u16(1, 0, vector).zeros(2);
    }
    hand
      .u16(8, 128)
      .u64(rss!.hashcfg)
      .raw(rss!.key)
      .u16(64)
      .u8(0, ...rss!.lut)
      .zeros(1);
    hand.u16(10, 8).u16(1).raw(MAC);
    for (let queue = 0; queue < 4; queue++) {
      hand
        .u16(4, 28)
        .u64(0x1_0000_0000n + BigInt(queue) * 0x4000n)
        .u16(1522, 2048)
        .u32(2);
      hand
        .u16(512, 100 + queue, 500 + queue, queue, 1 + queue)
        .u8(0b111)
        .zeros(1);
    }
    for (let queue = 0; queue < 4; queue++) {
      hand.u16(3, 20).u64(0x2_0000_0000n + BigInt(queue) * 0x2000n);
      hand
        .u16(512, 200 + queue, queue, 1 + queue)
        .u8(queue === 3 ? 0b01 : 0b11)
        .zeros(3);
    }
    hand.u16(6, 40).u32(7, 8, 0x1111_0000, 1, 0x8000_0020, 9, 10, 0x2222_0000, 2, 0x8000_0020);
    hand.u16(7, 96).u64(...Object.values(stats));
    hand.u16(0, 0);
    expect(hand.bytes()).toEqual(bytes);
  });

  test('has the sum that it had before', () => {
    expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe('d641efa0058538ae');
  });

  test('describe tells every field at its place', () => {
    const { rows, error } = describeImageB(bytes);
    expect(error).toBeNull();
    const row = (name: string) => rows.find((each) => each.name === name);
    expect(row('HEADER.num_supported_tlvs')).toMatchObject({ offset: 10, size: 2, value: '11' });
    expect(row('VF_INFO.dev_lan_addr')).toMatchObject({ offset: 16, value: '02:1b:21:aa:bb:cc' });
    expect(row('VF_INFO.flags')).toMatchObject({
      value: 'inner_strip trusted spoofchk driver_active link_up',
      certainty: 'concluded',
    });
    expect(row('VF_INFO.opcodes_allowlist')).toMatchObject({ offset: 102, size: 16, type: 'u32[4]' });
    expect(row('MSIX_REGS[4].vector_id')?.value).toBe('4');
    expect(row('TX_QUEUE[2].dma')?.value).toBe('0x200004000');
    expect(row('RSS.lut')?.value).toMatch(/^\[0, 1, 2, 3, 0, 1/);
    expect(row('MAC_FILTERS.macs[0]')?.value).toBe('02:1b:21:aa:bb:cc');
    expect(row('END.len')).toMatchObject({ offset: 794 });
    // Every byte stands in exactly one row, but the padding of the records.
    const covered = new Uint8Array(bytes.length);
    for (const { offset, size } of rows) for (let at = offset; at < offset + size; at++) covered[at]!++;
    expect(Math.max(...covered)).toBe(1);
    const padding = 2 + 5 * 2 + 4 * 1 + 4 * 3 + 1;
    expect(covered.filter((times) => times === 0).length).toBe(padding);
  });
});

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u8 = fc.integer({ min: 0, max: 0xff });
const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
const blob = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** Any value of a table of fields. */
function anyOf(fields: readonly LayoutField[], fixed: object = {}): fc.Arbitrary<never> {
  const scalar = { u8, u16, u32, u64, mac: blob(6), bytes: blob(0) };
  const one = ({ type, dims, bits }: LayoutField): fc.Arbitrary<unknown> => {
    if (bits) return fc.record(Object.fromEntries(bits.map((name) => [name, fc.boolean()])));
    if (type === 'bytes') return blob(dims![0]);
    return dims
      ? fc.array(scalar[type] as fc.Arbitrary<unknown>, { minLength: dims[0], maxLength: dims[0] })
      : scalar[type];
  };
  const record = fc.record(Object.fromEntries(fields.map((field) => [field.name, one(field)])));
  return record.map((value) => ({ ...value, ...fixed })) as fc.Arbitrary<never>;
}
const layout = (type: number) => IMAGE_B_RECORDS[type]!.fields as readonly LayoutField[];
const without = (fields: readonly LayoutField[], name: string) =>
  fields.filter((field) => field.name !== name);

/** Several records of a type, each with its own key. */
const keyed = (type: number, key: string, most: number) =>
  fc
    .uniqueArray(u16, { maxLength: most })
    .chain((keys) => fc.tuple(...keys.map((id) => anyOf(layout(type), { [key]: id }))));

const anyImage = fc.record({
  numSupportedTlvs: fc.integer({ min: 11, max: 0xffff }),
  vfInfo: fc
    .array(u32, { maxLength: 8 })
    .chain((words) =>
      fc
        .integer({ min: Math.max(0, 32 * words.length - 31), max: 32 * words.length })
        .chain((bits) => anyOf(layout(2), { opcodes_allowlist: words, virtchnl_op_max: bits })),
    ),
  msixRegs: keyed(5, 'vector_id', 17),
  rss: fc.option(
    fc.array(u8, { maxLength: 70 }).chain((lut) => anyOf(without(layout(8), 'lut_size'), { lut })),
  ),
  vlans: fc.array(fc.record({ tpid: u16, vid: u16 }), { maxLength: 9 }),
  macs: fc.array(blob(6), { maxLength: 9 }),
  rxQueues: keyed(4, 'queue_id', 16),
  txQueues: keyed(3, 'queue_id', 16),
  mbxRegs: anyOf(layout(6)),
  stats: anyOf(layout(7)),
}) as unknown as fc.Arbitrary<ImageB>;

describe('both directions', () => {
  test('any image is read back as it was written', () => {
    fc.assert(
      fc.property(anyImage, (image) => {
        const bytes = encodeImageB(image);
        const back = decodeImageB(bytes);
        expect(back).toEqual(image);
        expect(encodeImageB(back)).toEqual(bytes);
        expect(describeImageB(bytes).error).toBeNull();
      }),
      { numRuns: 150 },
    );
  });

  test('records between HEADER and END may come in any order', () => {
    const records = recordsOf(encodeImageB({ ...vfB, vlans: [{ tpid: 0x8100, vid: 7 }] }));
    const shuffled = fc.shuffledSubarray(records.slice(1, -1), { minLength: records.length - 2 });
    fc.assert(
      fc.property(shuffled, (middle) => {
        const { msixRegs, rxQueues, txQueues, ...rest } = decodeImageB(
          joined([records[0]!, ...middle, records.at(-1)!]),
        );
        const { msixRegs: _m, rxQueues: _r, txQueues: _t, ...expected } = vfB;
        expect(rest).toEqual({ ...expected, vlans: [{ tpid: 0x8100, vid: 7 }] });
        const ids = (queues: { queue_id: number }[]) => queues.map(({ queue_id }) => queue_id).sort();
        expect([ids(rxQueues), ids(txQueues), msixRegs.length]).toEqual([[0, 1, 2, 3], [0, 1, 2, 3], 5]);
      }),
      { numRuns: 30 },
    );
  });

  test('mutated bytes are read or refused, never anything else', () => {
    const bytes = encodeImageB(vfB);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(795), u8), { minLength: 1, maxLength: 5 }), (changes) => {
        const mutated = bytes.slice();
        for (const [at, value] of changes) mutated[at] = value;
        const { error } = describeImageB(mutated);
        expect(error?.problem).toBe(fail(mutated)?.problem);
        if (error === null) expect(encodeImageB(decodeImageB(mutated)).length).toBe(796);
      }),
      { numRuns: 3000 },
    );
  });

  test('what does not fit is refused when it is written', () => {
    const queue = vfB.txQueues[0]!;
    expect(() => encodeImageB({ ...vfB, txQueues: [{ ...queue, count: 65536 }] })).toThrow(
      'count: expected an integer',
    );
    expect(() => encodeImageB({ ...vfB, vfInfo: { ...vfB.vfInfo, opcodes_allowlist: [1] } })).toThrow(
      'opcodes_allowlist',
    );
    const many = Array.from({ length: 6000 }, (_, id) => ({ ...queue, queue_id: id }));
    expect(() => encodeImageB({ ...vfB, txQueues: many })).toThrow(
      expect.objectContaining({ problem: 'overflow', code: 'ENOBUFS' }),
    );
  });
});

describe('what is wrong is named', () => {
  const bytes = encodeImageB(vfB);
  const records = recordsOf(bytes);
  const at = (name: string) => records.findIndex((record) => record.name === name);
  const without1 = (name: string) => joined(records.filter((_, index) => index !== at(name)));
  const twice = (name: string) => joined([...records.slice(0, at(name) + 1), ...records.slice(at(name))]);
  const offsetOf = (name: string) => joined(records.slice(0, at(name))).length;
  const changed = (offset: number, ...values: number[]) => {
    const copy = bytes.slice();
    copy.set(values, offset);
    return copy;
  };

  test('every cut', () => {
    for (let cut = 0; cut < bytes.length; cut++) {
      const error = fail(bytes.subarray(0, cut));
      expect(`${error?.problem} ${error?.code}`, String(cut)).toBe('truncated ENOSPC');
      expect(error!.offset).toBe(cut);
    }
  });

  test('every cut behind which the file has zeros, as in the file of a published driver', () => {
    for (let cut = 0; cut < bytes.length; cut++) {
      const file = new Uint8Array(IMAGE_FILE_SIZE);
      file.set(bytes.subarray(0, cut));
      expect(fail(file), String(cut)).not.toBeNull();
    }
  });

  test('each record twice', () => {
    for (const { name } of IMAGE_B_RECORDS) {
      if (name === 'END' || name === 'VLAN_FILTERS') continue;
      expect(problem(twice(name)), name).toBe('duplicate EINVAL');
    }
  });

  test('each record that must be there and is not', () => {
    for (const name of ['VF_INFO', 'MBX_REGS', 'STATS']) {
      const error = fail(without1(name));
      expect([error?.problem, error?.code, error?.message]).toEqual([
        'missing',
        'EINVAL',
        expect.stringContaining(name),
      ]);
    }
    expect(problem(without1('HEADER'))).toBe('no-header EBADMSG');
    expect(problem(without1('END'))).toBe('truncated ENOSPC');
    for (const name of ['RSS', 'MAC_FILTERS', 'TX_QUEUE']) expect(problem(without1(name)), name).toBe('none');
  });

  test.each([
    ['another magic', changed(4, 2), 'magic EPROTONOSUPPORT'],
    ['another version', changed(8, 2), 'version EPROTONOSUPPORT'],
    ['a type that nobody knows', changed(offsetOf('STATS'), 11), 'unknown-type EPROTONOSUPPORT'],
    ['a type that the sender does not know', changed(10, 10), 'unknown-type EPROTONOSUPPORT'],
    ['a length that is no multiple of 4', changed(14, 102), 'alignment ENOSPC'],
    [
      'a record that is too short for its fields',
      joined([records[0]!, { bytes: Uint8Array.of(2, 0, 4, 0, 1, 2, 3, 4) }, ...records.slice(2)]),
      'length EINVAL',
    ],
    [
      'a HEADER of another length',
      joined([
        {
          bytes: Buffer.concat([
            Uint8Array.of(1, 0, 12, 0),
            records[0]!.bytes.subarray(4),
            new Uint8Array(4),
          ]),
        },
        ...records.slice(1),
      ]),
      'length EINVAL',
    ],
    ['an allowlist of another length', changed(16 + 72, 200), 'length EINVAL'],
    ['more MACs than there are', changed(offsetOf('MAC_FILTERS') + 4, 2), 'length EINVAL'],
    ['reserved bits', changed(offsetOf('TX_QUEUE') + 4 + 16, 0x83), 'not-zero EINVAL'],
    ['padding', changed(offsetOf('TX_QUEUE') + 4 + 19, 1), 'not-zero EINVAL'],
    [
      'data in END',
      joined([...records.slice(0, -1), { bytes: Uint8Array.of(0, 0, 4, 0, 0, 0, 0, 0) }]),
      'length EINVAL',
    ],
    ['data behind END', Buffer.concat([bytes, new Uint8Array(4)]), 'trailing EINVAL'],
    ['more than a file', Buffer.concat([bytes, new Uint8Array(IMAGE_FILE_SIZE)]), 'trailing EINVAL'],
    ['nothing', new Uint8Array(0), 'truncated ENOSPC'],
    ['an image of generation A', encodeImageA(vfA), 'other-generation EPROTONOSUPPORT'],
  ])('%s', (_words, damaged, expected) => {
    expect(problem(damaged)).toBe(expected);
    expect(describeImageB(damaged).error?.problem).toBe(expected.split(' ')[0]);
  });

  test('the walk of the published loader takes what it does not look at', () => {
    const file = new Uint8Array(IMAGE_FILE_SIZE);
    const cut = offsetOf('TX_QUEUE');
    file.set(bytes.subarray(0, cut));
    expect([...recordsOfImageB(file)].map(({ layout: { name } }) => name)).toEqual([
      ...records.slice(0, at('TX_QUEUE')).map(({ name }) => name),
      'END',
    ]);
    expect([...recordsOfImageB(twice('STATS'))].length).toBe(records.length + 1);
  });

  test('the generations have one magic number at different places', () => {
    expect([encodeImageA(vfA), bytes, new Uint8Array(9)].map(generationOf)).toEqual(['a', 'b', null]);
    expect(fail(encodeImageA(vfA))?.message).toContain('generation A');
    // Without a look at the place, B reads HEADER of 59392 bytes, whose magic is the version of A: 1.
    const clash = new DataView(encodeImageA(vfA).buffer);
    expect([clash.getUint16(0, true), clash.getUint16(2, true), clash.getUint32(4, true)]).toEqual([
      1, 59392, 1,
    ]);
  });

  test('a record alone', () => {
    expect(Buffer.from(encodeRecord('END', {})).toString('hex')).toBe('00000000');
    expect(encodeRecord('VLAN_FILTERS', { vlans: [{ tpid: 0x88a8, vid: 2 }] })).toEqual(
      Uint8Array.of(9, 0, 8, 0, 1, 0, 0xa8, 0x88, 2, 0, 0, 0),
    );
  });
});
