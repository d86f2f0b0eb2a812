import { runState, vmPhases } from '../machines/index.js';
import { DeviceError, type IoAddressSpace } from '../uapi/device.js';
import type { RunState } from '../uapi/qemu.js';
import type { VhostRegion } from '../uapi/vhost-backend.js';
import type { VmStateEntry } from '../vmstate/index.js';
import { Chart } from './chart.js';
import type { Chronicle } from './chronicle.js';
import type { DirtyTracker } from './dirty/index.js';
import { JoinedTracker } from './dirty/joined-tracker.js';
import type { DeviceFactory, GuestMemory, MachinePart, VhostFactory, VhostMachine } from './machine.js';
import { PciSlot } from './pci-slot.js';
import { type GuestRam, PAGE_SIZE } from './ram/index.js';
import { type DeviceBody, VfioDevice } from './vfio-device.js';
import { VirtioDevice } from './virtio-device.js';
import { Workload, type WorkloadOptions } from './workload.js';

/** Any device of a VM, with what surrounds it. */
export interface VmDevice {
  readonly name: string;
  readonly machine: MachinePart;
  /** Tells an event about this device. */
  tell(body: DeviceBody): void;
  /** A digest of its state, to compare two sides; null: cannot be known. */
  digest(): string | null;
}

/** A device to be: behind VFIO, or virtio with a vhost back end. */
export type VmDeviceOptions = { readonly name: string } & (
  | { readonly factory: DeviceFactory }
  | { readonly vhost: VhostFactory }
);

/** What a VM is made of. */
export interface VmOptions {
  /** Machine type, as the stream's configuration section carries it. */
  readonly type: string;
  readonly ram: GuestRam;
  readonly devices: readonly VmDeviceOptions[];
  /** Guest RAM as vhost back ends are given it; needed when there are any. */
  readonly sharedRam?: Uint8Array;
  readonly workload: Omit<WorkloadOptions, 'start'>;
  /** Trackers of the writes of vCPUs, and of devices. */
  readonly cpuTracker: DirtyTracker;
  /** Made when the devices are: device DMA logging is a part of them. */
  readonly deviceTracker: (devices: readonly VfioDevice[]) => DirtyTracker;
  readonly chronicle: Chronicle;
}

/** RAM of each driver, behind what firmware and kernel would have. */
const DRIVER_RAM = { start: 16 << 20, size: 8 << 20 } as const;
const SLICE = 1;
/** User address of guest RAM, as back ends of this process are told it. */
const RAM_ADDRESS = 2 ** 45;

type DriverRam = { readonly start: number; readonly size: number };

/** Where a machine with so many devices has its drivers' memory and its workload's; bytes. */
export function memoryMap(devices: number): {
  driver(index: number): number;
  size: number;
  workload: number;
} {
  return {
    driver: (index) => DRIVER_RAM.start + index * DRIVER_RAM.size,
    size: DRIVER_RAM.size,
    workload: DRIVER_RAM.start + devices * DRIVER_RAM.size,
  };
}

/** A VM: RAM, VFIO and virtio devices, what the guest runs, and the order in which all of it starts and stops. */
export class VirtualMachine {
  readonly type: string;
  readonly ram: GuestRam;
  readonly devices: readonly VfioDevice[];
  readonly virtio: readonly VirtioDevice[];
  /** All devices, in the order of their slots. */
  readonly parts: readonly VmDevice[];
  readonly workload: Workload;
  readonly chronicle: Chronicle;
  readonly cpuTracker: DirtyTracker;
  readonly deviceTracker: DirtyTracker;
  runState: RunState;
  /** vCPUs run. */
  running = false;
  /** Share of guest time that auto-converge takes away, 0 to 0.99. */
  throttle = 0;
  /** Called before a page of RAM is written, by whomever. */
  beforeWrite: ((page: number) => void) | null = null;
  /** Post-copy: whether a page is still to come. */
  absent: ((page: number) => boolean) | null = null;
  /** Post-copy: the guest waits for this page. */
  onFault: (page: number) => void = () => {};
  /** vCPUs have started or stopped. */
  onRunning: (running: boolean) => void = () => {};
  readonly #runStateChart: Chart;
  readonly #phases: Chart;
  /** Of the VFIO devices. */
  readonly #slots: PciSlot[] = [];
  #timer: NodeJS.Timeout | null = null;
  #lastSlice = 0;

