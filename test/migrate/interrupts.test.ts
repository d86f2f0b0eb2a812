import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type E810VfFactoryOptions, e810VfFactory, Uart } from '../../devices/index.js';
import { migrateFlags } from '../../src/cli/commands/migrate.js';
import { parametersOf } from '../../src/cli/migrate/machine.js';
import { Chronicle } from '../../src/migrate/chronicle.js';
import { dirtyTracker } from '../../src/migrate/dirty/index.js';
import type { GuestBooks, MachineDevice, Slot } from '../../src/migrate/index.js';
import { InterruptRequests } from '../../src/migrate/interrupt-requests.js';
import type { PciSlot } from '../../src/migrate/pci-slot.js';
import { GuestRam } from '../../src/migrate/ram/index.js';
import { memoryMap, VirtualMachine } from '../../src/migrate/virtual-machine.js';
import { parseWhole } from '../../src/stream/index.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { DeviceError, MSIX_CONTROL, MSIX_ENTRY, X86_MSI } from '../../src/uapi/index.js';
import { MAC } from '../devices/e810-fixture.js';
import { transfer } from '../devices/e810-lab.js';
import { type MachineSlot, machineSlot, moveFunction, plugged } from '../devices/machine-slot.js';
import { type Host, judged, migrate, migration } from './two-sides.js';

const TIMEOUT = 60_000;
const VECTORS = 3;
const CONTROL = 0x42;
const { ENABLE, MASK_ALL } = MSIX_CONTROL;
const NAME = '0000:00:04.0';

/** An entry of the MSI-X table. */
function entry(vector: number, { masked = false, address = X86_MSI.BASE as bigint } = {}): Uint8Array {
  const bytes = Buffer.alloc(MSIX_ENTRY.SIZE);
  bytes.writeBigUInt64LE(address, MSIX_ENTRY.ADDRESS);
  bytes.writeUInt32LE(vector, MSIX_ENTRY.DATA);
  bytes.writeUInt32LE(masked ? MSIX_ENTRY.MASKED : 0, MSIX_ENTRY.CONTROL);
  return bytes;
}

/** A machine with one device, whose interrupts are raised by hand, and a guest that takes them. */
class Bell {
  readonly told: number[] = [];
  readonly vm: VirtualMachine;
  readonly device = new Uart(NAME);
  slot!: Slot;
  /** What the guest does in its next run. */
  next: ((pci: Slot['pci']) => void) | null = null;
  /** Vectors that the device raises when the VM has stopped. */
  late: number[] = [];
  #runs = 0;

