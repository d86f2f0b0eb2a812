import { migrationStatus } from '../machines/index.js';
import {
  type BodyParser,
  type ChannelDigest,
  digestParser,
  isDigest,
  parseConfigPacket,
  type SectionItem,
  type StreamItem,
  StreamReader,
  type StreamSink,
} from '../stream/index.js';
import type { Channel } from '../transport/index.js';
import { DeviceError } from '../uapi/device.js';
import { ERRNO } from '../uapi/errno.js';
import type { MigrationStatus, VfioStreamTag } from '../uapi/qemu.js';
import { RAM_SECTION } from '../uapi/qemu-stream.js';
import { loadVmState, type VmStateEntry } from '../vmstate/index.js';
import { Chart } from './chart.js';
import { DeviceReceiver } from './device-receiver.js';
import { MigrationError } from './error.js';
import type { MultifdReceiver } from './multifd-receiver.js';
import type { MigrationParameters } from './parameters.js';
import { PostcopyReceiver } from './postcopy-receiver.js';
import { PAGE_SIZE } from './ram/index.js';
import { RAM_BLOCK } from './ram-sender.js';
import { RamSnapshot } from './ram-snapshot.js';
import { compareRequirements, type Prerequisite, RequirementsState, requirementsOf } from './requirements.js';
import { encodeReturnMessage, type ReturnMessage } from './return-path.js';
import type { VirtualMachine } from './virtual-machine.js';

export interface DestinationOptions {
  readonly vm: VirtualMachine;
  readonly channel: Channel;
  /** Makes the receiver of the multifd channels; null without the capability multifd. */
  readonly multifd: MultifdReceiver | null;
  readonly parameters: MigrationParameters;
  readonly onStatus?: (status: string) => void;
}

/** How a load has ended. */
export interface DestinationOutcome {
  readonly outcome: 'completed' | 'failed';
  readonly error: string | null;
  readonly prerequisites: readonly Prerequisite[];
  /** The RAM as it was when the VM started; null when it did not. */
  readonly snapshot: RamSnapshot | null;
  /** Digests of the devices before the VM started, by name. */
  readonly deviceDigests: ReadonlyMap<string, string | null>;
}

type Started = Pick<DestinationOutcome, 'snapshot' | 'deviceDigests'>;

/**
 * The destination of a migration, from setup to cleanup, in the order of QEMU 11.1. What it does is put to the
 * charts of `src/machines` first: `migration-status`, `run-state`, `vm-phases`, and for each device
 * `vmm-destination` and `vmm-set-state`.
 *
 * Untrusted bytes: the reader checks each length before it is used, nothing of a state is taken over before all
 * of it was read, and the VM starts only when the checksum of the whole stream was right.
 */
export class DestinationMigration implements StreamSink {
  readonly #vm: VirtualMachine;
  readonly #options: DestinationOptions;
  readonly #status: Chart;
  readonly #receivers: ReadonlyMap<string, DeviceReceiver>;
  readonly #states: ReadonlyMap<string, VmStateEntry>;
  readonly #loaded = new Set<string>();
  readonly #requirements = new RequirementsState();
  readonly #reader: StreamReader;
  readonly #postcopy: PostcopyReceiver;
  #prerequisites: Prerequisite[] = [];
  /** What has to be done in order, and may have to be waited for. */
  #tasks: (() => unknown)[] = [];
  #section: SectionItem | null = null;
  #setUp = false;
  #machineType = '';
  #returnPath = false;
  #channelDigests: ChannelDigest[] | null = null;
  #digestSeen = false;
  #ended = false;
  #started: Started | null = null;
  #settle: (error?: unknown) => void = () => {};
  /** The load has ended, well or not. */
  #over = false;
  /** The source has closed the channel. */
  closed: Promise<void> = Promise.resolve();

