import { dmaLogging } from '../../machines/dma-logging.js';
import { vmmDestination } from '../../machines/vmm-destination.js';
import { vmmSource } from '../../machines/vmm-source.js';
import { type ComponentHandle, ModelBuilder, type VariableHandle } from '../builder.js';
import { and, type Expression, eq, not, or } from '../expression.js';
import type { ModelOptions } from '../model.js';
import { addDevice, capabilitiesOf, type DeviceHandle, isRunning } from './vfio-parts.js';

/** How far the source is. */
export const SRC = {
  running: 0,
  setup: 1,
  active: 2,
  stopping: 3,
  device: 4,
  sent: 5,
  completed: 6,
  failing: 7,
  starting: 8,
  rolled_back: 9,
  failed: 10,
  ambiguous: 11,
  dead: 12,
};
/** How far the destination is. */
export const DST = { idle: 0, loading: 1, loaded: 2, starting: 3, running: 4, failed: 5, dead: 6 };

/** A device of the VM, on both hosts, with the VMM's charts for it. */
export interface Pair {
  readonly index: number;
  readonly src: DeviceHandle;
  readonly dst: DeviceHandle;
  readonly source: ComponentHandle;
  readonly destination: ComponentHandle;
  /** Device data in the channel; what is last was read when the device was stopped. */
  readonly flight: VariableHandle;
  /** What was read since the device stopped is in the channel, or beyond. */
  readonly rest: VariableHandle;
  /** The destination has all of it. */
  readonly complete: VariableHandle;
  /** The destination's device is in RESUMING since an attempt before: nobody has its data_fd. */
  readonly stale: VariableHandle;
}

export interface Page {
  readonly index: number;
  /** Written since it was sent. */
  readonly stale: VariableHandle;
  /** In the dirty log, in the VMM's bitmap of what is to be sent, in the channel. */
  readonly logged: VariableHandle;
  readonly pending: VariableHandle;
  readonly flight: VariableHandle;
}

/** What a pre-copy migration is made of. */
export class PrecopyParts {
  readonly model: ModelBuilder;
  readonly tracker: ComponentHandle;
  readonly pairs: readonly Pair[];
  readonly pages: readonly Page[];
  readonly src: VariableHandle;
  readonly dst: VariableHandle;
  /** The vCPUs run at the source, at the destination. */
  readonly srcRuns: VariableHandle;
  readonly dstRuns: VariableHandle;
  /** 1: the end of the stream is in the channel. */
  readonly end: VariableHandle;
  /** What the destination answers: nothing yet, that it runs, that it has failed. */
  readonly answer: VariableHandle;
  readonly cut: VariableHandle;
  readonly faults: VariableHandle;
  /** A driver has failed at the source: the migration fails when it is next looked at. */
  readonly broken: VariableHandle;
  /** The cleanup after a failure is done. */
  readonly cleaned: VariableHandle;
  /** 1: the migration that failed is tried once more. */
  readonly attempt: VariableHandle;

  constructor(readonly options: ModelOptions) {
    const model = new ModelBuilder('precopy', 'A whole pre-copy migration', options);
    this.model = model;
    this.tracker = model.component('dirty log', dmaLogging());
    this.src = model.variable('source', `the source: ${Object.keys(SRC).join(', ')}`, 12);
    this.dst = model.variable('destination', `the destination: ${Object.keys(DST).join(', ')}`, 6);
    this.srcRuns = model.variable('source runs', 'vCPUs run at the source', 1, 1);
    this.dstRuns = model.variable('destination runs', 'vCPUs run at the destination', 1);
    this.end = model.variable('end', 'the end of the stream is in the channel', 1);
    this.answer = model.variable('answer', 'of the destination: none, it runs, it has failed', 2);
    this.cut = model.variable('cut', 'the channel is cut', 1);
    this.faults = model.variable(
      'faults',
      'faults that may still come',
      Math.max(1, options.faults),
      options.faults,
    );
    this.broken = model.variable('broken', 'a driver has failed at the source', 1);
    this.cleaned = model.variable('cleaned', 'save_cleanup is done', 2);
    this.attempt = model.variable('attempt', 'the migration is tried once more', 1);
    this.pairs = Array.from({ length: options.devices }, (_, index) => {
      const caps = capabilitiesOf(options, index);
      return {
        index,
        src: addDevice(model, index, 'src', { caps }),
        dst: addDevice(model, index, 'dst', { caps }),
        source: model.component(`source of vf${index}`, vmmSource(caps.p2p)),
        destination: model.component(`destination of vf${index}`, vmmDestination()),
        flight: model.variable(`data ${index}`, 'device data is in the channel', 1),
        rest: model.variable(`rest ${index}`, 'the rest was read', 1),
        complete: model.variable(`complete ${index}`, 'the destination has all device data', 1),
        stale: model.variable(`stale ${index}`, 'in RESUMING since the attempt before', 1),
      };
    });
    this.pages = Array.from({ length: options.pages }, (_, index) => ({
      index,
      stale: model.variable(`page ${index} stale`, 'written since it was sent', 1),
      logged: model.variable(`page ${index} logged`, 'in the dirty log', 1),
      pending: model.variable(`page ${index} pending`, 'to be sent', 1),
      flight: model.variable(`page ${index} in flight`, 'in the channel', 1),
    }));
  }

  is(variant: string): boolean {
    return this.options.variant === variant;
  }

  readonly srcIs = (...states: (keyof typeof SRC)[]): Expression =>
    or(...states.map((state) => eq(this.src, SRC[state])));

  readonly dstIs = (...states: (keyof typeof DST)[]): Expression =>
    or(...states.map((state) => eq(this.dst, DST[state])));

  readonly all = (make: (pair: Pair) => Expression): Expression => and(...this.pairs.map(make));

  readonly some = (make: (pair: Pair) => Expression): Expression => or(...this.pairs.map(make));

  /** A device may write memory. */
  mayWrite({ src }: Pair): Expression {
    return this.is('dma-after-stop') ? not(src.in('ERROR')) : src.is(isRunning);
  }

  /** No stop or start is under way at the source. */
  quiet(): Expression {
    return this.all(({ source }) => source.in('vm', 'quiet'));
  }
}
