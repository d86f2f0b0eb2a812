import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { InspectReport } from '../../src/stream/report.js';
import { Scribe } from '../stream/recorded.js';
import { expectOneLine, stopcopy } from '../support/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-inspect-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A stream with RAM, a VFIO device and a state whose size the vmdescription tells. */
function stream(told = 12): Buffer {
  const out = new Scribe();
  const ram = { kind: 'section', id: 1, idstr: 'ram', instance: 0, version: 4 } as const;
  const vfio = { kind: 'section', id: 2, idstr: '0000:00:02.0/vfio', instance: 0, version: 1 } as const;
  out.item(
    { kind: 'header', version: 3 },
    { kind: 'configuration', machine: 'pc-q35-11.1', subsections: [] },
    { ...ram, type: 'START' },
    { kind: 'mem-size', total: 16384 },
    { kind: 'block', name: 'pc.ram', usedLength: 16384 },
    { kind: 'ram', flag: 'EOS' },
    { kind: 'section-end', id: 1, footer: true },
    { ...vfio, type: 'START' },
    { kind: 'vfio', tag: 'DEV_SETUP_STATE' },
    { kind: 'vfio', tag: 'END_OF_STATE' },
    { kind: 'section-end', id: 2, footer: true },
  );
  for (let round = 0; round < 3; round++) {
    out.item({ ...ram, type: 'PART' });
    out.page('pc.ram', 4096 * round, 'normal', new Uint8Array(4096));
    out.page('pc.ram', 12288, 'zero', new Uint8Array(1));
    out.item({ kind: 'ram', flag: 'EOS' }, { kind: 'section-end', id: 1, footer: true });
    out.item({ ...vfio, type: 'PART' }, { kind: 'vfio', tag: 'DEV_DATA_STATE', size: 8 });
    out
      .data(new Uint8Array(8))
      .item({ kind: 'vfio', tag: 'END_OF_STATE' }, { kind: 'section-end', id: 2, footer: true });
  }
  out.item(
    { kind: 'command', name: 'SWITCHOVER_START' },
    { kind: 'section', type: 'FULL', id: 3, idstr: 'timer', instance: 0, version: 2 },
    { kind: 'body' },
  );
  out.data(new Uint8Array(12)).item({ kind: 'section-end', id: 3, footer: true }, { kind: 'eof' });
  const fields = [{ name: 'ticks', type: 'uint32', array_len: 3, size: told / 3 }];
  const text = JSON.stringify({
    page_size: 4096,
    devices: [{ name: 'timer', instance_id: 0, vmsd_name: 'timer', version: 2, fields }],
  });
  return out.item({ kind: 'description', text, description: { devices: [] } }).bytes();
}

function inspected(args: string[], input?: Uint8Array): { code: number | null; report: InspectReport } {
  const { code, out, err } = stopcopy(['inspect', '--json', ...args], input === undefined ? {} : { input });
  expect(err).toBe('');
  return { code, report: JSON.parse(out) as InspectReport };
}

const WHOLE = stream();

