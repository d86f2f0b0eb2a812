import type { Channel } from '../transport/index.js';
import { DeviceError } from '../uapi/device.js';
import { Convergence } from './convergence.js';
import { type NamedSender, saveConfigs, saveDevices } from './device-sections.js';
import { DeviceSender, writePart } from './device-sender.js';
import { MigrationError } from './error.js';
import type { MultifdSender } from './multifd-sender.js';
import type { MigrationParameters } from './parameters.js';
import { PAGE_SIZE } from './ram/index.js';
import { RamSender } from './ram-sender.js';
import type { DestinationReport, MigrateReport, Outcome, Progress } from './report.js';
import { type Prerequisite, RequirementsState, requirementsOf } from './requirements.js';
import { SourceAnswers } from './source-answers.js';
import { SourceProtocol } from './source-protocol.js';
import { sourceReport } from './source-report.js';
import { SourceStream } from './source-stream.js';
import type { VirtualMachine } from './virtual-machine.js';

export interface SourceOptions {
  readonly vm: VirtualMachine;
  readonly channel: Channel;
  /** Present with the capability multifd. */
  readonly multifd: MultifdSender | null;
  readonly parameters: MigrationParameters;
  /** Bytes to the main channel go through it, which keeps max-bandwidth. */
  readonly write: Channel['write'];
  readonly onProgress?: (progress: Progress) => void;
  /** The destination has looked at what both sides must have in common. */
  readonly onPrerequisites?: (list: readonly Prerequisite[]) => void;
  /** The VM is about to stop: from now on nothing is held back. */
  readonly onSwitchover?: () => void;
}

/** How long RAM is sent before devices get their turn, in milliseconds. */
const TURN = 50;
const PROGRESS = 100;

/**
 * The source of a migration, from setup to cleanup, in the order of QEMU 11.1. What it does is put to the
 * charts of `src/machines` first: `migration-status`, `switchover-ack`, `run-state`, `vm-phases`, and for each
 * device `vmm-source` and `vmm-set-state`.
 *
 * The VM never runs on two hosts: from the moment that the last bytes are given to the channel on, it runs
 * here again only when the destination has said that it does not run it.
 */
export class SourceMigration {
  readonly #vm: VirtualMachine;
  readonly #channel: Channel;
  readonly #parameters: MigrationParameters;
  readonly #options: SourceOptions;
  readonly #stream: SourceStream;
  readonly #ram: RamSender;
  readonly #answers: SourceAnswers;
  readonly #convergence: Convergence;
  readonly #protocol: SourceProtocol;
  readonly #senders: readonly NamedSender[];
  /** As the destination found them. */
  #prerequisites: readonly Prerequisite[] = [];
  #cancelled = false;
  /** The last bytes were given away: the destination may run the VM. */
  #handedOver = false;
  #vmWasRunning = false;
  #resumeSwitchover: (() => void) | null = null;
  #wake: (() => void) | null = null;
  readonly #started = performance.now();
  #setupEnded: number | null = null;
  #stopped: number | null = null;
  #resumed: number | null = null;
  #lastProgress = 0;
  readonly #phases: Record<string, number> = {};
  readonly #deviceDigests = new Map<string, string | null>();

