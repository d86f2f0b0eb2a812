import { describe, expect, it } from 'vitest';
import { PciFunction } from '../../src/migrate/pci-function.js';
import { configPacket, parseConfigPacket, parseWhole } from '../../src/stream/index.js';
import { type Device, DeviceError } from '../../src/uapi/index.js';
import { VmStateError } from '../../src/vmstate/index.js';

const BARS = [
  { size: 0x2_0000, bits: 64, prefetchable: true },
  { size: 0, bits: 32 },
  { size: 0, bits: 32 },
  { size: 0x4000, bits: 64 },
  { size: 0, bits: 32 },
] as const;
const E810 = { vendor: 0x8086, device: 0x1889, classCode: 0x020000 };
const COMMAND = 4;
const BAR0 = 0x10;
const BAR3 = 0x1c;
const CONTROL = 0x42;
const ENABLE = 0x8000;
const MASK_ALL = 0x4000;

type Pci = ConstructorParameters<typeof PciFunction>[0]['pci'];

/** A function and what its device and the interrupt controller were told. */
function made(pci: Partial<Pci> = {}, identity = E810) {
  const told: string[] = [];
  const device = {
    name: '0000:00:04.0',
    readRegion: () => new Uint8Array(2),
    writeRegion: (region: number, offset: number, bytes: Uint8Array) => {
      told.push(`region ${region} at ${offset}: ${Buffer.from(bytes).toString('hex')}`);
    },
  } as unknown as Device;
  const it = new PciFunction({ device, pci: { msixVectors: 9, bars: BARS, ...pci } }, identity);
  it.deliver = ({ vector, address, data }) => told.push(`vector ${vector}: ${address.toString(16)} ${data}`);
  return { it, told, device };
}

/** An entry of the table, as a guest writes it. */
function entry(vector: number, masked = false): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(0xfee0_0000n + BigInt(vector));
  bytes.writeUInt32LE(100 + vector, 8);
  bytes.writeUInt32LE(masked ? 1 : 0, 12);
  return bytes;
}

/** What firmware and operating system of the guest do. */
async function enumerated(it: PciFunction): Promise<void> {
  await it.writeConfig(BAR0, 4, 0xe000_0000);
  await it.writeConfig(BAR0 + 4, 4, 0x38);
  await it.writeConfig(BAR3, 4, 0xe002_0000);
  for (let vector = 0; vector < 9; vector++) it.msix!.write(16 * vector, entry(vector));
  await it.writeConfig(CONTROL, 2, ENABLE);
  await it.writeConfig(COMMAND, 2, 0x406);
}

describe('configuration space', () => {
  it('tells sizes and kinds of BARs as a guest asks for them', async () => {
    const { it: fn } = made();
    expect(fn.readConfig(0, 4)).toBe(0x1889_8086);
    expect(fn.readConfig(BAR0, 4)).toBe(0xc);
    for (const at of [BAR0, BAR0 + 4, 0x18, BAR3]) await fn.writeConfig(at, 4, 0xffff_ffff);
    expect(fn.readConfig(BAR0, 4)).toBe(0xfffe_000c);
    expect(fn.readConfig(BAR0 + 4, 4)).toBe(0xffff_ffff);
    expect(fn.readConfig(0x18, 4)).toBe(0);
    expect(fn.readConfig(BAR3, 4)).toBe(0xffff_c004);
  });

  it('has MSI-X with its table in the last BAR, and is PCI Express', () => {
    const { it: fn } = made();
    const at = fn.readConfig(0x34, 1);
    expect(fn.readConfig(at, 1)).toBe(0x11);
    expect(fn.readConfig(at + 2, 2) + 1).toBe(9);
    expect(fn.readConfig(at + 4, 4)).toBe(3);
    expect(fn.readConfig(at + 8, 4)).toBe(0x2003);
    expect(fn.readConfig(fn.readConfig(at + 1, 1), 1)).toBe(0x10);
  });

  it('lets a guest write some bits only, and passes the command register and MSI-X control on', async () => {
    const { it: fn, told } = made();
    await fn.writeConfig(0, 4, 0);
    await fn.writeConfig(COMMAND, 4, 0xffff_ffff);
    expect(fn.readConfig(0, 4)).toBe(0x1889_8086);
    expect(fn.readConfig(COMMAND, 4)).toBe(0x0010_0546);
    await fn.writeConfig(CONTROL + 1, 1, 0xff);
    expect(fn.readConfig(CONTROL, 2)).toBe(ENABLE | MASK_ALL | 8);
    expect(told).toEqual(['region 7 at 4: 4605', 'region 7 at 66: 08c0']);
    await expect(fn.writeConfig(4095, 2, 0)).rejects.toThrow(RangeError);
    expect(() => fn.readConfig(4096, 1)).toThrow('configuration space has 4096');
  });

  it('refuses BARs that cannot be', () => {
    const bars = (...sizes: [number, 32 | 64][]) => sizes.map(([size, bits]) => ({ size, bits }));
    expect(() => made({ bars: bars([3000, 32]) })).toThrow(
      'BAR 0: expected a power of 2 from 16 on, got 3000',
    );
    expect(() => made({ bars: bars([4096, 64], [4096, 32]) })).toThrow('BAR 0: no room for its 64 bits');
    expect(() => made({ bars: bars([64, 32]) })).toThrow(
      'BAR 0 has no room for the MSI-X table of 9 vectors',
    );
    expect(() => made({ bars: [] })).toThrow('no room for the MSI-X table');
  });
});

