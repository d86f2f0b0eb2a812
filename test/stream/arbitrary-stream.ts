import fc from 'fast-check';
import type { PageEncoding, StreamItem } from '../../src/stream/item.js';
import { mappedBlock } from '../../src/stream/ram-writer.js';
import { CONFIGURATION_SUBSECTIONS, mappedRamBitmapBytes } from '../../src/uapi/qemu-stream.js';
import { type Entry, Scribe } from './recorded.js';

/** A written stream, and what it consists of. */
export interface Sample {
  bytes: Buffer;
  entries: Entry[];
  /** How a failing property shows it. */
  [fc.toStringMethod](): string;
}

export function sample(bytes: Buffer, entries: Entry[]): Sample {
  const shown = () => `${JSON.stringify(entries, (_, value) => shorten(value)).slice(0, 4000)}`;
  return { bytes, entries, [fc.toStringMethod]: shown };
}

function shorten(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  return typeof value === 'string' && value.length > 60 ? `${value.slice(0, 60)}...` : value;
}

const name = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 40,
});
const u32 = fc.oneof(fc.nat(99), fc.integer({ min: 0, max: 0xffff_ffff }));
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
/** Bytes that look like what a stream is made of. */
const body = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc
    .array(fc.constantFrom(0x7e, 0, 1, 0xff, 0xef, 0x10), { maxLength: 80 })
    .map((bytes) => Uint8Array.from(bytes)),
);

const command = fc.oneof<fc.Arbitrary<StreamItem>[]>(
  fc
    .constantFrom(
      'OPEN_RETURN_PATH',
      'POSTCOPY_LISTEN',
      'POSTCOPY_RUN',
      'ENABLE_COLO',
      'POSTCOPY_RESUME',
      'SWITCHOVER_START',
    )
    .map((each) => ({ kind: 'command', name: each as 'POSTCOPY_RUN' })),
  u32.map((value) => ({ kind: 'command', name: 'PING', value })),
  name.map((block) => ({ kind: 'command', name: 'RECV_BITMAP', block })),
  fc
    .record({ block: name, ranges: fc.array(fc.record({ start: u64, length: u64 }), { maxLength: 4 }) })
    .map(({ block, ranges }) => ({ kind: 'command', name: 'POSTCOPY_RAM_DISCARD', block, ranges })),
);

const page = fc.record({
  block: fc.nat(9),
  page: fc.nat(99),
  encoding: fc.constantFrom<PageEncoding>('normal', 'normal', 'zero', 'xbzrle', 'compressed'),
  fill: fc.nat(255),
  length: fc.nat(60),
});
const vfioPart = fc.record({ data: fc.option(body, { nil: undefined }), acked: fc.boolean() });
const round = fc.record({
  pages: fc.array(page, { maxLength: 5 }),
  vfio: fc.array(vfioPart, { maxLength: 3 }),
  other: fc.option(body, { nil: undefined }),
  flush: fc.constantFrom('', 'MULTIFD_FLUSH', 'HOOK'),
  commands: fc.array(command, { maxLength: 2 }),
});

const shape = fc.record({
  pageSize: fc.constantFrom(1024, 4096, 4096, 65536),
  machine: name,
  uuid: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }), { nil: undefined }),
  shared: fc.boolean(),
  configuration: fc.boolean(),
  postcopy: fc.constantFrom('', 'bitmaps', 'ram'),
  footer: fc.boolean(),
  blocks: fc.uniqueArray(
    fc.record({ name, pages: fc.integer({ min: 1, max: 9 }), huge: fc.boolean(), address: u64 }),
    {
      selector: (block) => block.name,
      minLength: 1,
      maxLength: 4,
    },
  ),
  devices: fc.uniqueArray(fc.record({ name, config: body, ready: fc.boolean() }), {
    selector: (device) => device.name,
    maxLength: 2,
  }),
  states: fc.array(
    fc.record({ name: name.filter((each) => !each.endsWith('vfio')), body, instance: u32, version: u32 }),
    {
      maxLength: 4,
    },
  ),
  rounds: fc.array(round, { maxLength: 3 }),
  packaged: fc.boolean(),
  described: fc.boolean(),
  trailing: fc.constantFrom(0, 0, 0, 5),
});

type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

const LIVE = 1000;
const OTHER = 2000;

/** A FULL section and its body, of known size. */
interface Full {
  name: string;
  instance: number;
  size: number;
}

/** Any stream with records of all kinds, but for mapped-ram. */
export const anyStream: fc.Arbitrary<Sample> = shape.map((it) => {
  // Nothing tells the end of a body of unknown form in a stream without footers and vmdescription.
  const opaque = it.states.length + it.devices.length > 0 || it.rounds.some((each) => each.other);
  return write(it, it.footer || opaque);
});