  constructor(host: string, events: TraceEvent[]) {
    const ram = new GuestRam(memoryMap(1).workload + (1 << 20));
    const pages = ram.size / 4096;
    const setState = this.device.setState.bind(this.device);
    this.device.setState = (to) => {
      const fd = setState(to);
      if (to === 'STOP_COPY' || to === 'STOP') for (const vector of this.late.splice(0)) this.raise(vector);
      return fd;
    };
    this.vm = new VirtualMachine({
      type: 'bell',
      ram,
      devices: [{ name: NAME, factory: (slot) => this.#machine(slot) }],
      workload: { pagesPerSecond: 100, pages: 16, seed: 1 },
      cpuTracker: dirtyTracker('kvm-auto', { pages }),
      deviceTracker: () => dirtyTracker('iommu', { pages }),
      chronicle: new Chronicle(host, (event) => events.push(event)),
    });
  }

  #machine(slot: Slot): MachineDevice {
    this.slot = slot;
    const books = () => ({ framesReceived: this.#runs, framesOnWire: this.#runs, complaints: [] });
    return {
      device: this.device,
      model: 'bell',
      requirements: {},
      pci: { msixVectors: VECTORS, bars: [{ size: 4096, bits: 32 }] },
      tick: () => {},
      guest: {
        run: () => {
          this.#runs++;
          this.next?.(slot.pci);
          this.next = null;
        },
        interrupt: (vector) => this.told.push(vector),
        isUp: true,
        books: () => books() as unknown as GuestBooks,
      },
      states: [],
      macs: () => [],
      announce: () => {},
      digest: () => null,
    };
  }

  raise(vector: number): void {
    this.slot.interrupt(vector);
  }

  /** The guest does something, and runs on for a little while. */
  async guest(what: (pci: Slot['pci']) => void = () => {}): Promise<void> {
    this.next = what;
    while (this.next !== null) await sleep(1);
    await sleep(4);
  }
}

const setUp = (pci: Slot['pci']): void => {
  for (let vector = 0; vector < VECTORS; vector++)
    pci.writeMsixTable(MSIX_ENTRY.SIZE * vector, entry(vector));
  pci.writeConfig(CONTROL, 2, ENABLE);
};
const mask = (vector: number, masked: boolean) => (pci: Slot['pci']) =>
  pci.writeMsixTable(MSIX_ENTRY.SIZE * vector, entry(vector, { masked }));

/** Both sides of a migration; `before` is what happens on the source. */
async function moved(before: (from: Bell) => Promise<void>, options: readonly string[] = []) {
  const events: TraceEvent[] = [];
  const [from, to] = [new Bell('source', events), new Bell('destination', events)];
  const host = (bell: Bell): Host =>
    ({ vm: bell.vm, flags: migrateFlags([...options, '--patience', '2000']), events }) as unknown as Host;
  for (const { vm } of [from, to]) await vm.open();
  await from.vm.start();
  await before(from);
  for (const { vm } of [from, to])
    for (const name of parametersOf(host(from).flags).capabilities)
      vm.chronicle.tell({ kind: 'capability', name, on: true });
  const { report } = await migrate(host(from), host(to));
  expect(report).toMatchObject({ outcome: 'completed', error: null });
  expect(judged(events).broken).toEqual([]);
  return {
    from,
    to,
    [Symbol.dispose]: () => {
      for (const { vm } of [from, to]) vm.dispose();
    },
  };
}

describe('an interrupt of a device in a VM', () => {
  async function running(): Promise<Bell> {
    const bell = new Bell('source', []);
    await bell.vm.open();
    await bell.vm.start();
    await bell.guest(setUp);
    return bell;
  }

  test('reaches the driver by the table that the guest has set up', async () => {
    const bell = await running();
    bell.raise(2);
    await bell.guest((pci) => pci.writeMsixTable(MSIX_ENTRY.SIZE, entry(77)));
    bell.raise(1);
    await bell.guest();
    expect(bell.told).toEqual([2, 77]);
    expect(() => bell.raise(VECTORS)).toThrow('vector 3: the MSI-X table has 3');
    bell.vm.dispose();
  });

  test('that is written elsewhere than to an interrupt controller is none', async () => {
    const bell = await running();
    await bell.guest((pci) => pci.writeMsixTable(0, entry(0, { address: 0x1000n })));
    bell.raise(0);
    await bell.guest();
    expect(bell.told).toEqual([]);
    const requests = new InterruptRequests();
    const end = X86_MSI.BASE + X86_MSI.SIZE;
    expect([end - 1n, end].map((address) => requests.accept({ address, data: 255 }))).toEqual([true, false]);
    expect([requests.take(), requests.take()]).toEqual([[255], []]);
    bell.vm.dispose();
  });

  test('is dropped before MSI-X is on, and waits while its vector or the function is masked', async () => {
    const bell = new Bell('source', []);
    await bell.vm.open();
    await bell.vm.start();
    bell.raise(1);
    await bell.guest((pci) => {
      setUp(pci);
      mask(1, true)(pci);
    });
    bell.raise(1);
    await bell.guest();
    expect(bell.told).toEqual([]);
    await bell.guest((pci) => {
      pci.writeConfig(CONTROL, 2, ENABLE | MASK_ALL);
      mask(1, false)(pci);
    });
    expect(bell.told).toEqual([]);
    await bell.guest((pci) => pci.writeConfig(CONTROL, 2, ENABLE));
    expect(bell.told).toEqual([1]);
    bell.vm.dispose();
  });

  test('waits while vCPUs stand still, and comes once', async () => {
    const bell = await running();
    await bell.vm.stop('paused');
    bell.raise(1);
    bell.raise(1);
    await sleep(10);
    expect(bell.told).toEqual([]);
    await bell.vm.start();
    await bell.guest();
    expect(bell.told).toEqual([1]);
    bell.vm.dispose();
  });

  test('can be had by nobody whose device refuses the write that turns it on, and the VMM says so', async () => {
    const bell = new Bell('source', []);
    bell.device.readRegion = () => new Uint8Array(2);
    bell.device.writeRegion = () => {
      throw new DeviceError('EIO', 'the device does not answer');
    };
    await bell.vm.open();
    await bell.vm.start();
    await bell.guest((pci) => {
      setUp(pci);
      expect(pci.readConfig(CONTROL, 2)).toBe(ENABLE | (VECTORS - 1));
      expect(() => pci.writeConfig(4095, 2, 0)).toThrow(RangeError);
      expect(() => pci.writeMsixTable(MSIX_ENTRY.SIZE * VECTORS, entry(0))).toThrow(RangeError);
    });
    await expect(bell.vm.stop('paused')).rejects.toThrow('the device does not answer');
    expect(bell.vm.devices[0]!.state).toBe('STOP');
    await bell.vm.start();
    await bell.vm.stop('paused');
    bell.vm.dispose();
  });
});

describe.each([
  ['in the stream', []],
  ['in multifd packets', ['--capability', 'multifd', '--multifd-channels', '2']],
] as const)('a migration, configuration %s', (_name, options) => {
  test('of a masked vector: it waits on the destination, and comes when it is unmasked', {
    timeout: TIMEOUT,
  }, async () => {
    using sides = await moved(async (from) => {
      await from.guest(setUp);
      await from.guest(mask(1, true));
      from.raise(1);
    }, options);
    const { from, to } = sides;
    await to.guest();
    expect([from.told, to.told]).toEqual([[], []]);
    await to.guest(mask(1, false));
    expect([from.told, to.told]).toEqual([[], [1]]);
  });

  test('of what has come after the last vCPU stopped: the destination takes it, once', {
    timeout: TIMEOUT,
  }, async () => {
    using sides = await moved(async (from) => {
      await from.guest(setUp);
      from.raise(0);
      await from.guest();
      from.late = [2, 1, 2];
    }, options);
    const { from, to } = sides;
    await to.guest();
    expect([from.told, to.told]).toEqual([[0], [1, 2]]);
    to.raise(0);
    await to.guest();
    expect(to.told).toEqual([1, 2, 0]);
  });

  test('of MSI-X that is off: what came is lost, and it stays off', { timeout: TIMEOUT }, async () => {
    using sides = await moved(async (from) => {
      await from.guest((pci) => {
        setUp(pci);
        pci.writeConfig(CONTROL, 2, 0);
      });
      from.raise(1);
      from.late = [1];
    }, options);
    const { to } = sides;
    to.raise(1);
    await to.guest();
    expect(to.told).toEqual([]);
    expect(to.slot.pci.readConfig(CONTROL, 2)).toBe(VECTORS - 1);
  });
});

describe('E810 VFs and their drivers in a VM', () => {
  test('miss no interrupt, and the VF of the destination knows its command register', {
    timeout: TIMEOUT,
  }, async () => {
    const { report, to, events } = await migration(['--generation', 'a', '--vfs', '2', '--precopy']);
    expect(report.devices.map(({ works, books }) => [works, books?.interruptsMissed])).toEqual([
      [true, 0],
      [true, 0],
    ]);
    for (const { device, pci } of to.vm.devices) {
      expect(pci.msixEnabled).toBe(true);
      expect(pci.readConfig(0, 4)).toBe(0x1889_8086);
      expect(await device.readRegion(7, 4, 2)).toEqual(Uint8Array.of(6, 0));
    }
    expect(judged(events).broken).toEqual([]);
  });
});

describe('a guest of a VF that misses an interrupt', () => {
  const base: E810VfFactoryOptions = {
    generation: 'b',
    personality: 'uapi',
    queuePairs: 4,
    hostMac: MAC,
    vsiId: 1,
    seed: 3,
    ringLength: 64,
    churn: 0,
  };
  type Options = Partial<E810VfFactoryOptions>;
  /** Nothing that comes later makes up for an interrupt. */
  const SILENT: Options = { rates: { framesPerTick: 0, framesPerRun: 0 } };

  interface VfHost {
    readonly slot: MachineSlot;
    readonly machine: MachineDevice;
  }
  const host = (options: Options): VfHost => {
    const slot = machineSlot(4 << 20, 1 << 16);
    return { slot, machine: plugged(slot, e810VfFactory({ ...base, ...options })(slot)) };
  };
  const run = ({ slot, machine }: VfHost, slices: number) => {
    for (let slice = 0; slice < slices; slice++) {
      machine.tick();
      slot.bus.run(machine.guest!);
    }
  };
  const books = ({ machine }: VfHost) => machine.guest!.books();

  /** A busy guest moves to a host where it is silent. Returns that host, after many slices. */
  async function silentAfter(
    options: Options,
    how: {
      last?: (from: VfHost) => void;
      inP2p?: (from: VfHost) => void;
      bus?: (from: PciSlot, to: PciSlot) => Promise<void>;
      rates?: Options;
    } = {},
  ): Promise<VfHost> {
    const { rates = SILENT, bus = moveFunction } = how;
    const [from, to] = [host(options), host({ ...options, ...rates })];
    run(from, 100);
    expect(books(from)).toMatchObject({ complaints: [], interruptsMissed: 0 });
    how.last?.(from);
    await from.machine.device.setState('RUNNING_P2P');
    how.inP2p?.(from);
    await from.machine.device.setState('STOP');
    await transfer(from.machine.device, to.machine.device);
    to.slot.ram.set(from.slot.ram);
    for (const [index, { target }] of from.machine.states.entries())
      Object.assign(to.machine.states[index]!.target, structuredClone(target));
    await bus(from.slot.bus, to.slot.bus);
    await to.machine.device.setState('RUNNING_P2P');
    await to.machine.device.setState('RUNNING');
    run(to, 80);
    return to;
  }
  const MISSED = expect.stringMatching(/^vector [1-4]: missed interrupt/);
  const GENERATIONS = [['a'], ['b']] as const;

  test.each(GENERATIONS)('generation %s as the uAPI wants it: never', async (generation) => {
    for (const last of [undefined, (from: VfHost) => from.machine.tick()]) {
      const to = await silentAfter({ generation }, last === undefined ? {} : { last });
      expect(books(to)).toMatchObject({ complaints: [], interruptsMissed: 0, framesLost: 0 });
    }
  });

  test.each(GENERATIONS)(
    'generation %s as published: what waited for its interval is lost',
    async (generation) => {
      const to = await silentAfter({ generation, personality: 'published' });
      expect(books(to).complaints).toContainEqual(MISSED);
      expect(books(to).interruptsMissed).toBeGreaterThan(0);
      expect(books(to)).toMatchObject({ framesLost: 0, framesDuplicated: 0 });
    },
  );

  test.each(GENERATIONS)(
    'generation %s as published: a vector that is enabled in RUNNING_P2P is off for good',
    async (generation) => {
      const how = {
        last: (from: VfHost) => from.machine.tick(),
        inP2p: (from: VfHost) => from.slot.bus.run(from.machine.guest!),
        rates: {},
      };
      const published = await silentAfter({ generation, personality: 'published' }, how);
      expect(books(published).complaints).toContainEqual(MISSED);
      const good = await silentAfter({ generation }, how);
      expect(books(good).complaints).toEqual([]);
    },
  );

  /** The VMM gives over the function's configuration, but for what `lose` takes away. */
  const losing = (lose: (to: PciSlot) => void, requests: boolean) => async (from: PciSlot, to: PciSlot) => {
    parseWhole(from.function.saveConfig(), to.function.configParser());
    lose(to);
    await to.function.replay();
    if (requests) to.requests.requests = from.requests.requests;
  };
  const control = (value: number) => (from: VfHost) => from.slot.pci.writeConfig(CONTROL, 2, value);
  const maskedTick = (from: VfHost) => {
    control(ENABLE | MASK_ALL)(from);
    from.machine.tick();
  };
  /** The guest unmasks the function again on the destination, before it runs. */
  const unmasked =
    (bus: (from: PciSlot, to: PciSlot) => Promise<void>) => async (from: PciSlot, to: PciSlot) => {
      await bus(from, to);
      to.function.postConfig(CONTROL, 2, ENABLE);
    };

  test('a VMM that loses the pending bits of MSI-X', async () => {
    const whole = await silentAfter({}, { last: maskedTick, bus: unmasked(losing(() => {}, true)) });
    expect(books(whole)).toMatchObject({ complaints: [], interruptsMissed: 0 });
    const lost = await silentAfter(
      {},
      { last: maskedTick, bus: unmasked(losing((to) => to.function.msix!.pba.fill(0), true)) },
    );
    expect(books(lost).complaints).toContainEqual(MISSED);
  });

  test('a VMM that loses what no vCPU has taken', async () => {
    const last = (from: VfHost) => from.machine.tick();
    const lost = await silentAfter({}, { last, bus: losing(() => {}, false) });
    expect(books(lost).complaints).toContainEqual(MISSED);
  });

  test('a VMM that loses the MSI-X table', async () => {
    const lost = await silentAfter(
      {},
      { bus: losing((to) => to.function.msix!.table.fill(0), true), rates: {} },
    );
    expect(books(lost).complaints).toContainEqual(MISSED);
    expect(books(lost).framesLost).toBe(0);
  });
});