  constructor(options: SourceOptions) {
    const { vm, channel, parameters, multifd } = options;
    this.#options = options;
    this.#vm = vm;
    this.#channel = channel;
    this.#parameters = parameters;
    this.#stream = new SourceStream(options.write);
    this.#ram = new RamSender({ vm, stream: this.#stream, multifd });
    this.#answers = new SourceAnswers(channel, parameters.answerTimeout, {
      onAck: () => {
        this.#protocol.acked();
        this.#wake?.();
      },
      onChecks: (list) => {
        this.#prerequisites = list;
        this.#options.onPrerequisites?.(list);
      },
      onPages: (start, length) => {
        if (this.status !== 'postcopy-active')
          throw new MigrationError('the destination asks for pages outside post-copy');
        this.#ram.request(start, length);
      },
    });
    const switchoverAck = parameters.capabilities.has('switchover-ack');
    this.#senders = vm.devices.map((device) => {
      const sender = new DeviceSender(device, { switchoverAck });
      return { sender, name: this.#stream.name(sender.idstr, 1) };
    });
    this.#convergence = new Convergence(parameters);
    this.#protocol = new SourceProtocol(vm, () => this.#tellProgress(true));
  }

  /** MigrationStatus. */
  get status(): string {
    return this.#protocol.status;
  }

  /** Gives the migration up, as long as the source still has the say. False: it is too late. */
  cancel(): boolean {
    if (this.#handedOver || this.#cancelled) return false;
    this.#cancelled = true;
    this.#vm.chronicle.tell({ kind: 'migration_cancel' });
    this.#protocol.setStatus('cancelling');
    this.#channel.destroy();
    this.#options.multifd?.destroy();
    this.#resumeSwitchover?.();
    this.#wake?.();
    return true;
  }

  /** `migrate-continue`: goes on from pre-switchover. False: nothing waits for it. */
  continueSwitchover(): boolean {
    const resume = this.#resumeSwitchover;
    resume?.();
    return resume !== null;
  }

  /** Migrates. Whatever happens is in the report; only a fault of this program is thrown. */
  async run(): Promise<MigrateReport> {
    this.#vmWasRunning = this.#vm.running;
    let outcome: Outcome = 'completed';
    let error: unknown = null;
    try {
      await this.#setup();
      await this.#iterate();
      await this.#complete();
    } catch (failure) {
      outcome = await this.#giveUp(failure);
      error = outcome === 'cancelled' ? new MigrationError('the migration was cancelled') : failure;
    }
    if (outcome === 'completed' || outcome === 'ambiguous') await this.#leave(outcome);
    const answer = outcome === 'completed' ? await this.#answers.report() : null;
    return this.#report(outcome, error, answer);
  }

  /** @throws MigrationError when the migration was cancelled, or the other side has said that it failed */
  #check(): void {
    if (this.#cancelled) throw new MigrationError('the migration was cancelled');
    this.#answers.check();
  }

  async #setup(): Promise<void> {
    const { chronicle } = this.#vm;
    this.#protocol.begin();
    for (const device of this.#vm.virtio) await device.migrationBegins();
    await this.#greet();
    chronicle.tell({ kind: 'source_setup' });
    await this.#ram.start();
    for (const { sender, name } of this.#senders) {
      await this.#stream.section('START', name, async () => {
        await sender.setup();
        await this.#stream.writer.item({ kind: 'vfio', tag: 'DEV_SETUP_STATE' });
        await this.#stream.writer.item({ kind: 'vfio', tag: 'END_OF_STATE' });
      });
    }
    await this.#stream.writer.flush();
    this.#check();
    this.#account('setup');
    this.#setupEnded = performance.now();
    this.#protocol.setStatus('active');
  }

  /** Header, configuration, return path, and what the destination must have; waits for its word. */
  async #greet(): Promise<void> {
    const stream = this.#stream;
    const capabilities = this.#parameters.capabilities;
    await stream.header(this.#vm.type);
    const wanted = new RequirementsState(requirementsOf(this.#vm), [...capabilities].sort());
    if (this.#channel.duplex && capabilities.has('return-path')) {
      await stream.command({ kind: 'command', name: 'OPEN_RETURN_PATH' });
      this.#vm.chronicle.tell({ kind: 'return_path_opened' });
      this.#answers.open();
      await stream.state(wanted.entry);
      await stream.command({ kind: 'command', name: 'PING', value: 1 });
      await this.#answers.pong(1);
    } else {
      await stream.state(wanted.entry);
    }
    if (capabilities.has('postcopy-ram'))
      await stream.command({
        kind: 'command',
        name: 'POSTCOPY_ADVISE',
        pageSizes: BigInt(PAGE_SIZE),
        targetPageSize: PAGE_SIZE,
      });
  }

  async #query(exact: boolean, final = false): Promise<{ precopy: number; total: number }> {
    if (exact) await this.#syncBitmap(final);
    let [precopy, stopcopy, collected] = [this.#ram.pending, 0, 0];
    for (const { sender } of this.#senders) {
      const pending = await sender.pending(exact, final);
      precopy += pending.precopy;
      stopcopy += pending.stopcopy;
      collected += pending.ack ? 1 : 0;
    }
    this.#protocol.needAcks(collected);
    const total = precopy + stopcopy;
    this.#vm.chronicle.tell({
      kind: 'query_pending',
      exact,
      final,
      precopy,
      stopcopy,
      postcopy: 0,
      total,
      ackCollected: collected,
      ackTotal: this.#protocol.ackPending,
    });
    return { precopy, total };
  }

  async #syncBitmap(final: boolean): Promise<void> {
    const dirty = await this.#ram.sync(final);
    if (final || !this.#parameters.capabilities.has('auto-converge')) return;
    this.#vm.throttle = this.#convergence.throttleAfter(dirty * PAGE_SIZE, this.#stream.bytes);
  }

  async #iterate(): Promise<void> {
    for (;;) {
      this.#check();
      let pending = await this.#query(false);
      if (pending.total <= this.#convergence.threshold || pending.precopy === 0)
        pending = await this.#query(true);
      const maySwitch = this.#protocol.ackPending === 0;
      if (maySwitch && pending.total <= this.#convergence.threshold) return;
      if (this.#wantsPostcopy()) return;
      const before = this.#sent;
      const start = performance.now();
      await this.#ram.iterate(start + TURN);
      for (const { sender, name } of this.#senders) {
        const part = await sender.iterate();
        if (part !== null)
          await this.#stream.section('PART', name, () => writePart(this.#stream.writer, part));
      }
      await this.#stream.writer.flush();
      this.#convergence.sent(this.#sent - before, performance.now() - start);
      this.#tellProgress();
      if (this.#sent - before < PAGE_SIZE) await this.#rest();
    }
  }

  #wantsPostcopy(): boolean {
    const { capabilities, postcopyAfterRounds } = this.#parameters;
    return capabilities.has('postcopy-ram') && this.#ram.rounds > postcopyAfterRounds;
  }

  get #sent(): number {
    return this.#stream.bytes + (this.#options.multifd?.bytes ?? 0);
  }

  /** Nothing is left to send, and the switchover cannot be yet: the guest gets the time. */
  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, 5);
      const self = this;
      function done() {
        clearTimeout(timer);
        self.#wake = null;
        resolve();
      }
      this.#wake = done;
    });
  }

  async #complete(): Promise<void> {
    const vm = this.#vm;
    const { chronicle } = vm;
    const { capabilities } = this.#parameters;
    this.#account('precopy');
    for (const { sender } of this.#senders) await sender.lastPrecopyQuery();
    if (vm.running) this.#protocol.switchover();
    this.#stopped = performance.now();
    this.#options.onSwitchover?.();
    await this.#stopVm();
    for (const part of vm.parts) this.#deviceDigests.set(part.name, part.digest());
    if (capabilities.has('pause-before-switchover')) await this.#pause();
    this.#protocol.setStatus('device');
    await this.#query(true, true);
    if (this.#protocol.ackPending > 0)
      throw new MigrationError(
        `Switchover ACK was requested by ${this.#protocol.ackPending} devices during switchover`,
      );
    chronicle.tell({ kind: 'precopy_complete' });
    await this.#stream.command({ kind: 'command', name: 'SWITCHOVER_START' });
    chronicle.tell({ kind: 'switchover_start', sent: true });
    if (this.#wantsPostcopy()) return this.#completePostcopy();
    await this.#ram.complete();
    await saveDevices(this.#stream, this.#senders, this.#options.multifd);
    for (const state of vm.states) await this.#stream.state(state);
    await saveConfigs(this.#stream, this.#senders, this.#options.multifd);
    await this.#stream.digest((await this.#options.multifd?.end()) ?? []);
    this.#check();
    await this.#handOver();
    this.#account('stopcopy');
    this.#resumed = performance.now();
    this.#protocol.setStatus('completed');
  }

  async #stopVm(): Promise<void> {
    try {
      await this.#vm.stop('finish-migrate');
      this.#vm.chronicle.tell({ kind: 'vm_stopped', errno: 0 });
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#vm.chronicle.tell({ kind: 'vm_stopped', errno: error.errno });
      throw error;
    }
  }

  /** pre-switchover, until somebody says that it may go on. */
  async #pause(): Promise<void> {
    this.#protocol.setStatus('pre-switchover');
    await new Promise<void>((resolve) => {
      this.#resumeSwitchover = resolve;
    });
    this.#resumeSwitchover = null;
    this.#check();
  }

  /** Gives the last bytes away, and waits for the word of the destination. */
  async #handOver(): Promise<void> {
    this.#handedOver = true;
    await this.#stream.end(PAGE_SIZE);
    if (this.#answers.isOpen) await this.#answers.shut();
    else await this.#channel.end();
  }

  /** Post-copy: the VM goes over first, its RAM after it. */
  async #completePostcopy(): Promise<void> {
    const vm = this.#vm;
    vm.chronicle.tell({ kind: 'postcopy_start' });
    await this.#ram.discard();
    this.#handedOver = true;
    await this.#stream.postcopyPackage(vm.states);
    this.#account('stopcopy');
    this.#protocol.setStatus('postcopy-active');
    await this.#answers.pong(4, () => this.#stream.command({ kind: 'command', name: 'PING', value: 4 }));
    this.#resumed = performance.now();
    await this.#ram.sendRest(() => this.#answers.check());
    await this.#stream.digest([]);
    await this.#stream.writer.item({ kind: 'eof' });
    await this.#stream.writer.flush();
    await this.#answers.shut();
    this.#account('postcopy');
    this.#protocol.setStatus('completed');
  }

  /** After a failure: says what became of it, and has the VM run here again if that is certain to be right. */
  async #giveUp(error: unknown): Promise<Outcome> {
    const { chronicle } = this.#vm;
    const refused = this.#answers.refusal !== null;
    if (!this.#cancelled) chronicle.tell({ kind: 'migration_error', text: messageOf(error) });
    this.#channel.destroy();
    this.#options.multifd?.destroy();
    if (this.#handedOver && !refused) return 'ambiguous';
    if (!this.#cancelled && this.#protocol.status !== 'none') this.#protocol.setStatus('failing');
    chronicle.tell({ kind: 'source_thread_end' });
    this.#vm.throttle = 0;
    await this.#protocol.rollBack(this.#vmWasRunning);
    await this.#cleanup();
    if (this.#protocol.status !== 'none') this.#protocol.setStatus(this.#cancelled ? 'cancelled' : 'failed');
    return this.#cancelled ? 'cancelled' : 'failed';
  }

  /** After the VM was given away: it is not run here again. */
  async #leave(outcome: 'completed' | 'ambiguous'): Promise<void> {
    this.#vm.throttle = 0;
    if (outcome === 'ambiguous') return this.#cleanup();
    this.#vm.chronicle.tell({ kind: 'source_thread_end' });
    this.#vm.setRunState('postmigrate');
    await this.#cleanup();
    this.#protocol.notify('done');
  }

  #cleanup(): Promise<void> {
    return this.#protocol.cleanup(
      this.#senders.map(({ sender }) => sender),
      this.#ram,
    );
  }

  #account(phase: string): void {
    const before = Object.values(this.#phases).reduce((sum, bytes) => sum + bytes, 0);
    this.#phases[phase] = this.#sent - before;
  }

  #tellProgress(always = false): void {
    const now = performance.now();
    if (!always && now - this.#lastProgress < PROGRESS) return;
    this.#lastProgress = now;
    const { bandwidth } = this.#convergence;
    const remaining = this.#ram.pending;
    this.#options.onProgress?.({
      status: this.#protocol.status,
      devices: this.#vm.devices.map(({ name, state }) => ({ name, state })),
      elapsedMs: now - this.#started,
      sentBytes: this.#sent,
      remainingBytes: remaining,
      totalRam: this.#vm.ram.size,
      rate: bandwidth,
      dirtyRate: this.#ram.dirtyRate,
      rounds: this.#ram.rounds,
      expectedDowntimeMs: bandwidth === 0 ? null : (1000 * remaining) / bandwidth,
      throttle: this.#vm.throttle,
    });
  }

  #report(outcome: Outcome, error: unknown, answer: DestinationReport | null): MigrateReport {
    return sourceReport({
      vm: this.#vm,
      outcome,
      answered: this.#answers.isOpen,
      error: error === null ? null : messageOf(error),
      answer,
      prerequisites: this.#prerequisites,
      deviceDigests: this.#deviceDigests,
      senders: this.#senders.map(({ sender }) => sender),
      ram: this.#ram,
      phases: this.#phases,
      totalBytes: this.#sent,
      times: {
        started: this.#started,
        setupEnded: this.#setupEnded,
        stopped: this.#stopped,
        resumed: this.#resumed,
      },
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
