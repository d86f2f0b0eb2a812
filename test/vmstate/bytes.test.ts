import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parseWhole, StreamReader } from '../../src/stream/index.js';
import {
  describeVmState,
  loadVmState,
  pciDeviceState,
  saveVmState,
  type VmStateDescription,
} from '../../src/vmstate/index.js';
import { feed } from '../stream/recorded.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('a state', () => {
  const flow: VmStateDescription = {
    name: 'flow',
    version: 1,
    minimumVersion: 1,
    fields: [{ name: 'next', type: 's32' }],
  };
  const description: VmStateDescription = {
    name: 'w',
    version: 3,
    minimumVersion: 1,
    fields: [
      { name: 'up', type: 'bool' },
      { name: 'a', type: 'u16' },
      { name: 'wide', type: 's64' },
      { name: 'mac', type: { buffer: 2 } },
      { name: 'count', type: 'u8' },
      { name: 'rings', type: { varray: 'count', of: 'u32', most: 8 } },
      { name: 'flow', type: { struct: flow } },
      { name: 'flows', type: { structs: flow, count: 2 } },
    ],
    subsections: [{ name: 'w/x', version: 2, minimumVersion: 1, fields: [{ name: 'extra', type: 'u8' }] }],
  };
  const target = {
    up: true,
    a: 0x1234,
    wide: -2n,
    mac: Uint8Array.of(0xaa, 0xbb),
    count: 2,
    rings: [1, 0xffff_ffff],
    flow: { next: -1 },
    flows: [{ next: 1 }, { next: 2 }],
    extra: 9,
  };

  it('has the bytes of QEMU', () => {
    expect(hex(saveVmState(description, target))).toBe(
      ['01', '1234', 'fffffffffffffffe', 'aabb', '02', '00000001ffffffff', 'ffffffff', '0000000100000002']
        .concat('05', '03', hex(Buffer.from('w/x')), '00000002', '09')
        .join(''),
    );
  });

  it('is described as QEMU does, an array that is all alike in one field', () => {
    const struct = { vmsd_name: 'flow', version: 1, fields: [{ name: 'next', type: 'int32', size: 4 }] };
    expect(describeVmState(description, target)).toEqual({
      vmsd_name: 'w',
      version: 3,
      fields: [
        { name: 'up', type: 'bool', size: 1 },
        { name: 'a', type: 'uint16', size: 2 },
        { name: 'wide', type: 'int64', size: 8 },
        { name: 'mac', type: 'buffer', size: 2 },
        { name: 'count', type: 'uint8', size: 1 },
        { name: 'rings', array_len: 2, type: 'uint32', size: 4 },
        { name: 'flow', type: 'struct', struct, size: 4 },
        { name: 'flows', array_len: 2, type: 'struct', struct, size: 4 },
      ],
      subsections: [{ vmsd_name: 'w/x', version: 2, fields: [{ name: 'extra', type: 'uint8', size: 1 }] }],
    });
  });

  it('describes elements that differ one by one, and no field for an array without any', () => {
    const each: VmStateDescription = {
      name: 'e',
      version: 1,
      minimumVersion: 1,
      fields: [
        { name: 'n', type: 'u8' },
        { name: 'v', type: { varray: 'n', of: 'u16', most: 4 } },
      ],
    };
    const all: VmStateDescription = {
      ...each,
      name: 'all',
      fields: [{ name: 'e', type: { structs: each, count: 2 } }],
    };
    const { fields } = describeVmState(all, {
      e: [
        { n: 0, v: [] },
        { n: 1, v: [1] },
      ],
    });
    const n = { name: 'n', type: 'uint8', size: 1 };
    const v = { name: 'v', type: 'uint16', size: 2 };
    const struct = { vmsd_name: 'e', version: 1 };
    expect(fields).toEqual([
      { name: 'e', index: 0, type: 'struct', struct: { ...struct, fields: [n] }, size: 1 },
      { name: 'e', index: 1, type: 'struct', struct: { ...struct, fields: [n, v] }, size: 3 },
    ]);
  });

  it('gives a target the kind of array that it has', () => {
    const into = { rings: new Uint32Array(1), mac: new Uint8Array(2) };
    parseWhole(saveVmState(description, target), loadVmState(description, into, 3));
    expect(into.rings).toEqual(Uint32Array.of(1, 0xffff_ffff));
    expect(into.mac).toEqual(target.mac);
  });
});