  constructor(options: DestinationOptions) {
    const { vm } = options;
    this.#vm = vm;
    this.#options = options;
    this.#status = new Chart(migrationStatus(), vm.chronicle.host);
    const multifd = options.multifd !== null;
    this.#receivers = new Map(
      vm.devices.map((device) => [`${device.name}/vfio`, new DeviceReceiver(device, { multifd })]),
    );
    this.#states = new Map(vm.states.map((state) => [state.idstr, state]));
    this.#postcopy = new PostcopyReceiver(vm, (message) => this.#answer(message));
    this.#reader = new StreamReader(this, {
      checksum: true,
      bodyParser: (section) => this.#bodyParser(section),
      configParser: (section) => this.#configParser(section),
    });
  }

  /** MigrationStatus. */
  get status(): string {
    return this.#status.state;
  }

  /** Loads, and starts the VM. Whatever happens is in the outcome; only a fault of this program is thrown. */
  async run(): Promise<DestinationOutcome> {
    this.#vm.setRunState('inmigrate');
    this.#setStatus('setup');
    try {
      await this.#load();
      const started = this.#postcopy.active ? this.#endPostcopy() : await this.#endPrecopy();
      this.#setStatus('completed');
      await this.#cleanup(false);
      await this.#answer({ type: 'SHUT', value: 0 });
      return { outcome: 'completed', error: null, prerequisites: this.#prerequisites, ...started };
    } catch (error) {
      return await this.#fail(error);
    }
  }

  /** Says something to the source; nothing when it cannot be heard. */
  async answer(message: ReturnMessage): Promise<void> {
    await this.#answer(message);
  }

  async #answer(message: ReturnMessage): Promise<void> {
    if (!this.#returnPath) return;
    try {
      await this.#options.channel.write(encodeReturnMessage(message));
    } catch {
      // The source is gone. What that means is found out by who waits for it.
    }
  }

  #setStatus(status: MigrationStatus): void {
    this.#status.take(`STATUS.${status}`);
    this.#vm.chronicle.tell({ kind: 'migration_status', status });
    this.#options.onStatus?.(status);
  }

  async #load(): Promise<void> {
    const finished = new Promise<void>((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    finished.catch(() => {});
    this.closed = this.#options.channel
      .receive((block) => this.#take(block))
      .then(() => this.#atEnd())
      .catch((error) => this.#settle(error));
    this.#options.multifd?.run(this.#packet).catch((error) => this.#settle(error));
    await finished;
    this.#over = true;
  }

  /** A block has come. What comes after the end of the load, or after a failure, is let go. */
  #take(block: Uint8Array): void | Promise<void> {
    if (this.#over) return;
    try {
      this.#reader.write(block);
      if (this.#tasks.length > 0) return this.#work();
      if (this.#ended) this.#settle();
    } catch (error) {
      this.#over = true;
      this.#settle(error);
    }
  }

  /** Does what the items have asked for. */
  async #work(): Promise<void> {
    try {
      for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) await task();
      if (this.#ended) this.#settle();
    } catch (error) {
      this.#over = true;
      this.#settle(error);
    }
  }

  async #atEnd(): Promise<void> {
    if (this.#over) return;
    if (!this.#ended) {
      this.#reader.end();
      // The vmdescription may be missing: everything that counts was there before it.
      this.#end();
    }
    await this.#work();
  }

  // The sink of the reader.

  page(block: string, address: number, encoding: string, data: Uint8Array): void {
    if (block !== RAM_BLOCK || address % PAGE_SIZE !== 0 || address >= this.#vm.ram.size)
      throw new MigrationError(
        `there is no page 0x${address.toString(16)} in RAM block ${JSON.stringify(block)} here`,
      );
    const page = address / PAGE_SIZE;
    if (encoding === 'normal' || encoding === 'mapped') this.#vm.ram.setPage(page, data);
    else if (encoding === 'zero' && data[0] === 0) this.#vm.ram.fillZero(page);
    else throw new MigrationError(`a page of encoding ${encoding} is not taken here`);
    this.#postcopy.arrived(page);
  }

  item(item: StreamItem): void {
    switch (item.kind) {
      case 'configuration':
        // Whether it fits is said with all other requirements, when the source can hear it.
        this.#machineType = item.machine;
        break;
      case 'section':
        this.#section = item;
        if (item.type === 'START') this.#loadSetup();
        if (item.type === 'START' && item.idstr !== RAM_SECTION.idstr) this.#receiver(item);
        break;
      case 'section-end':
        if (this.#section?.type === 'END') this.#sectionComplete(this.#section);
        break;
      case 'block':
        if (item.name !== RAM_BLOCK || item.usedLength !== this.#vm.ram.size)
          throw new MigrationError(
            `RAM block ${JSON.stringify(item.name)} of ${item.usedLength} bytes: here is ${RAM_BLOCK} of ${this.#vm.ram.size}`,
          );
        break;
      case 'ram':
        break;
      case 'vfio':
        this.#recordLater(this.#receiver(this.#section!), item.tag);
        if (item.tag === 'DEV_INIT_DATA_SENT') this.#approve(this.#section!);
        break;
      case 'command':
        this.#command(item);
        break;
      case 'eof':
        if (this.#postcopy.active) this.#end();
        break;
      case 'description':
        this.#end();
        break;
      default:
        break;
    }
  }

  /** Data of a VFIO record; all other bodies have parsers. */
  data(piece: Uint8Array): void {
    const receiver = this.#section === null ? undefined : this.#receivers.get(this.#section.idstr);
    if (receiver === undefined) return;
    const data = new Uint8Array(piece);
    this.#tasks.push(() => receiver.write(data));
  }

  #end(): void {
    this.#ended = true;
  }

  #receiver({ idstr }: SectionItem): DeviceReceiver {
    const receiver = this.#receivers.get(idstr);
    if (receiver === undefined)
      throw new MigrationError(`the source has a device ${JSON.stringify(idstr)}, which is not here`);
    return receiver;
  }

  #recordLater(receiver: DeviceReceiver, tag: VfioStreamTag): void {
    if (tag !== 'END_OF_STATE') this.#tasks.push(() => receiver.record(tag));
  }

  #sectionComplete({ idstr }: SectionItem): void {
    const receiver = this.#receivers.get(idstr);
    if (receiver !== undefined && this.#options.multifd === null) receiver.complete = true;
    if (idstr === RAM_SECTION.idstr) this.#loaded.add(idstr);
  }

  #loadSetup(): void {
    if (this.#setUp) return;
    this.#setUp = true;
    if (this.#prerequisites.length === 0)
      throw new MigrationError('the source does not say what it needs here: it is not stopcopy');
    this.#tasks.push(async () => {
      this.#setStatus('active');
      this.#vm.chronicle.tell({ kind: 'destination_setup' });
      for (const { device } of this.#receivers.values()) device.destination.take('LOAD.setup');
      for (const receiver of this.#receivers.values()) await receiver.setup();
    });
  }

  /** A device has sent its initial data: the switchover may come, as far as it is concerned. */
  #approve({ idstr }: SectionItem): void {
    if (!this.#options.parameters.capabilities.has('switchover-ack'))
      throw new MigrationError(`${idstr}: INIT_DATA_SENT without the capability switchover-ack`);
    this.#tasks.push(() => {
      this.#vm.chronicle.tell({ kind: 'switchover_approved', approver: idstr });
      return this.#answer({ type: 'SWITCHOVER_ACK' });
    });
  }

  #command(item: Extract<StreamItem, { kind: 'command' }>): void {
    switch (item.name) {
      case 'OPEN_RETURN_PATH':
        if (!this.#options.channel.duplex)
          throw new MigrationError('the source wants a return path, and this channel has none');
        this.#returnPath = true;
        break;
      case 'PING':
        this.#tasks.push(() => this.#answer({ type: 'PONG', value: item.value }));
        break;
      case 'SWITCHOVER_START':
        this.#tasks.push(async () => {
          this.#vm.chronicle.tell({ kind: 'switchover_start', sent: false });
          for (const receiver of this.#receivers.values()) {
            receiver.switchoverStarts();
            await receiver.loadDue((payload) => this.#config(receiver, payload));
          }
        });
        break;
      case 'POSTCOPY_ADVISE':
        this.#postcopy.advise();
        break;
      case 'POSTCOPY_RAM_DISCARD':
        this.#postcopy.discard(item.ranges);
        break;
      case 'POSTCOPY_LISTEN':
      case 'PACKAGED':
        break;
      case 'POSTCOPY_RUN':
        this.#tasks.push(() => this.#runPostcopy());
        break;
      default:
        throw new MigrationError(`the command ${item.name} is not taken here`);
    }
  }

  #bodyParser(section: SectionItem): BodyParser | undefined {
    if (isDigest(section)) {
      return digestParser(section, (channels) => {
        this.#digestSeen = true;
        this.#channelDigests = channels;
      });
    }
    const wanted = this.#requirements.entry;
    const state = section.idstr === wanted.idstr ? wanted : this.#states.get(section.idstr);
    if (state === undefined || state.instance !== section.instance)
      throw new MigrationError(`the source has a state ${JSON.stringify(section.idstr)}, which is not here`);
    const load = loadVmState(state.description, state.target, section.version);
    const self = this;
    return function* (cursor) {
      yield* load(cursor);
      if (state === wanted) self.#checkRequirements();
      else self.#loaded.add(state.idstr);
    };
  }

  #configParser(section: SectionItem): BodyParser {
    const receiver = this.#receiver(section);
    const { pci } = receiver.device;
    const load = pci.configParser();
    const tasks = this.#tasks;
    return function* (cursor) {
      tasks.push(() => receiver.configStarts());
      yield* load(cursor);
      tasks.push(() => pci.replay());
      tasks.push(() => receiver.configEnds());
    };
  }

  /** The config packet of a multifd transfer. */
  async #config(receiver: DeviceReceiver, payload: Uint8Array): Promise<void> {
    receiver.configStarts();
    const { pci } = receiver.device;
    parseConfigPacket(payload, pci.configParser(), receiver.device.name);
    await pci.replay();
    receiver.configEnds();
  }

  readonly #packet = async (
    idstr: string,
    index: number,
    packet: { data: Uint8Array; config: boolean },
  ): Promise<void> => {
    const receiver = this.#receivers.get(idstr);
    if (receiver === undefined)
      throw new MigrationError(`the source has a device ${JSON.stringify(idstr)}, which is not here`);
    await receiver.packet(index, packet, (payload) => this.#config(receiver, payload));
  };

  #checkRequirements(): void {
    const { requirements, capabilities } = this.#requirements.read();
    const source = { ...requirements, 'machine type': this.#machineType };
    this.#prerequisites = compareRequirements(source, requirementsOf(this.#vm));
    const here = [...this.#options.parameters.capabilities].sort().join(' ') || 'none';
    const there = capabilities.join(' ') || 'none';
    this.#prerequisites.push({
      what: 'capabilities',
      ok: here === there,
      found: here === there ? here : `the source has ${there}, the destination has ${here}`,
    });
    const list = this.#prerequisites;
    this.#tasks.push(() => this.#answer({ type: 'CHECKS', text: JSON.stringify(list) }));
    const wrong = list.filter(({ ok }) => !ok).map(({ what, found }) => `${what}: ${found}`);
    if (wrong.length > 0)
      this.#tasks.push(() => {
        throw new MigrationError(wrong.join('; '));
      });
  }

  /** Everything came that has to be there before a VM may run. */
  async #checkComplete(): Promise<void> {
    await this.#options.multifd?.finish(this.#channelDigests ?? []);
    const missing = [...this.#states.keys(), RAM_SECTION.idstr].filter((idstr) => !this.#loaded.has(idstr));
    for (const [idstr, receiver] of this.#receivers)
      if (!receiver.complete || !receiver.configured) missing.push(idstr);
    if (!this.#digestSeen) missing.push('the digest of the stream');
    if (missing.length > 0) throw new MigrationError(`the stream ends without ${missing.join(', ')}`);
  }

  async #endPrecopy(): Promise<Started> {
    await this.#checkComplete();
    this.#vm.chronicle.tell({ kind: 'destination_load_end', errno: 0 });
    return this.#startVm();
  }

  async #startVm(): Promise<Started> {
    const vm = this.#vm;
    const snapshot = new RamSnapshot(vm);
    for (const { machine } of vm.parts) for (const mac of machine.macs()) machine.announce(mac);
    await vm.start();
    const deviceDigests = new Map(vm.parts.map((part) => [part.name, part.digest()]));
    return { snapshot, deviceDigests };
  }

  /** Post-copy: the VM runs, and what is not there of its RAM is asked for. */
  async #runPostcopy(): Promise<void> {
    this.#postcopy.run();
    this.#setStatus('postcopy-active');
    this.#started = await this.#startVm();
  }

  /** @throws MigrationError when RAM is not complete */
  #endPostcopy(): Started {
    this.#postcopy.finish();
    if (!this.#digestSeen) throw new MigrationError('the stream ends without the digest of the stream');
    this.#vm.chronicle.tell({ kind: 'destination_load_end', errno: 0 });
    return this.#started!;
  }

  async #fail(error: unknown): Promise<DestinationOutcome> {
    const message = error instanceof Error ? error.message : String(error);
    const { chronicle } = this.#vm;
    const errno = error instanceof DeviceError ? error.errno : ERRNO.EINVAL!;
    chronicle.tell({ kind: 'migration_error', text: message });
    chronicle.tell({ kind: 'destination_load_end', errno });
    this.#setStatus('failing');
    // A post-copy that breaks leaves a VM without all of its RAM: it cannot go on, here or anywhere.
    if (this.#vm.running) await this.#vm.stop('paused');
    await this.#cleanup(true);
    this.#setStatus('failed');
    const report = { ramDigest: null, error: message, devices: [], complaints: [] };
    await this.#answer({ type: 'REPORT', text: JSON.stringify(report) });
    await this.#answer({ type: 'SHUT', value: errno });
    return {
      outcome: 'failed',
      error: message,
      prerequisites: this.#prerequisites,
      snapshot: null,
      deviceDigests: new Map(),
    };
  }

  async #cleanup(failed: boolean): Promise<void> {
    const { chronicle } = this.#vm;
    chronicle.tell({ kind: 'destination_cleanup' });
    if (failed) for (const { device } of this.#receivers.values()) device.destination.take('LOAD.failed');
    for (const receiver of this.#receivers.values()) await receiver.cleanup(failed);
  }
}
