import { migrationStatus, switchoverAck } from '../machines/index.js';
import { DeviceError } from '../uapi/device.js';
import type { MigrationStatus } from '../uapi/qemu.js';
import { Chart } from './chart.js';
import type { DeviceSender } from './device-sender.js';
import { MigrationError } from './error.js';
import type { RamSender } from './ram-sender.js';
import type { VirtualMachine } from './virtual-machine.js';

/**
 * What the source of a migration tells its devices and its user: MigrationStatus, acknowledgements, notifiers,
 * rollback and cleanup, each put to the charts first.
 */
export class SourceProtocol {
  readonly #vm: VirtualMachine;
  readonly #status: Chart;
  readonly #ack: Chart;
  readonly #onStatus: () => void;
  /** Acknowledgements of the destination that are outstanding. */
  ackPending = 0;

  constructor(vm: VirtualMachine, onStatus: () => void) {
    this.#vm = vm;
    this.#onStatus = onStatus;
    this.#status = new Chart(migrationStatus(), vm.chronicle.host);
    this.#ack = new Chart(switchoverAck(), vm.chronicle.host);
  }

  /** MigrationStatus. */
  get status(): string {
    return this.#status.state;
  }

  setStatus(status: MigrationStatus): void {
    this.#status.take(`STATUS.${status}`);
    this.#vm.chronicle.tell({ kind: 'migration_status', status });
    this.#onStatus();
  }

  /** An attempt begins. */
  begin(): void {
    this.setStatus('setup');
    this.#ack.take('SETUP');
    this.notify('setup');
  }

  /** Calls the migration notifiers of all devices. */
  notify(event: 'setup' | 'done'): void {
    this.#vm.chronicle.tell({ kind: 'notifiers', event });
    for (const device of this.#vm.devices) {
      device.source.take(`NOTIFIER.${event}`);
      device.tell({ kind: 'notifier', event });
    }
  }

  /** Devices have asked for so many more acknowledgements. */
  needAcks(collected: number): void {
    this.ackPending += collected;
    this.#ack.take(this.ackPending > 0 ? 'ACK.needed' : 'ACK.none');
  }

  /** SWITCHOVER_ACK has come. @throws MigrationError when none was asked for */
  acked(): void {
    if (this.ackPending === 0) throw new MigrationError('Switchover ACK pending num underflowed');
    this.ackPending--;
    this.#ack.take(this.ackPending === 0 ? 'ACK.all' : 'ACK.some');
    this.#vm.chronicle.tell({ kind: 'switchover_ack', pending: this.ackPending });
  }

  /** The running VM is about to be stopped for the switchover. */
  switchover(): void {
    this.#ack.take('SWITCHOVER');
  }

  /** After a failure: the VM runs here again if it ran before, and then the FAILED notifier. */
  async rollBack(wasRunning: boolean): Promise<void> {
    const vm = this.#vm;
    for (const device of vm.virtio) await device.migrationEnds();
    if (wasRunning && !vm.running) await vm.start({ evenIfDevicesFail: true });
    vm.chronicle.tell({ kind: 'notifiers', event: 'failed' });
    for (const device of vm.devices) {
      device.source.take('NOTIFIER.failed');
      device.tell({ kind: 'notifier', event: 'failed' });
      try {
        await device.setState('RUNNING', 'ERROR');
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
      }
    }
  }

  /** save_cleanup of all. */
  async cleanup(senders: readonly DeviceSender[], ram: RamSender): Promise<void> {
    this.#vm.chronicle.tell({ kind: 'source_cleanup' });
    for (const device of this.#vm.devices) device.source.take('CLEANUP');
    for (const sender of senders) await sender.cleanup();
    await ram.cleanup();
  }
}