/** Any stream whose vmdescription stands at the very end, with footers or without. */
export const anyDescribedStream: fc.Arbitrary<Sample> = shape.map((it) => {
  const rounds = it.rounds.map(({ other, ...each }) =>
    it.footer ? { ...each, other } : { ...each, other: undefined },
  );
  return write({ ...it, rounds, described: true, trailing: 0 }, it.footer);
});

function write(it: Shape, footer: boolean): Sample {
  const bare = it.configuration ? {} : { pageSize: it.pageSize };
  // Without a configuration the page size is told by POSTCOPY_ADVISE, or is the usual one.
  const pageSize = it.configuration || it.postcopy === 'ram' ? it.pageSize : 4096;
  const out = new Scribe(it.configuration ? {} : { ...bare, pageSize });
  out.item({ kind: 'header', version: 3 });
  if (it.configuration) out.item(configuration(it));
  if (it.postcopy === 'bitmaps') out.item({ kind: 'command', name: 'POSTCOPY_ADVISE' });
  if (it.postcopy === 'ram') {
    const pageSizes = BigInt(pageSize) | 0x200000n;
    out.item({ kind: 'command', name: 'POSTCOPY_ADVISE', pageSizes, targetPageSize: pageSize });
  }
  start(out, it, pageSize, footer);
  for (const each of it.rounds) iterate(out, it, each, pageSize, footer);
  const fulls: Full[] = [];
  if (it.packaged && !it.described) {
    const nested = new Scribe({ pageSize });
    complete(nested, it, footer, []);
    out.item({ kind: 'command', name: 'PACKAGED', size: nested.bytes().length });
    complete(out, it, footer, []);
    out.item({ kind: 'package-end' });
  } else complete(out, it, footer, fulls);
  out.item({ kind: 'eof' });
  if (it.described) {
    describe(out, fulls, pageSize);
    if (it.trailing > 0) return trail(out, it.trailing);
  }
  return sample(out.bytes(), out.entries);
}

function trail(out: Scribe, size: number): Sample {
  const bytes = Buffer.concat([out.bytes(), Buffer.alloc(size, 7)]);
  return sample(bytes, [...out.entries, { kind: 'trailing', size }]);
}

function configuration(it: Shape): StreamItem {
  const { pageBits, capabilities, uuid } = CONFIGURATION_SUBSECTIONS;
  return {
    kind: 'configuration',
    machine: it.machine,
    subsections: [
      { name: pageBits, version: 1, targetPageBits: Math.log2(it.pageSize) },
      ...(it.shared ? [{ name: capabilities, version: 1, capabilities: ['x-ignore-shared'] }] : []),
      ...(it.uuid === undefined ? [] : [{ name: uuid, version: 1, uuid: it.uuid }]),
    ],
  };
}

function section(
  type: 'START' | 'PART' | 'END' | 'FULL',
  id: number,
  idstr: string,
  version: number,
  instance = 0,
): StreamItem {
  return { kind: 'section', type, id, idstr, instance, version };
}

function start(out: Scribe, it: Shape, pageSize: number, footer: boolean): void {
  const shared = it.shared && it.configuration;
  out.item(section('START', 1, 'ram', 4));
  out.item({ kind: 'mem-size', total: it.blocks.reduce((sum, { pages }) => sum + pages * pageSize, 0) });
  for (const block of it.blocks) {
    out.item({
      kind: 'block',
      name: block.name,
      usedLength: block.pages * pageSize,
      ...(it.postcopy === 'ram' && block.huge && !shared ? { pageSize: 0x200000 } : {}),
      ...(shared ? { guestAddress: block.address } : {}),
    });
  }
  out.item({ kind: 'ram', flag: 'EOS' }, { kind: 'section-end', id: 1, footer });
  for (const [index, device] of it.devices.entries()) {
    const id = LIVE + index;
    out.item(
      section('START', id, `${device.name}/vfio`, 1),
      { kind: 'vfio', tag: 'DEV_SETUP_STATE' },
      { kind: 'vfio', tag: 'END_OF_STATE' },
      { kind: 'section-end', id, footer },
    );
  }
  if (it.rounds.some((each) => each.other !== undefined)) {
    out.item(
      section('START', OTHER, 'dirty-bitmap', 1),
      { kind: 'body' },
      { kind: 'section-end', id: OTHER, footer },
    );
  }
}