describe('VFIOPCIDevice', () => {
  const device = (vectors: number) => ({
    pdev: { version_id: 2, config: new Uint8Array(256).fill(3), irq_state: [0, 1, 0, 0] },
    msix: {
      table: new Uint8Array(16 * vectors).fill(4),
      pba: Uint8Array.of(1, 2).subarray(0, Math.ceil(vectors / 8)),
    },
  });

  it('is config space and INTx, then MSI-X where there is any', () => {
    const without = saveVmState(pciDeviceState({ configSize: 256, msixVectors: 0 }), device(0));
    expect(without.length).toBe(4 + 256 + 16);
    expect(hex(without.subarray(260))).toBe('00000000000000010000000000000000');
    const with9 = saveVmState(pciDeviceState({ configSize: 256, msixVectors: 9 }), device(9));
    expect(with9.length).toBe(4 + 256 + 16 + 9 * 16 + 2);
    expect(hex(with9.subarray(-2))).toBe('0102');
    const into = { pdev: { irq_state: new Uint32Array(4) } };
    parseWhole(with9, loadVmState(pciDeviceState({ configSize: 256, msixVectors: 9 }), into, 1));
    expect(into).toEqual({
      ...device(9),
      pdev: { ...device(9).pdev, irq_state: Uint32Array.of(0, 1, 0, 0) },
    });
  });

  it('of another shape, or of a later PCIDevice, is refused', () => {
    const load = (bytes: Uint8Array, msixVectors: number) => () =>
      parseWhole(bytes, loadVmState(pciDeviceState({ configSize: 256, msixVectors }), {}, 1));
    const bytes = saveVmState(pciDeviceState({ configSize: 256, msixVectors: 9 }), device(9));
    expect(load(bytes, 8)).toThrow('expected the end of the bytes');
    expect(load(bytes, 17)).toThrow('more bytes of VFIOPCIDevice.msix.table');
    bytes[3] = 3;
    expect(load(bytes, 9)).toThrow('VFIOPCIDevice.pdev cannot be taken over: version 3 of PCIDevice');
  });

  it('knows the display of the source, which a device without one refuses', () => {
    const shape = { configSize: 256, msixVectors: 0 } as const;
    const shown = { ...device(0), dpy: { ramfb: { cfg: new Uint8Array(28).fill(1) } } };
    const bytes = saveVmState(pciDeviceState({ ...shape, display: true }), shown);
    const into = { dpy: {} };
    parseWhole(bytes, loadVmState(pciDeviceState({ ...shape, display: true }), into, 1));
    expect(into.dpy).toEqual(shown.dpy);
    expect(() => parseWhole(bytes, loadVmState(pciDeviceState(shape), {}, 1))).toThrow(
      "VFIOPCIDevice/VFIODisplay cannot be taken over: the source's device has a display",
    );
  });
});

const FILE = fileURLToPath(new URL('../../../shared/traces/qemu-stream/one/state.mig.gz', import.meta.url));

describe.skipIf(!existsSync(FILE))('a stream of QEMU 11.1.2', () => {
  it('has its states read by descriptions of ours, to the byte', () => {
    const timer: VmStateDescription = {
      name: 'timer',
      version: 2,
      minimumVersion: 1,
      fields: [
        { name: 'cpu_ticks_offset', type: 's64' },
        { name: 'unused', type: { buffer: 8 } },
        { name: 'cpu_clock_offset', type: 's64', since: 2 },
      ],
    };
    const i440fx: VmStateDescription = {
      name: 'I440FX',
      version: 3,
      minimumVersion: 3,
      fields: [...pciDeviceState({ configSize: 256, msixVectors: 0 }).fields, { name: 'unused', type: 'u8' }],
    };
    const targets: Record<string, Record<string, unknown>> = {
      timer: {},
      '0000:00:00.0/I440FX': {},
      vfio: {},
    };
    const descriptions: Record<string, VmStateDescription> = { timer, '0000:00:00.0/I440FX': i440fx };
    const reader = new StreamReader(
      { item: () => {} },
      {
        bodyParser: ({ idstr, version }) => {
          const description = descriptions[idstr];
          return description && loadVmState(description, targets[idstr]!, version);
        },
        configParser: () =>
          loadVmState(pciDeviceState({ configSize: 4096, msixVectors: 0 }), targets.vfio!, 1),
      },
    );
    feed(reader, gunzipSync(readFileSync(FILE)), [100_000, 3_000_000]);
    expect(reader.atEof).toBe(true);
    expect(targets.timer).toMatchObject({ cpu_ticks_offset: expect.any(BigInt) });
    const { version_id, config } = targets.vfio!.pdev as { version_id: number; config: Uint8Array };
    expect(version_id).toBe(2);
    expect(hex(config.subarray(0, 4))).toBe('48435332');
    const bridge = targets['0000:00:00.0/I440FX']!.pdev as { config: Uint8Array };
    expect(hex(bridge.config.subarray(0, 4))).toBe('86803712');
  });
});
