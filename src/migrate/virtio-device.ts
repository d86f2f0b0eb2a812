import { createHash } from 'node:crypto';
import type { TraceEvent } from '../trace/event.js';
import { DeviceError, refusalOf } from '../uapi/device.js';
import type { VhostRegion } from '../uapi/vhost-backend.js';
import { recordedBackend, VhostDevice, type VirtioState } from '../vhost/index.js';
import type { VmStateEntry } from '../vmstate/index.js';
import type { Chronicle } from './chronicle.js';
import type { OwnLog } from './dirty/joined-tracker.js';
import type { PageBitmap } from './dirty/page-bitmap.js';
import type { BackEndWrite, VhostMachine } from './machine.js';
import type { DeviceBody } from './vfio-device.js';
import { VirtioStateSection } from './virtio-state.js';

export interface VirtioDeviceOptions {
  readonly name: string;
  readonly machine: VhostMachine;
  readonly regions: readonly VhostRegion[];
  readonly chronicle: Chronicle;
  /** Told before the VMM itself writes guest memory, in the place of the device. */
  beforeWrite(address: number, length: number): void;
}

const PAGE = 4096;
/** Where memory that only VMM and back end know has its user addresses: above those of guest RAM. */
const OWN_MEMORY = 2 ** 46;

/**
 * One virtio device as the VMM drives it: its back end starts and stops with the VM, its log is one of the VM's
 * dirty logs, and what the guest has made of it crosses as a section of its own.
 */
export class VirtioDevice {
  readonly name: string;
  readonly machine: VhostMachine;
  readonly vhost: VhostDevice;
  readonly #chronicle: Chronicle;
  readonly #section: VirtioStateSection;
  /** Queues whose used buffers the guest has not heard of. */
  readonly #calls = new Set<number>();
  /** Writes that were told since the log was last read. */
  readonly #told = new Set<string>();
  #vmRuns = false;
  #nextAddress = OWN_MEMORY;
  /** Starts and stops one after another: a driver may be ready while the VM stops. */
  #turn: Promise<void> = Promise.resolve();
  #digest: string | null = null;

  constructor(options: VirtioDeviceOptions) {
    const { name, machine, regions, chronicle } = options;
    this.name = name;
    this.machine = machine;
    this.#chronicle = chronicle;
    const backend = recordedBackend(machine.backend, {
      host: chronicle.host,
      device: name,
      emit: (event) => this.#tellRequest(event),
    });
    this.vhost = new VhostDevice({
      backend,
      regions,
      allocate: (bytes) => this.#allocate(bytes),
      call: (index) => this.#calls.add(index),
      settle: () => machine.tick(),
      broken: (index, { message }) =>
        this.tell({ kind: 'guest_check', works: false, what: `ring ${index} is broken: ${message}` }),
      beforeWrite: (address, length) => options.beforeWrite(address, length),
      tell: (event) => this.tell(event as DeviceBody),
    });
    const features = machine.driverFeatures;
    this.#section = new VirtioStateSection(name, { regions, queues: backend.queues, features });
  }

  /** Tells an event about this device. */
  tell(body: DeviceBody): void {
    this.#chronicle.tell({ ...body, device: this.name } as Parameters<Chronicle['tell']>[0]);
  }