function iterate(
  out: Scribe,
  it: Shape,
  round: Shape['rounds'][number],
  pageSize: number,
  footer: boolean,
): void {
  out.item(section('PART', 1, 'ram', 4));
  for (const each of round.pages) {
    const block = it.blocks[each.block % it.blocks.length]!;
    const length = { normal: pageSize, zero: 1, xbzrle: each.length, compressed: each.length, mapped: 0 }[
      each.encoding
    ];
    out.page(
      block.name,
      (each.page % block.pages) * pageSize,
      each.encoding,
      new Uint8Array(length).fill(each.fill),
    );
  }
  if (round.flush !== '') out.item({ kind: 'ram', flag: round.flush as 'HOOK' });
  out.item({ kind: 'ram', flag: 'EOS' }, { kind: 'section-end', id: 1, footer });
  for (const [index, part] of round.vfio.entries()) {
    const device = it.devices[index];
    if (device === undefined) break;
    out.item(section('PART', LIVE + index, `${device.name}/vfio`, 1));
    if (part.data) out.item({ kind: 'vfio', tag: 'DEV_DATA_STATE', size: part.data.length }).data(part.data);
    out.item({ kind: 'vfio', tag: part.acked ? 'DEV_INIT_DATA_SENT' : 'END_OF_STATE' });
    out.item({ kind: 'section-end', id: LIVE + index, footer });
  }
  if (round.other !== undefined) {
    out.item(section('PART', OTHER, 'dirty-bitmap', 1), { kind: 'body' }).data(round.other);
    out.item({ kind: 'section-end', id: OTHER, footer });
  }
  out.item(...round.commands);
}

function complete(out: Scribe, it: Shape, footer: boolean, fulls: Full[]): void {
  for (const [index, { name: idstr, body: data, instance, version }] of it.states.entries()) {
    out.item(section('FULL', index + 2, idstr, version, instance), { kind: 'body' }).data(data);
    out.item({ kind: 'section-end', id: index + 2, footer });
    fulls.push({ name: idstr, instance, size: data.length });
  }
  for (const [index, device] of it.devices.entries()) {
    const id = LIVE + index;
    const idstr = `${device.name}/vfio`;
    out.item(section('FULL', id, idstr, 1));
    if (device.ready) out.item({ kind: 'vfio', tag: 'DEV_CONFIG_LOAD_READY' });
    else {
      out.item({ kind: 'vfio', tag: 'DEV_CONFIG_STATE' }).data(device.config);
      out.item({ kind: 'vfio', tag: 'END_OF_STATE' });
    }
    out.item({ kind: 'section-end', id, footer });
    fulls.push({ name: idstr, instance: 0, size: device.ready ? 8 : 16 + device.config.length });
  }
}

function describe(out: Scribe, fulls: readonly Full[], pageSize: number): void {
  const devices = fulls.map(({ name: idstr, instance, size }) => ({
    name: idstr,
    instance,
    size,
    fields: 1,
    subsections: [],
  }));
  const text = JSON.stringify({
    page_size: pageSize,
    devices: fulls.map(({ name: idstr, instance, size }) => ({
      name: idstr,
      instance_id: instance,
      fields: [{ name: 'data', type: 'buffer', size }],
    })),
  });
  out.item({ kind: 'description', text, description: { pageSize, devices } });
}

/** Any mapped-ram file; its pages stand closer together than QEMU's, so that it is small. */
export const anyMappedRam: fc.Arbitrary<Sample> = fc
  .record({
    blocks: fc.uniqueArray(
      fc.record({ name, bits: fc.array(fc.boolean(), { minLength: 1, maxLength: 80 }), left: fc.nat(9) }),
      {
        selector: (block) => block.name,
        minLength: 1,
        maxLength: 3,
      },
    ),
    pageSize: fc.constantFrom(1024, 4096),
    alignment: fc.constantFrom(8, 4096),
  })
  .map(({ blocks, pageSize, alignment }) => {
    const out = new Scribe({ pageSize });
    const { capabilities } = CONFIGURATION_SUBSECTIONS;
    out.item({ kind: 'header', version: 3 });
    out.item({
      kind: 'configuration',
      machine: 'pc',
      subsections: [
        { name: CONFIGURATION_SUBSECTIONS.pageBits, version: 1, targetPageBits: Math.log2(pageSize) },
        { name: capabilities, version: 1, capabilities: ['mapped-ram'] },
      ],
    });
    out.item(section('START', 1, 'ram', 4));
    out.item({ kind: 'mem-size', total: blocks.reduce((sum, { bits }) => sum + bits.length * pageSize, 0) });
    for (const { name: block, bits, left } of blocks) {
      const usedLength = bits.length * pageSize;
      if (left === 0) {
        const mapped = { pageSize, bitmapOffset: 0, pagesOffset: 0 };
        out.item({ kind: 'block', name: block, usedLength, mapped });
        continue;
      }
      const mapped = mappedBlock(out.offset, { name: block, usedLength, pageSize }, alignment);
      out.item({ kind: 'block', name: block, usedLength, mapped });
      const bitmap = new Uint8Array(mappedRamBitmapBytes(usedLength, pageSize));
      for (const [index, bit] of bits.entries()) if (bit) bitmap[index >> 3]! |= 1 << (index & 7);
      out.data(bitmap);
      for (const [index, bit] of bits.entries()) {
        if (bit) out.page(block, index * pageSize, 'mapped', new Uint8Array(pageSize).fill(index + 1));
      }
    }
    out.item({ kind: 'ram', flag: 'EOS' }, { kind: 'section-end', id: 1, footer: true }, { kind: 'eof' });
    return sample(out.bytes(), out.entries);
  });
