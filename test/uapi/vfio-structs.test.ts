import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Fields, Struct } from '../../src/uapi/struct.js';
import {
  BusMaster,
  DeviceInfo,
  DmaBuf,
  DmaLoggingControl,
  decodeDmaLoggingRanges,
  decodeFeatureCall,
  encodeDmaLoggingRanges,
  encodeFeatureCall,
  encodePrecopyInfo,
  FeatureMigState,
  isReportPageSize,
  PrecopyInfo,
  precopyInfo,
  VFIO_STRUCTS,
} from '../../src/uapi/vfio-structs.js';

const ALL = VFIO_STRUCTS as unknown as readonly Struct<Fields>[];

describe('sizes and offsets of Linux 7.2', () => {
  it('are these', () => {
    expect(Object.fromEntries(ALL.map(({ name, size }) => [name, size]))).toEqual({
      vfio_device_feature: 8,
      vfio_device_feature_pci_vf_token: 16,
      vfio_device_feature_migration: 8,
      vfio_device_feature_mig_state: 8,
      vfio_device_low_power_entry_with_wakeup: 8,
      vfio_device_feature_dma_logging_control: 24,
      vfio_device_feature_dma_logging_range: 16,
      vfio_device_feature_dma_logging_report: 32,
      vfio_device_feature_mig_data_size: 8,
      vfio_device_feature_bus_master: 4,
      vfio_region_dma_range: 16,
      vfio_device_feature_dma_buf: 16,
      vfio_precopy_info: 24,
      vfio_device_info: 20,
      vfio_region_info: 32,
      vfio_group_status: 8,
      vfio_device_bind_iommufd: 16,
      vfio_device_attach_iommufd_pt: 12,
    });
    expect(DmaLoggingControl.offsets).toEqual({ page_size: 0, num_ranges: 8, __reserved: 12, ranges: 16 });
    expect(PrecopyInfo.offsets).toEqual({ argsz: 0, flags: 4, initial_bytes: 8, dirty_bytes: 16 });
    expect(DeviceInfo.offsets.cap_offset).toBe(16);
    expect(DmaBuf.itemsOffset).toBe(16);
    expect(BusMaster.offsets.op).toBe(0);
  });

  it('agree with the header of this machine, as far as it goes', (context) => {
    const gcc = preprocessed();
    if (gcc === undefined) return context.skip('no gcc with linux/vfio.h here');
    // Newer headers end some structs with a word that older ones lack.
    const longer: Readonly<Record<string, number>> = {
      vfio_device_info: 24,
      vfio_device_attach_iommufd_pt: 16,
    };
    const known = ALL.filter(({ name }) => gcc.includes(`struct ${name} {`));
    expect(known.length).toBeGreaterThanOrEqual(7);
    const measured = measure(known);
    for (const layout of known) {
      expect({ name: layout.name, ...measured[layout.name]!.offsets }).toEqual({
        name: layout.name,
        ...layout.offsets,
      });
      expect([layout.size, longer[layout.name]], layout.name).toContain(measured[layout.name]!.size);
    }
  });
});

/** The header after the preprocessor, or `undefined` when that cannot be had. */
function preprocessed(): string | undefined {
  const { status, stdout } = spawnSync('gcc', ['-E', '-P', '-x', 'c', '-'], {
    input: '#include <linux/vfio.h>\n',
    encoding: 'utf8',
  });
  return status === 0 ? stdout : undefined;
}

/** `sizeof` and `offsetof` of each struct, by compiling and running a program. */
function measure(
  layouts: readonly Struct<Fields>[],
): Record<string, { size: number; offsets: Record<string, number> }> {
  const rows = layouts.flatMap(({ name, fields }) => [
    `printf("${name} %zu\\n", sizeof(struct ${name}));`,
    ...Object.keys(fields).map((f) => `printf("${name} ${f} %zu\\n", offsetof(struct ${name}, ${f}));`),
  ]);
  const source = `#include <stddef.h>\n#include <stdio.h>\n#include <linux/vfio.h>\nint main(void) {\n${rows.join('\n')}\nreturn 0; }\n`;
  const folder = mkdtempSync(join(tmpdir(), 'layout-'));
  try {
    writeFileSync(join(folder, 'layout.c'), source);
    execFileSync('gcc', ['-o', join(folder, 'layout'), join(folder, 'layout.c')]);
    const out: ReturnType<typeof measure> = {};
    for (const line of execFileSync(join(folder, 'layout'), { encoding: 'utf8' }).trim().split('\n')) {
      const [name, ...rest] = line.split(' ') as [string, ...string[]];
      if (rest.length === 1) out[name] = { size: Number(rest[0]), offsets: {} };
      else out[name]!.offsets[rest[0]!] = Number(rest[1]);
    }
    return out;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('feature calls', () => {
  it('come back as they were', () => {
    const call = fc.record({
      index: fc.integer({ min: 0, max: 0xffff }),
      get: fc.boolean(),
      set: fc.boolean(),
      probe: fc.boolean(),
      data: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(call, (value) => {
        expect(decodeFeatureCall(encodeFeatureCall(value))).toEqual(value);
      }),
    );
  });

  it('look like the kernel wants them', () => {
    const data = FeatureMigState.encode({ device_state: 3, data_fd: -1 });
    const bytes = encodeFeatureCall({ index: 2, get: false, set: true, probe: false, data });
    expect(Buffer.from(bytes).toString('hex')).toBe('100000000200020003000000ffffffff');
  });

  it('refuse an argsz that lies', () => {
    expect(() => decodeFeatureCall(Buffer.from('0400000000000000', 'hex'))).toThrow(
      'vfio_device_feature.argsz: expected at least 8, got 4',
    );
    expect(() => decodeFeatureCall(Buffer.from('1000000000000000', 'hex'))).toThrow(
      'vfio_device_feature: expected at least 16 bytes, got 8',
    );
    expect(() =>
      encodeFeatureCall({ index: 65536, get: true, set: false, probe: false, data: new Uint8Array() }),
    ).toThrow(RangeError);
  });
});

describe('precopy info', () => {
  it('has a REINIT flag only after the opt-in', () => {
    const bytes = encodePrecopyInfo({ initial: 5n, dirty: 7n, reinit: true });
    expect(precopyInfo(bytes, false)).toEqual({ initial: 5n, dirty: 7n });
    expect(precopyInfo(bytes, true)).toEqual({ initial: 5n, dirty: 7n, reinit: true });
    expect(PrecopyInfo.decode(bytes).argsz).toBe(24);
    expect(precopyInfo(encodePrecopyInfo({ initial: 0n, dirty: 0n }), true).reinit).toBe(false);
  });
});

describe('DMA logging', () => {
  it('reads back the ranges it wrote', () => {
    const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(fc.array(fc.record({ iova: word, length: word }), { maxLength: 10 }), (ranges) => {
        expect(decodeDmaLoggingRanges(encodeDmaLoggingRanges(ranges), ranges.length)).toEqual(ranges);
      }),
    );
    expect(() => decodeDmaLoggingRanges(new Uint8Array(31), 2)).toThrow(
      '2 of vfio_device_feature_dma_logging_range: expected at least 32 bytes, got 31',
    );
  });

  it('takes powers of two of a page or more', () => {
    expect([0n, 1n, 2048n, 4095n, 4097n, 12288n].some(isReportPageSize)).toBe(false);
    expect([4096n, 8192n, 1n << 30n].every(isReportPageSize)).toBe(true);
  });
});