  /** The base of a shadow virtqueue is not that of the guest's ring. */
  #tellRequest({ host: _host, ...body }: TraceEvent): void {
    const shadow = body.kind === 'vring_base' && this.vhost.isShadowed(body.index) ? { shadow: true } : {};
    this.#chronicle.tell({ ...body, ...shadow } as Parameters<Chronicle['tell']>[0]);
  }

  #allocate(bytes: number) {
    const address = this.#nextAddress;
    this.#nextAddress += Math.ceil(bytes / PAGE) * PAGE;
    return { bytes: new Uint8Array(bytes), address };
  }

  async open(): Promise<void> {
    this.tell({ kind: 'vhost_open', interface: this.machine.backend.interface });
    await this.vhost.open();
  }

  /** Sections that cross for this device. */
  get states(): readonly VmStateEntry[] {
    return [this.#section.entry, ...this.machine.states];
  }

  /** The guest's driver has set the device up, perhaps after a reset: what ran before is at its end. */
  driverOk(state: VirtioState): void {
    void this.#inTurn(async () => {
      await refusalOf(() => this.vhost.stop());
      this.vhost.state = state;
      if (this.#vmRuns) await this.vhost.start();
    }).catch((error) => this.#tellBroken(error));
  }

  /** The device does not work for the guest any more, and nobody waits for its answer. */
  #tellBroken(error: unknown): void {
    if (!(error instanceof DeviceError)) throw error;
    this.tell({ kind: 'guest_check', works: false, what: error.message });
  }

  /** Tells a write while writes are logged: the first one of each kind to a page since the log was last read. */
  wrote({ index, what, address, length }: BackEndWrite): void {
    if (!this.vhost.isLogging) return;
    const first = Math.floor(address / PAGE);
    const last = Math.floor((address + length - 1) / PAGE);
    const key = `${index} ${what} ${first} ${last}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.tell({ kind: 'vhost_write', index, what, address: `0x${address.toString(16)}`, length });
  }

  kick(index: number): void {
    this.vhost.kick(index);
  }

  /** The VM starts. What was loaded goes to the back end first. @throws DeviceError of the back end */
  async start(): Promise<void> {
    this.#vmRuns = true;
    const loaded = this.#section.take();
    if (loaded !== null) {
      this.vhost.state = loaded.state;
      this.vhost.control.replace(loaded.control);
      this.vhost.pendingState = loaded.backend;
    }
    await this.#inTurn(() => this.vhost.start());
    if (loaded !== null) this.#remember(this.machine.digest());
  }

  /** The VM stops. @param saves what the device is crosses now */
  async stop(saves: boolean): Promise<void> {
    this.#vmRuns = false;
    let own: string | null = null;
    await this.#inTurn(async () => {
      // A vDPA device is reset by the stop.
      own = this.machine.digest();
      await this.vhost.stop();
    });
    if (!saves) return;
    if (this.machine.backend.interface !== 'vdpa') own = this.machine.digest();
    const backend = await this.vhost.saveState();
    const { state, control } = this.vhost;
    this.#section.put(state === null ? null : { state, control: control.commands(), backend });
    this.#remember(own);
  }

  /** @param own digest of what the device itself keeps */
  #remember(own: string | null): void {
    const { state } = this.vhost;
    const rings = state?.rings.map(({ index, size, base, parts }) => [
      index,
      size,
      base,
      parts.desc,
      parts.avail,
      parts.used,
    ]);
    const facts = [String(state?.features), state?.controlQueue, rings];
    this.#digest = createHash('sha256')
      .update(JSON.stringify(facts))
      .update(own ?? '')
      .digest('hex');
  }

  /** Of what crosses, as it was at the stop on the source and before the start on the destination. */
  digest(): string | null {
    return this.#digest;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** The migration begins: a device without a log runs on shadow virtqueues. */
  migrationBegins(): Promise<void> {
    return this.#inTurn(() => this.vhost.setShadow(true));
  }

  /** The migration is over, and the VM stays here. A device that does not start again is told, and the VM goes on. */
  async migrationEnds(): Promise<void> {
    try {
      await this.#inTurn(() => this.vhost.setShadow(false));
    } catch (error) {
      this.#tellBroken(error);
    }
  }

  /** The log of the back end's writes, as one of the VM's dirty logs. */
  get log(): OwnLog {
    return {
      start: () => this.vhost.startLog(),
      stop: async () => {
        // The migration is over either way; the request that was refused stands in the trace.
        await refusalOf(() => this.vhost.stopLog());
      },
      sync: (into: PageBitmap) => {
        this.#told.clear();
        return into.mergeFrom(this.vhost.readLog(!this.#vmRuns));
      },
    };
  }

  /** Hardware time goes by, and the guest's driver hears what was used. */
  run(): void {
    this.machine.tick();
    const { guest } = this.machine;
    if (guest === null) return;
    for (const index of this.#calls) guest.interrupt?.(index);
    this.#calls.clear();
    guest.run();
  }
}
