import { vmPhases } from '../../machines/vm-phases.js';
import { vmmSource } from '../../machines/vmm-source.js';
import type { MigState } from '../../uapi/vfio.js';
import { type ComponentHandle, ModelBuilder } from '../builder.js';
import { and, type Expression, either, eq, not, or } from '../expression.js';
import type { Model, ModelEntry, ModelOptions } from '../model.js';
import {
  addDevice,
  callEvent,
  capabilitiesOf,
  type DeviceHandle,
  granted,
  isRunning,
  mayDoP2p,
  sameCapabilities,
  setStateEvents,
} from './vfio-parts.js';
import { notifierEvent, saveEvent, vmStateEvent } from './vmm-events.js';

const HOST = 'src';

/** Where the VM is. */
const VM = { running: 0, stopping: 1, stopped: 2, starting: 3, completed: 4, rolling_back: 5 };
/** Whether a migration is under way. */
const MIGRATION = { none: 0, setup: 1, active: 2, failed: 3, cleanup: 4 };

interface Party {
  readonly device: DeviceHandle;
  readonly vmm: ComponentHandle;
}

/** The VMM, its devices, and what they write to each other. */
export class TwoPhaseStop {
  readonly #model: ModelBuilder;
  readonly #parties: Party[];
  readonly #phases: ComponentHandle;
  readonly #vm;
  readonly #migration;
  readonly #hurt;