  constructor(options: VmOptions) {
    const { chronicle, ram } = options;
    this.type = options.type;
    this.ram = ram;
    this.chronicle = chronicle;
    this.cpuTracker = options.cpuTracker;
    const map = memoryMap(options.devices.length);
    const memory = this.#guestMemory();
    const regions = this.#regions(options.sharedRam);
    this.parts = options.devices.map((device, index) => {
      const driverRam = { start: map.driver(index), size: map.size };
      return 'factory' in device
        ? this.#makeVfio(device, memory, driverRam)
        : this.#makeVirtio(device, memory, driverRam, regions);
    });
    this.devices = this.parts.filter((part) => part instanceof VfioDevice);
    this.virtio = this.parts.filter((part) => part instanceof VirtioDevice);
    const tracker = options.deviceTracker(this.devices);
    const logs = this.virtio.map(({ log }) => log);
    this.deviceTracker = logs.length === 0 ? tracker : new JoinedTracker(tracker, logs);
    this.workload = new Workload(memory, { ...options.workload, start: map.workload });
    this.runState = 'prelaunch';
    this.#runStateChart = new Chart(runState(), chronicle.host);
    this.#phases = new Chart(vmPhases(), chronicle.host);
  }

  /** Opens the devices. Before it nothing else can be done. */
  async open(): Promise<void> {
    for (const device of this.devices) await device.open();
    for (const device of this.virtio) await device.open();
  }