describe('MSI-X', () => {
  it('sends what the guest has set up, and nothing while it is off', async () => {
    const { it: fn, told } = made();
    expect(fn.trigger(3)).toBe('dropped');
    await enumerated(fn);
    told.length = 0;
    expect(fn.trigger(3)).toBe('sent');
    expect(told).toEqual(['vector 3: fee00003 103']);
    expect(() => fn.trigger(9)).toThrow('vector 9: the MSI-X table has 9');
  });

  it('keeps a masked vector pending, once, and sends it when it is unmasked', async () => {
    const { it: fn, told } = made();
    await enumerated(fn);
    told.length = 0;
    fn.msix!.write(16 * 8, entry(8, true));
    expect([fn.trigger(8), fn.trigger(8)]).toEqual(['pending', 'pending']);
    expect(fn.msix!.pba).toEqual(Uint8Array.of(0, 1));
    fn.msix!.write(16 * 8 + 12, new Uint8Array(4));
    expect(told).toEqual(['vector 8: fee00008 108']);
    expect(fn.msix!.pba).toEqual(Uint8Array.of(0, 0));
  });

  it('keeps all while the function is masked', async () => {
    const { it: fn, told } = made();
    await enumerated(fn);
    await fn.writeConfig(CONTROL, 2, ENABLE | MASK_ALL);
    fn.trigger(1);
    fn.trigger(2);
    fn.msix!.write(16 * 2, entry(2, true));
    told.length = 0;
    await fn.writeConfig(CONTROL, 2, ENABLE);
    expect(told).toEqual(['region 7 at 66: 0880', 'vector 1: fee00001 101']);
    expect(fn.msix!.pba).toEqual(Uint8Array.of(4, 0));
  });

  it('leaves every vector masked after a reset', async () => {
    const { it: fn } = made();
    await fn.writeConfig(CONTROL, 2, ENABLE);
    expect(fn.trigger(0)).toBe('pending');
  });
});

describe('a migration', () => {
  it('carries all of it, and tells the device by writes in the order of QEMU', async () => {
    const source = made();
    await enumerated(source.it);
    source.it.msix!.write(16 * 5, entry(5, true));
    source.it.trigger(5);
    const packet = configPacket(source.it.saveConfig());
    const { it: fn, told } = made();
    parseConfigPacket(packet, fn.configParser());
    expect(told).toEqual([]);
    await fn.replay();
    expect(told).toEqual(['region 7 at 4: 0604', 'region 7 at 66: 0880']);
    expect(fn.readConfig(BAR0, 4)).toBe(0xe000_000c);
    expect(fn.saveConfig()).toEqual(source.it.saveConfig());
    fn.msix!.write(16 * 5, entry(5));
    expect(told.at(-1)).toBe('vector 5: fee00005 105');
  });

  it('sends at once what is pending and not masked', async () => {
    const source = made();
    await enumerated(source.it);
    await source.it.writeConfig(CONTROL, 2, ENABLE | MASK_ALL);
    source.it.trigger(4);
    const bytes = source.it.saveConfig();
    // The control's high byte, in config space behind the version.
    bytes[4 + CONTROL + 1] = ENABLE >> 8;
    const { it: fn, told } = made();
    parseWhole(bytes, fn.configParser());
    await fn.replay();
    expect(told.at(-1)).toBe('vector 4: fee00004 104');
  });

  it('leaves MSI-X off that was off', async () => {
    const { it: fn, told } = made();
    parseWhole(made().it.saveConfig(), fn.configParser());
    await fn.replay();
    expect(told).toEqual(['region 7 at 4: 0000']);
  });

  const other = (bar: number, change: object) =>
    BARS.map((each, index) => (index === bar ? { ...each, ...change } : each));

  it.each<[string, Partial<Pci>, string]>([
    ['a BAR of another kind', { bars: other(0, { prefetchable: false }) }, 'BAR 0 is 0x00000038e000000c'],
    ['a BAR of another width', { bars: other(3, { bits: 32 }) }, 'BAR 3 is 0xe0020004'],
    [
      'a BAR of more bytes',
      { bars: other(3, { size: 0x4_0000 }) },
      'BAR 3 is 0x00000000e0020004 on the source and has 262144 bytes and 64 bits here',
    ],
    [
      'a BAR that the source has not',
      { bars: other(2, { size: 4096, bits: 32, prefetchable: true }) },
      'BAR 2 is',
    ],
    [
      'fewer vectors',
      { msixVectors: 8 },
      'the size of the MSI-X table is 0x8008 on the source and 0x0007 here',
    ],
  ])('with %s is refused, and changes nothing', async (_what, pci, message) => {
    const source = made();
    await enumerated(source.it);
    const { it: fn } = made(pci);
    const before = fn.saveConfig();
    const load = () => parseWhole(source.it.saveConfig(), fn.configParser(), 'in x');
    expect(load).toThrow(message);
    expect(load).toThrow(VmStateError);
    expect(fn.saveConfig()).toEqual(before);
  });

  it('is refused for another device', () => {
    const { it: fn } = made({}, { ...E810, device: 0x1592 });
    expect(() => parseWhole(made().it.saveConfig(), fn.configParser())).toThrow(
      'VFIOPCIDevice cannot be taken over: the device id is 0x1889 on the source and 0x1592 here',
    );
  });

  it('of a mock without configuration space tells it nothing, and any other failure comes through', async () => {
    const { it: fn, told, device } = made();
    const failing = (code: string) => () => {
      throw new DeviceError(code, 'no such region');
    };
    device.readRegion = failing('EINVAL');
    await fn.replay();
    expect(told).toEqual([]);
    device.readRegion = failing('EIO');
    await expect(fn.replay()).rejects.toThrow('EIO');
  });
});