describe('stopcopy inspect', () => {
  it('prints the stream as a tree, its PARTs together', () => {
    const { code, out, err } = stopcopy(['inspect', file('state.mig', WHOLE)]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.replace(folder, '')).toMatchInlineSnapshot(`
      "/state.mig: migration stream, 12,864 bytes

      offset    size
           0       8  header QEVM, version 3
           8      16  configuration pc-q35-11.1
          24      53  START ram (id 1, instance 0, version 4)
                      └─ block pc.ram, 16.0 KiB
          77      52  START 0000:00:02.0/vfio (id 2, instance 0, version 1)
                      ├─ DEV_SETUP_STATE
                      └─ END_OF_STATE
         129  12,526  6 PART sections
                      ├─ 3 x PART ram (id 1): 12,400 bytes
                      └─ 3 x PART 0000:00:02.0/vfio (id 2): 126 bytes, device data 8, 8, 8
       12655          command SWITCHOVER_START
       12660      36  FULL timer (id 3, instance 0, version 2)
       12696       1  end of stream
       12697     167  vmdescription, 1 device

      RAM  3 normal, 3 zero pages, 12,288 bytes
        pc.ram: 3 normal, 3 zero pages, 12,288 bytes

      VFIO
        0000:00:02.0/vfio: 24 bytes of device data, 0 of config state, 8 records: DEV_SETUP_STATE 1, END_OF_STATE 4, DEV_DATA_STATE 3

      Bytes by state, heads and footers included
        12,453  ram, 4 sections
           178  0000:00:02.0/vfio, 4 sections
            36  timer, 1 section

      vmdescription  1 device, page size 4096
        timer: version 2, 1 field, 12 bytes

      complete: 12,864 bytes
      "
    `);
  });

  it('gives the names that others build on', () => {
    const { code, report } = inspected([file('state.mig', WHOLE)]);
    expect(code).toBe(0);
    expect(report).toMatchObject({ schema: 'stopcopy-inspect-1', complete: true });
    expect(report).not.toHaveProperty('error');
    expect(report.sections).toHaveLength(9);
    expect(report.sections[0]).toMatchObject({
      type: 'START',
      idstr: 'ram',
      instance: 0,
      version: 4,
      offset: 24,
      size: 53,
    });
    expect(report.ram).toMatchObject({ pages: 3, zeroPages: 3, bytes: 12288 });
    expect(report.vfio).toMatchObject([{ idstr: '0000:00:02.0/vfio', records: 8, dataBytes: 24 }]);
  });

  it('reads files, pipes, standard input, gzip, and streams inside a file alike', () => {
    const path = file('state.mig', WHOLE);
    const { report } = inspected([path]);
    expect(inspected(['-'], WHOLE)).toEqual({ code: 0, report });
    expect(inspected([file('state.mig.gz', gzipSync(WHOLE))])).toEqual({ code: 0, report });
    expect(inspected(['-'], gzipSync(WHOLE))).toEqual({ code: 0, report });
    const inside = file('inside.img', Buffer.concat([Buffer.alloc(4096, 1), WHOLE]));
    for (const given of [
      inspected(['--offset', '4096', inside]),
      inspected(['--offset', '4096', '-'], Buffer.concat([Buffer.alloc(4096), WHOLE])),
    ]) {
      expect(given.code).toBe(0);
      expect(given.report).toMatchObject({
        offset: 4096,
        bytes: WHOLE.length,
        ram: report.ram,
        vfio: report.vfio,
      });
      expect(given.report.sections.map(({ offset }) => offset - 4096)).toEqual(
        report.sections.map(({ offset }) => offset),
      );
    }
  });

  it('ends with 1 where the stream is damaged or cut, and prints what stands before', () => {
    const cut = inspected([file('cut.mig', WHOLE.subarray(0, 5000))]);
    expect(cut.code).toBe(1);
    expect(cut.report).toMatchObject({
      complete: false,
      error: { offset: 5000 },
      ram: { pages: 1, zeroPages: 1 },
    });
    expect(cut.report.error!.message).toMatch(/^expected .*the stream ends/);
    const changed = Buffer.from(WHOLE);
    changed[24] = 0x99;
    const { code, out } = stopcopy(['inspect', file('changed.mig', changed)]);
    expect(code).toBe(1);
    expect(out).toMatch(/\ndamaged at offset 24: expected a section .*, got 0x99\n$/);
  });

  it('keeps what a damaged gzip file has given', () => {
    const packed = gzipSync(WHOLE);
    const { code, report } = inspected([file('half.mig.gz', packed.subarray(0, packed.length - 20))]);
    expect(code).toBe(1);
    expect(report.configuration).toMatchObject({ machine: 'pc-q35-11.1' });
    expect(report.remarks).toEqual([expect.stringMatching(/^gzip data is damaged or incomplete/)]);
  });

  it('reads by the footers when the vmdescription is wrong, and says so', () => {
    const { code, report } = inspected([file('wrong.mig', stream(30))]);
    expect(code).toBe(0);
    expect(report.remarks).toEqual([
      'the vmdescription does not fit the sections; they were read without it',
      expect.stringMatching(/body of 12 bytes, 30 in the vmdescription/),
    ]);
  });

  it('ends with 2 where there is no stream', () => {
    for (const [args, words] of [
      [[join(folder, 'gone')], /no such file/],
      [[folder], /directory/],
      [[file('empty', '')], /is empty/],
      [[file('log', 'no stream\n')], /no migration stream/],
      [['--offset', '99999999', file('state.mig', WHOLE)], /ends before byte/],
      [['--offset', '-1', 'f'], /whole number/],
      [['--page-size', '5000', 'f'], /power of 2/],
      [[], /missing/],
    ] as const) {
      const run = stopcopy(['inspect', ...args]);
      expect(run.code).toBe(2);
      expect(run.out).toBe('');
      expectOneLine(run.err, words);
    }
  });

  it('ends with 3 where nothing follows the header', () => {
    for (const length of [2, 7, 8]) expect(inspected([file('head', WHOLE.subarray(0, length))]).code).toBe(3);
  });

  it('reads a FIFO to its end', () => {
    const script = `mkfifo "$1/pipe" && { cat "$1/state.mig" > "$1/pipe" & } && "$2" "$3" inspect --json "$1/pipe"`;
    file('state.mig', WHOLE);
    if (process.platform === 'win32') return;
    const main = join(import.meta.dirname, '../../dist/cli/main.js');
    const out = execFileSync('sh', ['-c', script, 'sh', folder, process.execPath, main], {
      encoding: 'utf8',
    });
    expect(JSON.parse(out)).toMatchObject({ complete: true });
  });
});
