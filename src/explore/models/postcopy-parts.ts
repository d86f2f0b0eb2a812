import { vhostUserPostcopy } from '../../machines/vhost-user-postcopy.js';
import type { MigrationStatus } from '../../uapi/qemu.js';
import type { ComponentHandle, VariableHandle } from '../builder.js';
import { and, type Expression, either, eq, or } from '../expression.js';
import type { Assignment, ModelEntry, ModelOptions } from '../model.js';
import { TwoHosts } from './two-hosts.js';

/** The parts of the post-copy model: machines, data, and what its actions and properties say of them. */

/** What of the stream the source has sent. */
export const SENT = { nothing: 0, advise: 1, discard: 2, package: 3 };
/** How far the destination is in it. */
export const STAGE = { none: 0, advised: 1, discarded: 2, listening: 3, loaded: 4, running: 5 };
/** A page at the destination, against what the source had at its stop; `undone`: overwritten by an older copy. */
export const AT = { absent: 0, old: 1, current: 2, newer: 3, undone: 4 };
/** Copies of a page in the channel. */
export const WAY = { none: 0, precopy: 1, postcopy: 2 };
/** Who waits for a page: the request is to be made, on the return path, at the source, or lost. */
export const FAULT = { none: 0, waits: 1, asked: 2, queued: 3, forgotten: 4 };
/** Messages of a recovery that are under way. */
export const RECOVERY = { none: 0, recover: 1, bitmap: 2, resume: 3, ack: 4 };
/** The end: the source has sent all; the destination has it all. */
export const END = { no: 0, sent: 1, shut: 2 };

/** The statuses in which pages are asked for and sent. */
export const SERVES = ['postcopy-device', 'postcopy-active'] as const;
/** The statuses in which a cancel is refused. */
export const NO_CANCEL: readonly MigrationStatus[] = [
  ...SERVES,
  'postcopy-paused',
  'postcopy-recover-setup',
  'postcopy-recover',
];

export interface Page {
  readonly name: string;
  readonly dirty: VariableHandle;
  readonly way: VariableHandle;
  readonly at: VariableHandle;
  readonly fault: VariableHandle;
  /** A request that comes after its page is at the source. Nobody but one variant looks at it. */
  readonly late: VariableHandle | null;
}

export class Postcopy extends TwoHosts {
  readonly backEnd: ComponentHandle;
  readonly vfio: VariableHandle;
  readonly sent: VariableHandle;
  readonly stage: VariableHandle;
  readonly pong: VariableHandle;
  readonly cut: VariableHandle;
  readonly recovery: VariableHandle;
  readonly end: VariableHandle;
  readonly faults: VariableHandle;
  readonly pages: readonly Page[];

  constructor(entry: ModelEntry, options: ModelOptions) {
    super(entry, options);
    const { model } = this;
    const { faults, pages } = options;
    this.backEnd = model.component('back end', vhostUserPostcopy());
    this.vfio = model.variable('vfio', 'there is a VFIO device in the VM', 1);
    this.sent = model.variable('sent', `what the source has sent: ${names(SENT)}`, SENT.package);
    this.stage = model.variable('stage', `what the destination has done: ${names(STAGE)}`, STAGE.running);
    this.pong = model.variable('pong', 'PONG 0x42 is on the return path', 1);
    this.cut = model.variable('cut', 'the connection is gone', 1);
    this.recovery = model.variable('recovery', `under way: ${names(RECOVERY)}`, RECOVERY.ack);
    this.end = model.variable('end', `the end of the stream: ${names(END)}`, END.shut);
    this.faults = model.variable('faults', 'cuts and refused loads that may come', faults, faults);
    this.pages = Array.from({ length: pages }, (_, index) => this.#page(index));
  }

  #page(index: number): Page {
    const { model } = this;
    return {
      name: `page ${index}`,
      dirty: model.variable(`dirty ${index}`, 'the source has to send it', 1, 1),
      way: model.variable(`way ${index}`, `a copy in the channel: ${names(WAY)}`, WAY.postcopy),
      at: model.variable(`at ${index}`, `the page at the destination: ${names(AT)}`, AT.undone),
      fault: model.variable(`fault ${index}`, `who waits for it: ${names(FAULT)}`, FAULT.forgotten),
      late: this.is('request-resends')
        ? model.variable(`late ${index}`, 'a request that comes after its page', 1)
        : null,
    };
  }

  some(make: (page: Page) => Expression): Expression {
    return or(...this.pages.map(make));
  }

  all(make: (page: Page) => Expression): Expression {
    return and(...this.pages.map(make));
  }

  each(make: (page: Page) => Assignment): Assignment[] {
    return this.pages.map(make);
  }

  /** What a connection that breaks takes with it. */
  lost(): Assignment[] {
    return [
      this.cut.to(1),
      this.recovery.to(RECOVERY.none),
      this.end.to(END.no),
      ...(this.is('pong-lost') ? [this.pong.to(0)] : []),
      ...this.each(({ way }) => way.to(WAY.none)),
    ];
  }

  /** Requests that were lost with it are made again. */
  requestsLost(): Assignment[] {
    const again = this.is('requests-not-repeated') ? FAULT.forgotten : FAULT.waits;
    return this.each(({ fault }) =>
      fault.to(either(or(eq(fault, FAULT.asked), eq(fault, FAULT.queued)), again, fault)),
    );
  }

  /** Nobody waits for a page any more. */
  nobodyWaits(): Assignment[] {
    return this.each(({ fault }) => fault.to(FAULT.none));
  }
}

const names = (numbers: Readonly<Record<string, number>>): string => Object.keys(numbers).join(', ');