  constructor(
    entry: ModelEntry,
    readonly options: ModelOptions,
  ) {
    const model = new ModelBuilder(entry.name, entry.title, options);
    this.#model = model;
    this.#parties = Array.from({ length: options.devices }, (_, index) => ({
      device: addDevice(model, index, HOST, { caps: capabilitiesOf(options, index), alone: true }),
      vmm: model.component(`VMM of vf${index}`, vmmSource(!this.#is('skip-p2p'))),
    }));
    this.#phases = model.component('phases', vmPhases());
    this.#vm = model.variable('vm', `the VM: ${Object.keys(VM).join(', ')}`, 5);
    this.#migration = model.variable('migration', `a migration: ${Object.keys(MIGRATION).join(', ')}`, 4);
    this.#hurt = model.variable('hurt', 'a write has reached a stopped device', 1);
  }

  build(): Model {
    this.#stop();
    this.#start();
    this.#migrate();
    for (const party of this.#parties) {
      this.#firstPhase(party);
      this.#lastPhase(party);
      this.#preCopy(party);
      this.#writes(party);
    }
    this.#properties();
    this.#model.symmetric(
      'devices',
      sameCapabilities(this.#parties.map(({ device }) => device))
        ? this.#parties.map(({ device, vmm }) => [device.chart.name, vmm.name])
        : [],
    );
    return this.#model.build();
  }

  #is(variant: string): boolean {
    return this.options.variant === variant;
  }

  #vmIs(...states: readonly (keyof typeof VM)[]): Expression {
    return or(...states.map((state) => eq(this.#vm, VM[state])));
  }

  #migrationIs(...states: readonly (keyof typeof MIGRATION)[]): Expression {
    return or(...states.map((state) => eq(this.#migration, MIGRATION[state])));
  }

  /** No stop or start is under way for any device. */
  #allQuiet(): Expression {
    return and(...this.#parties.map(({ vmm }) => vmm.in('vm', 'quiet')));
  }

  #all(event: string) {
    return this.#parties.map(({ vmm }) => vmm.on(event));
  }

  #stop(): void {
    const begin = (name: string, when: Expression, reason: string) =>
      this.#model.action(`VMM: ${name}`, {
        when,
        sync: [...this.#all('VM.stop'), this.#phases.on('VM.stop')],
        set: [this.#vm.to(VM.stopping)],
        events: [vmStateEvent(HOST, false, reason)],
        labels: ['user'],
      });
    begin('stop', and(this.#vmIs('running'), this.#migrationIs('none')), 'paused');
    begin(
      'stop for the switchover',
      and(this.#vmIs('running'), this.#migrationIs('active')),
      'finish-migrate',
    );
    this.#model.action('VMM: all are stopped', {
      when: and(
        this.#vmIs('stopping'),
        this.#is('stop-forgets-one')
          ? or(...this.#parties.map(({ device }) => not(device.is(isRunning))))
          : this.#allQuiet(),
      ),
      set: [this.#vm.to(VM.stopped)],
      labels: ['progress'],
    });
  }

  #start(): void {
    const begin = (name: string, when: Expression) =>
      this.#model.action(`VMM: ${name}`, {
        when,
        sync: [...this.#all('VM.start'), this.#phases.on('VM.start')],
        set: [this.#vm.to(VM.starting)],
        events: [vmStateEvent(HOST, true)],
        labels: ['progress'],
      });
    begin('cont', and(this.#vmIs('stopped'), this.#migrationIs('none'), this.#allQuiet()));
    if (!this.#is('stuck-after-failure'))
      begin(
        'start after the failure',
        this.#is('qemu-11.1')
          ? and(this.#vmIs('rolling_back'), ...this.#parties.map(({ device }) => device.in('RUNNING')))
          : this.#vmIs('rolling_back'),
      );
    const ready = this.#is('vcpus-early') ? 1 : this.#allQuiet();
    this.#model.action('VMM: the vCPUs run', {
      when: and(this.#vmIs('starting'), this.#migrationIs('none'), ready),
      set: [this.#vm.to(VM.running)],
      labels: ['progress'],
    });
    if (this.#is('stuck-after-failure')) return;
    this.#model.action('VMM: the vCPUs run again', {
      when: and(this.#vmIs('starting'), this.#migrationIs('failed'), ready),
      sync: this.#all('CLEANUP'),
      set: [this.#vm.to(VM.running), this.#migration.to(MIGRATION.cleanup)],
      labels: ['progress'],
    });
    this.#model.action('VMM: save_cleanup', {
      when: this.#migrationIs('cleanup'),
      sync: this.#all('SAVE.cleanup'),
      set: [this.#migration.to(MIGRATION.none)],
      events: this.#parties.map(({ device }) => saveEvent(device, 'save_cleanup')),
      labels: ['progress'],
    });
  }

  #migrate(): void {
    const model = this.#model;
    model.action('VMM: migrate', {
      when: and(this.#vmIs('running'), this.#migrationIs('none'), this.#allQuiet()),
      sync: this.#all('NOTIFIER.setup'),
      set: [this.#migration.to(MIGRATION.setup)],
      events: this.#parties.map(({ device }) => notifierEvent(device, 'setup')),
      labels: ['user'],
    });
    model.action('VMM: save_setup of all is done', {
      when: and(
        this.#migrationIs('setup'),
        ...this.#parties.map(({ device }) => device.in(device.caps.preCopy ? 'PRE_COPY' : 'RUNNING')),
      ),
      sync: this.#all('SAVE.setup'),
      set: [this.#migration.to(MIGRATION.active)],
      events: this.#parties.map(({ device }) => saveEvent(device, 'save_setup')),
      labels: ['progress'],
    });
    const stopped = and(this.#vmIs('stopped'), this.#migrationIs('active'), this.#allQuiet());
    if (!this.#is('never-completes'))
      model.action('VMM: the migration completes', {
        when: stopped,
        set: [this.#vm.to(VM.completed)],
        labels: ['progress'],
      });
    if (this.#is('never-fails')) return;
    model.action('VMM: the migration fails', {
      when: stopped,
      // Up to 10.x the FAILED notifier comes when the devices run again, and has nothing to do.
      sync: this.#is('qemu-11.1') ? this.#all('NOTIFIER.failed') : [],
      set: [this.#vm.to(VM.rolling_back), this.#migration.to(MIGRATION.failed)],
      events: this.#is('qemu-11.1') ? this.#parties.map(({ device }) => notifierEvent(device, 'failed')) : [],
      labels: ['fault'],
    });
  }

  /** A request, to the charts of the VMM and of the device. */
  #request(
    { device, vmm }: Party,
    from: MigState,
    to: MigState,
    draft: { when: Expression; recover: MigState; words?: string },
  ): void {
    const { when, recover, words = '' } = draft;
    this.#model.action(`${device.device}: SET_STATE ${to} from ${from}${words}`, {
      when: and(when, device.in(from)),
      sync: [vmm.on(callEvent(to, recover)), granted(device, from, to)],
      chart: { from: 'VMM', to: device.device, text: `SET_STATE ${to}` },
      events: setStateEvents(device, from, to, recover),
      labels: ['progress'],
    });
  }

  /** The device's phase is done: its chart and that of all phases hear of it. */
  #done({ device, vmm }: Party, event: 'PREPARE' | 'CHANGE', running: boolean): void {
    const kind = event === 'PREPARE' ? 'vmstate_prepare' : 'vmstate_change';
    const phase = `${running ? 'start' : 'stop'}_${event === 'PREPARE' ? 'first' : 'last'}_asked`;
    const unordered = this.#is('stop-out-of-order') || this.#is('start-out-of-order');
    this.#model.action(`${device.device}: ${event} of the ${running ? 'start' : 'stop'}`, {
      when: vmm.in('vm', phase),
      sync: [vmm.on(event), ...(event === 'PREPARE' && unordered ? [] : [this.#phases.on(event)])],
      chart: { from: device.device, to: 'VMM', text: event },
      events: [{ kind, host: HOST, device: device.device, running, reason: running ? 'running' : 'paused' }],
      labels: this.#is('prepare-hangs') && event === 'PREPARE' ? [] : ['progress'],
    });
  }

  #firstPhase(party: Party): void {
    if (this.#is('skip-p2p')) return;
    const { device, vmm } = party;
    const recover = 'ERROR';
    const stop = { when: vmm.in('vm', 'stop_first'), recover, words: ', to stop' } as const;
    this.#request(party, 'RUNNING', 'RUNNING_P2P', stop);
    if (device.caps.preCopy) this.#request(party, 'PRE_COPY', 'PRE_COPY_P2P', stop);
    const start = { when: vmm.in('vm', 'start_first'), recover, words: ', to start' } as const;
    this.#request(party, 'STOP', 'RUNNING_P2P', start);
    if (this.#is('qemu-11.1')) this.#request(party, 'RUNNING', 'RUNNING_P2P', start);
    else if (device.caps.preCopy && !this.#is('stuck-after-failure'))
      this.#request(party, 'STOP_COPY', 'RUNNING_P2P', start);
    for (const running of [false, true]) this.#done(party, 'PREPARE', running);
  }

  #lastPhase(party: Party): void {
    const { device, vmm } = party;
    const recover = 'ERROR';
    const first = this.#is('skip-p2p');
    const stop = {
      when: and(vmm.in('vm', 'stop_last'), this.#is('stop-out-of-order') ? 1 : this.#allPrepared()),
      recover,
    } as const;
    const start = {
      when: and(vmm.in('vm', 'start_last'), this.#is('start-out-of-order') ? 1 : this.#allPrepared()),
      recover,
    } as const;
    this.#request(party, first ? 'RUNNING' : 'RUNNING_P2P', 'STOP', stop);
    if (device.caps.preCopy) this.#request(party, first ? 'PRE_COPY' : 'PRE_COPY_P2P', 'STOP_COPY', stop);
    this.#request(party, first ? 'STOP' : 'RUNNING_P2P', 'RUNNING', start);
    if (first && device.caps.preCopy) this.#request(party, 'STOP_COPY', 'RUNNING', start);
    for (const running of [false, true]) this.#done(party, 'CHANGE', running);
    if (!this.#is('qemu-11.1')) return;
    this.#request(party, device.caps.preCopy ? 'STOP_COPY' : 'STOP', 'RUNNING', {
      when: this.#vmIs('rolling_back'),
      recover,
      words: ', by the FAILED notifier',
    });
  }

  /** No device is before or in its first phase. */
  #allPrepared(): Expression {
    if (this.#is('skip-p2p')) return 1;
    const first = ['stop_first', 'stop_first_asked', 'start_first', 'start_first_asked'];
    return not(or(...this.#parties.map(({ vmm }) => vmm.in('vm', ...first))));
  }

  #preCopy(party: Party): void {
    if (!party.device.caps.preCopy) return;
    this.#request(party, 'RUNNING', 'PRE_COPY', { when: this.#migrationIs('setup'), recover: 'RUNNING' });
  }

  /** The device writes to each other one. */
  #writes({ device }: Party): void {
    for (const { device: other } of this.#parties) {
      if (other === device) continue;
      this.#model.action(`${device.device}: peer-to-peer write to ${other.device}`, {
        when: device.is(mayDoP2p),
        set: [this.#hurt.to(either(other.is(isRunning), this.#hurt, 1))],
        chart: { from: device.device, to: other.device, text: 'peer-to-peer write' },
        labels: ['dma'],
      });
    }
  }

  #properties(): void {
    const model = this.#model;
    const devices = this.#parties.map(({ device }) => device);
    const stopped = devices.map((device) => not(device.is(isRunning)));
    const some = (property: (state: MigState) => boolean) =>
      or(...devices.map((device) => device.is(property)));
    const last = this.#phases.in('vm-phases', 'last');
    model.never(
      'no-p2p-to-stopped',
      'No peer-to-peer write reaches a device that is stopped.',
      eq(this.#hurt, 1),
    );
    model.never(
      'phases-in-order',
      'In the last phase of a stop no device may start peer-to-peer DMA, and of a start none is stopped.',
      and(last, or(and(this.#vmIs('stopping'), some(mayDoP2p)), and(this.#vmIs('starting'), or(...stopped)))),
    );
    model.always(
      'stopped-is-stopped',
      'When the VM is stopped or has moved, every device is.',
      or(not(this.#vmIs('stopped', 'completed')), and(...stopped)),
    );
    model.never(
      'vcpus-run-last',
      'The vCPUs run only when every device does.',
      and(this.#vmIs('running'), or(...stopped)),
    );
    model.leadsTo(
      'stop-ends',
      'A stop that was begun ends with a VM that is stopped.',
      this.#vmIs('stopping'),
      this.#vmIs('stopped'),
      ['progress'],
    );
    model.leadsTo(
      'start-ends',
      'A start that was begun, or a failure, ends with a VM that runs.',
      this.#vmIs('starting', 'rolling_back'),
      this.#vmIs('running'),
      ['progress'],
    );
    model.sometimes(
      'all-in-p2p',
      'All devices are in their P2P states at once.',
      and(...devices.map((device) => device.in('RUNNING_P2P', 'PRE_COPY_P2P'))),
    );
    model.sometimes('migrated', 'A migration completes.', this.#vmIs('completed'));
    model.sometimes(
      'rolled-back',
      'The VM runs again after a migration that had stopped it failed.',
      and(this.#vmIs('running'), this.#migrationIs('cleanup')),
    );
    model.sound(this.#vmIs('completed'));
  }
}
