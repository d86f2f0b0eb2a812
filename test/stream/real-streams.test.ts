import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { findDescription } from '../../src/stream/description.js';
import { StreamReader } from '../../src/stream/reader.js';
import type { InspectReport } from '../../src/stream/report.js';
import { StreamSummary } from '../../src/stream/summary.js';
import { StreamWriter } from '../../src/stream/writer.js';
import { fuzz } from './fuzz-run.js';
import { feed } from './recorded.js';

/**
 * Streams that QEMU 11.1.2 has written. They hold a guest's firmware and are no part of the repository:
 * where they are not there, nothing is checked here.
 */
const FOLDER = fileURLToPath(new URL('../../../shared/traces/qemu-stream', import.meta.url));
const there = existsSync(FOLDER);
if (!there) console.log(`skipped: the recorded streams are not there (${FOLDER})`);

const stream = (name: string) => gunzipSync(readFileSync(`${FOLDER}/${name}/state.mig.gz`));
const log = (name: string) => readFileSync(`${FOLDER}/${name}/src.trace.log`, 'utf8');

interface QueryMigrate {
  vfio: { transferred: number };
  ram: Record<
    'total' | 'normal' | 'duplicate' | 'normal-bytes' | 'transferred' | 'precopy-bytes' | 'page-size',
    number
  >;
}
const query = (name: string) =>
  JSON.parse(readFileSync(`${FOLDER}/${name}/src.query-migrate.json`, 'utf8')) as QueryMigrate;

/** Reads a stream by the sizes of its vmdescription, or by its footers as from a pipe. */
function inspect(bytes: Buffer, way: 'sizes' | 'footers', cuts: number[] = []): InspectReport {
  const description = way === 'sizes' ? findDescription(bytes) : undefined;
  const summary = new StreamSummary();
  const reader = new StreamReader(summary, description === undefined ? {} : { description });
  feed(reader, bytes, cuts);
  return summary.report(reader.offset, reader.pageSize);
}

const sum = (numbers: readonly number[]) => numbers.reduce((all, each) => all + each, 0);
const ways = ['sizes', 'footers'] as const;
const cases = ['one', 'two', 'mapped-ram'].flatMap((name) => ways.map((way) => [name, way] as const));

describe.skipIf(!there)('streams of QEMU', () => {
  it.each(cases)('%s, by %s: complete, and what the VMM has counted', (name, way) => {
    const bytes = stream(name);
    const report = inspect(bytes, way);
    const { ram, vfio } = query(name);
    expect(report).toMatchObject({ complete: true, bytes: bytes.length, trailing: 0, remarks: [] });
    expect(report.pageSize).toBe(ram['page-size']);
    expect(sum(report.ram.blocks.map(({ usedLength }) => usedLength ?? 0))).toBe(ram.total);
    expect(sum(report.vfio.map(({ dataBytes }) => dataBytes))).toBe(vfio.transferred);
    for (const device of report.vfio) expect(device.dataBytes).toBe(60);
    expect(report.vfio).toHaveLength(name === 'two' ? 2 : 1);
    for (const device of report.vfio) expect(device.pci).toBe('4348:3253');
  });

  it.each(ways)('pages sent in the stream, by %s', (way) => {
    for (const name of ['one', 'two']) {
      const bytes = stream(name);
      const report = inspect(bytes, way);
      const { ram } = query(name);
      expect(report.ram).toMatchObject({
        pages: ram.normal,
        zeroPages: ram.duplicate,
        bytes: ram['normal-bytes'],
      });
      expect(bytes.length).toBe(ram.transferred);
      const parts = report.sections.filter(({ type, idstr }) => type === 'PART' && idstr === 'ram');
      expect(sum(parts.map(({ bodySize }) => bodySize))).toBe(ram['precopy-bytes']);
    }
  });

  it('a mapped-ram file holds a page once: the 4 that were sent again are in their places', () => {
    const { pages, bytes } = inspect(stream('mapped-ram'), 'sizes').ram;
    const { ram } = query('mapped-ram');
    expect(pages).toBe(ram.normal - 4);
    expect(bytes).toBe(pages * 4096);
  });

  it.each(cases)('%s, by %s: the sections that the trace of the run names, in its order', (name, way) => {
    const report = inspect(stream(name), way);
    const started = [...log(name).matchAll(/ savevm_section_start (\S+), section_id (\d+)$/gm)];
    const after = report.sections.filter(({ type }) => type !== 'START');
    expect(after.map(({ idstr, id }) => `${idstr} ${id}`)).toEqual(
      started.map(([, idstr, id]) => `${idstr} ${id}`),
    );
    const blocks = [...log(name).matchAll(/ vfio_save_block .* data_size (\d+)$/gm)].map(([, size]) =>
      Number(size),
    );
    const sizes = report.sections.flatMap(({ records = [] }) => records.flatMap(({ size }) => size ?? []));
    expect(sizes).toEqual(blocks);
    expect(report.commands.map((each) => each.name)).toEqual(['SWITCHOVER_START']);
  });

  it.each(cases)('%s, by %s: every body is as long as the vmdescription says', (name, way) => {
    const { sections, description } = inspect(stream(name), way);
    const full = sections.filter(({ type }) => type === 'FULL');
    expect(full.map(({ idstr, instance, bodySize }) => ({ idstr, instance, bodySize }))).toEqual(
      description!.devices.map((each) => ({
        idstr: each.name,
        instance: each.instance,
        bodySize: each.size,
      })),
    );
  });

  it.each(cases)('%s, by %s: written again, it is the same bytes', (name, way) => {
    const bytes = stream(name);
    const out: Buffer[] = [];
    const description = way === 'sizes' ? findDescription(bytes) : undefined;
    const writer = new StreamWriter((block) => void out.push(Buffer.from(block)));
    feed(
      new StreamReader(writer, description === undefined ? {} : { description }),
      bytes,
      [1, 5000, 250_000, 250_001],
    );
    void writer.flush();
    expect(Buffer.concat(out).equals(bytes)).toBe(true);
  });

  it('is read the same whatever its blocks', () => {
    const bytes = stream('two');
    const whole = inspect(bytes, 'footers');
    const small = Array.from({ length: Math.ceil(bytes.length / 13) }, (_, index) => 13 * index);
    expect(inspect(bytes, 'footers', small)).toEqual(whole);
  });

  it('may skip the pages of a mapped-ram file', () => {
    const bytes = stream('mapped-ram');
    const summary = new StreamSummary();
    const reader = new StreamReader(summary);
    let read = 0;
    for (let at = 0; at < bytes.length; ) {
      const block = bytes.subarray(at, at + 65536);
      reader.write(block);
      at += block.length;
      read += block.length;
      const skipped = Math.min(reader.skippable, bytes.length - at);
      reader.skip(skipped);
      at += skipped;
    }
    reader.end();
    expect(read).toBeLessThan(2 << 20);
    expect(summary.report(reader.offset, reader.pageSize)).toEqual(inspect(bytes, 'footers'));
  });

  it('changed, neither crash nor hang the reader', () => {
    const originals = [stream('one'), stream('two')];
    expect(fuzz(originals, 60, 1).streams).toBe(60);
  }, 60_000);
});