  #makeVfio(
    { name, factory }: { name: string; factory: DeviceFactory },
    memory: GuestMemory,
    driverRam: DriverRam,
  ): VfioDevice {
    let made: VfioDevice | null = null;
    const pciSlot = new PciSlot(name);
    const machine = factory({ name, memory, ...pciSlot.lent, ioas: this.#ioas(() => made), driverRam });
    made = new VfioDevice(machine, pciSlot.plug(machine), this.chronicle);
    this.#slots.push(pciSlot);
    return made;
  }

  #makeVirtio(
    { name, vhost }: { name: string; vhost: VhostFactory },
    memory: GuestMemory,
    driverRam: DriverRam,
    regions: readonly VhostRegion[],
  ): VirtioDevice {
    let made: VirtioDevice | null = null;
    const machine: VhostMachine = vhost({
      name,
      memory,
      driverRam,
      regions,
      driverOk: (state) => made!.driverOk(state),
      kick: (index) => made!.kick(index),
      wrote: (write) => made!.wrote(write),
    });
    const beforeWrite = (address: number, length: number) => this.#beforeWrite(address, length);
    made = new VirtioDevice({ name, machine, regions, chronicle: this.chronicle, beforeWrite });
    return made;
  }

  /** All RAM as one region. @throws TypeError when RAM is not shared */
  #regions(bytes: Uint8Array | undefined): readonly VhostRegion[] {
    if (bytes === undefined) return [];
    const beforeWrite = (offset: number, length: number) => this.#beforeWrite(offset, length);
    return [{ gpa: 0, size: bytes.length, uaddr: RAM_ADDRESS, offset: 0, memory: { bytes, beforeWrite } }];
  }

  /** States that cross as FULL sections of their own, but for the devices' VFIO sections. */
  get states(): readonly VmStateEntry[] {
    const parts = this.devices.flatMap(({ machine }, index) => [
      ...machine.states,
      ...this.#slots[index]!.states,
    ]);
    return [this.workload.state, ...parts, ...this.virtio.flatMap(({ states }) => states)];
  }

  #guestMemory(): GuestMemory {
    const { ram } = this;
    return {
      size: ram.size,
      read: (address, into) => ram.read(address, into),
      write: (address, bytes) => {
        this.#beforeWrite(address, bytes.length);
        ram.write(address, bytes);
        this.cpuTracker.mark(address, bytes.length);
      },
    };
  }

  /** What a device reaches by DMA. The first write after each change of its state is told, and each that may not be. */
  #ioas(device: () => VfioDevice | null): IoAddressSpace {
    const { ram } = this;
    let told: string | null = null;
    const tell = (iova: number, length: number) => {
      const it = device();
      if (it === null) return;
      const { state } = it;
      if (state === told && (state === 'RUNNING' || state === 'PRE_COPY')) return;
      told = state;
      it.tell({ kind: 'dma_write', iova: `0x${iova.toString(16)}`, length });
    };
    const check = (iova: number, length: number) => {
      if (Number.isSafeInteger(iova) && iova >= 0 && iova + length <= ram.size) return;
      throw new DeviceError('EFAULT', `no memory is mapped at 0x${iova.toString(16)}`);
    };
    return {
      read: (iova, into) => {
        check(iova, into.length);
        ram.read(iova, into);
      },
      write: (iova, bytes) => {
        check(iova, bytes.length);
        tell(iova, bytes.length);
        this.#beforeWrite(iova, bytes.length);
        ram.write(iova, bytes);
        this.deviceTracker.mark(iova, bytes.length);
      },
    };
  }

  #beforeWrite(address: number, length: number): void {
    const { beforeWrite } = this;
    if (beforeWrite === null) return;
    for (let page = Math.floor(address / PAGE_SIZE); page * PAGE_SIZE < address + length; page++)
      beforeWrite(page);
  }

  setRunState(to: RunState): void {
    const from = this.runState;
    if (from === to) return;
    this.#runStateChart.take(`RUN.${from}.${to}`);
    this.runState = to;
    this.chronicle.tell({ kind: 'run_state', from, to });
  }

  /**
   * Stops the VM: vCPUs, then all devices to their P2P states, then all to their last.
   * @param to the RunState, which is also the reason that the devices are told
   * @throws DeviceError of the first device that failed; the others were stopped all the same
   */
  async stop(to: RunState): Promise<void> {
    this.setRunState(to);
    if (!this.running) return;
    this.running = false;
    this.#halt();
    this.onRunning(false);
    await this.#phasesOf(false, to);
    this.chronicle.tell({ kind: 'qmp_stop' });
  }

  /** Back ends start before devices do, and stop before them. */
  async #turnVirtio(running: boolean, reason: string): Promise<unknown[]> {
    const failures: unknown[] = [];
    for (const device of this.virtio) {
      try {
        await (running ? device.start() : device.stop(reason === 'finish-migrate'));
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }

  /**
   * Starts the VM: all devices to their P2P states, then all to RUNNING, then vCPUs.
   * @param options.evenIfDevicesFail vCPUs run also when a device had to be reset
   * @throws DeviceError of the first device that failed: then vCPUs do not run
   */
  async start(options: { evenIfDevicesFail?: boolean } = {}): Promise<void> {
    this.chronicle.tell({ kind: 'qmp_resume' });
    this.setRunState('running');
    try {
      await this.#phasesOf(true, 'running');
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      if (options.evenIfDevicesFail !== true) {
        await this.#takeBackStart();
        throw error;
      }
    }
    this.running = true;
    this.onRunning(true);
    this.#lastSlice = performance.now();
    this.#schedule();
  }

  /** A start has failed before a vCPU ran: devices that run already stop again. */
  async #takeBackStart(): Promise<void> {
    this.setRunState('paused');
    try {
      await this.#phasesOf(false, 'paused');
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
    this.chronicle.tell({ kind: 'qmp_stop' });
  }

  async #phasesOf(running: boolean, reason: string): Promise<void> {
    const failures: unknown[] = [];
    if (!running)
      for (const { pci } of this.devices) await pci.settled().catch((error) => failures.push(error));
    const each = async (phase: 'prepare' | 'change', event: string | null) => {
      const order = running ? this.devices : this.devices.toReversed();
      for (const device of order) {
        if (event !== null && (phase === 'change' || device.capabilities.p2p)) this.#phases.take(event);
        try {
          await device[phase](running, reason);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    this.chronicle.tell({ kind: 'vm_state', running, reason });
    const event = running ? 'VM.start' : 'VM.stop';
    this.#phases.take(event);
    for (const device of this.devices) {
      device.source.take(event);
      if (running) device.destination.take(event);
    }
    failures.push(...(await this.#turnVirtio(running, reason)));
    await each('prepare', 'PREPARE');
    await each('change', 'CHANGE');
    if (failures.length > 0) throw failures[0];
  }

  /** Ends whatever runs on timers, without a word to the devices. */
  dispose(): void {
    this.running = false;
    this.#halt();
  }

  #halt(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #schedule(): void {
    const pause = this.throttle > 0 ? (SLICE * this.throttle) / (1 - this.throttle) : 0;
    this.#timer = setTimeout(() => this.#slice(), SLICE + pause);
  }

  /** A slice of guest time, and of the devices' hardware. */
  #slice(): void {
    if (!this.running) return;
    const now = performance.now();
    const elapsed = now - this.#lastSlice;
    this.#lastSlice = now;
    for (const [index, { machine }] of this.devices.entries()) {
      machine.tick();
      if (machine.guest !== null) this.#slots[index]!.run(machine.guest);
    }
    for (const device of this.virtio) device.run();
    const waits = this.workload.run(elapsed * (1 - this.throttle), this.absent ?? undefined);
    if (waits !== null) this.onFault(waits);
    this.#schedule();
  }
}
