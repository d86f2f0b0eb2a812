import type { TraceEvent } from '../../trace/event.js';
import type { MigState } from '../../uapi/vfio.js';
import { and, type Expression, eq, gt, max, minus, not, or } from '../expression.js';
import type { Assignment, Model, ModelOptions } from '../model.js';
import { addDestination } from './precopy-destination.js';
import { type Pair, PrecopyParts, SRC } from './precopy-parts.js';
import { addProperties } from './precopy-properties.js';
import { callEvent, type DeviceHandle, granted, isRunning, setStateEvents } from './vfio-parts.js';

const notifier = ({ device, side }: DeviceHandle, event: 'setup' | 'failed' | 'done'): TraceEvent => ({
  kind: 'notifier',
  host: side,
  device,
  event,
});

/** The source's half, and what both have in common. */
export class PrecopyModel {
  readonly #parts: PrecopyParts;

  constructor(options: ModelOptions) {
    this.#parts = new PrecopyParts(options);
  }

  build(): Model {
    const { model, pairs, pages } = this.#parts;
    this.#setup();
    this.#iterate();
    this.#stop();
    this.#drain();
    this.#end();
    this.#rollback();
    for (const pair of pairs) {
      this.#requests(pair);
      this.#reset(pair);
    }
    this.#dma();
    this.#faults();
    addDestination(this.#parts);
    addProperties(this.#parts);
    const same = pairs.every(({ src }) => src.caps === pairs[0]!.src.caps);
    model.symmetric(
      'devices',
      same
        ? pairs.map(({ src, dst, source, destination, flight, rest, complete }) => [
            ...[src.chart, dst.chart, source, destination].map(({ name }) => name),
            ...[flight, rest, complete].map(({ variable }) => variable),
          ])
        : [],
    );
    model.symmetric(
      'pages',
      pages.map(({ stale, logged, pending, flight }) =>
        [stale, logged, pending, flight].map(({ variable }) => variable),
      ),
    );
    return model.build();
  }

  #sync(event: string) {
    return this.#parts.pairs.map(({ source }) => source.on(event));
  }

  #step(
    name: string,
    draft: Parameters<PrecopyParts['model']['action']>[1] & {
      to?: keyof typeof SRC;
      set?: readonly Assignment[];
    },
  ): void {
    const { to, set = [], ...rest } = draft;
    const { model, src } = this.#parts;
    model.action(`source: ${name}`, {
      labels: ['progress'],
      ...rest,
      set: [...(to === undefined ? [] : [src.to(SRC[to])]), ...set],
    });
  }

  #setup(): void {
    const { tracker, pages, pairs, srcIs, all } = bound(this.#parts);
    const late = this.#parts.is('log-late');
    const begin = pages.flatMap(({ stale, pending, logged }) => [stale.to(1), pending.to(1), logged.to(0)]);
    this.#step('migrate, the dirty log is started', {
      when: srcIs('running'),
      sync: [...this.#sync('NOTIFIER.setup'), ...(late ? [] : [tracker.on('START.ok')])],
      to: 'setup',
      set: begin,
      labels: ['user'],
      events: pairs.flatMap(({ src }) => [
        notifier(src, 'setup'),
        ...(late ? [] : [dmaLog(src, 'dma_logging_start')]),
      ]),
    });
    this.#step('save_setup of all is done', {
      when: and(
        srcIs('setup'),
        eq(this.#parts.broken, 0),
        all(({ src }) => src.in(src.caps.preCopy ? 'PRE_COPY' : 'RUNNING')),
      ),
      sync: this.#sync('SAVE.setup'),
      to: 'active',
      events: pairs.map(({ src }) => ({ kind: 'save_setup', host: 'src', device: src.device })),
    });
    if (late)
      this.#step('the dirty log is started, late', {
        when: and(
          srcIs('active'),
          tracker.in('dma-logging', 'off'),
          or(...pages.map(({ flight, pending }) => or(eq(flight, 1), eq(pending, 0)))),
        ),
        labels: ['switchover'],
        sync: [tracker.on('START.ok')],
        events: pairs.map(({ src }) => dmaLog(src, 'dma_logging_start')),
      });
  }

  #iterate(): void {
    const { tracker, pages, pairs, srcIs, end } = bound(this.#parts);
    const { cut } = this.#parts;
    for (const page of pages)
      this.#step(`sends page ${page.index}`, {
        when: and(srcIs('active', 'device'), eq(page.pending, 1), eq(page.flight, 0), eq(cut, 0), eq(end, 0)),
        set: [page.pending.to(0), page.stale.to(0), page.flight.to(1)],
        chart: { from: 'source', to: 'destination', text: `page ${page.index}` },
      });
    const clear = this.#parts.is('cleared-unsent');
    this.#step('DMA_LOGGING_REPORT', {
      when: and(srcIs('active'), or(...pages.map(({ logged }) => eq(logged, 1)))),
      sync: [tracker.on('REPORT.ok')],
      set: pages.flatMap(({ pending, logged }) => [
        ...(clear ? [] : [pending.to(max(pending, logged))]),
        logged.to(0),
      ]),
      events: pairs.map(({ src }) => dmaLog(src, 'dma_logging_report')),
    });
    for (const { src, index, flight } of pairs) {
      if (!src.caps.preCopy) continue;
      this.#step(`reads pre-copy data of vf${index}`, {
        when: and(srcIs('active'), src.in('PRE_COPY'), eq(flight, 0), eq(cut, 0)),
        sync: [src.chart.on('READ.data')],
        set: [flight.to(1)],
        chart: { from: 'source', to: 'destination', text: `pre-copy data of vf${index}` },
        events: [{ kind: 'data_read', host: 'src', device: src.device, size: 4096, result: 4096 }],
      });
    }
  }

  #stop(): void {
    const { pages, pairs, tracker, srcIs } = bound(this.#parts);
    const early = this.#parts.is('last-sync-before-stop');
    const sync = pages.flatMap(({ pending, logged }) => [pending.to(max(pending, logged)), logged.to(0)]);
    const started = this.#parts.is('log-late') ? tracker.in('dma-logging', 'on') : 1;
    this.#step('switchover, the VM stops', {
      when: and(srcIs('active'), eq(this.#parts.broken, 0), started),
      sync: [...this.#sync('VM.stop'), ...(early ? [tracker.on('REPORT.ok')] : [])],
      to: 'stopping',
      set: [this.#parts.srcRuns.to(0), ...(early ? sync : [])],
      labels: ['switchover'],
      events: [
        { kind: 'vm_state', host: 'src', running: false, reason: 'finish-migrate' },
        ...(early ? pairs.map(({ src }) => dmaLog(src, 'dma_logging_report')) : []),
      ],
    });
    this.#step(early ? 'all are stopped' : 'all are stopped, the last DMA_LOGGING_REPORT', {
      when: and(srcIs('stopping'), this.#parts.quiet(), eq(this.#parts.broken, 0)),
      sync: [...this.#sync('SAVE.drain'), ...(early ? [] : [tracker.on('REPORT.ok')])],
      to: 'device',
      set: early ? [] : sync,
      events: pairs.flatMap(({ src }): TraceEvent[] => [
        ...(early ? [] : [dmaLog(src, 'dma_logging_report')]),
        { kind: 'save_complete_start', host: 'src', device: src.device },
      ]),
    });
  }

  /** The rest of each device's data, to its end. */
  #drain(): void {
    const { pairs, srcIs } = bound(this.#parts);
    for (const { src, index, source, flight, rest } of pairs) {
      this.#step(`reads the rest of vf${index}`, {
        when: and(srcIs('device'), src.in('STOP_COPY'), eq(flight, 0), eq(rest, 0), eq(this.#parts.cut, 0)),
        sync: [src.chart.on('READ.data')],
        set: [flight.to(1), rest.to(1)],
        chart: { from: 'source', to: 'destination', text: `stop-copy data of vf${index}` },
        events: [{ kind: 'data_read', host: 'src', device: src.device, size: 4096, result: 4096 }],
      });
      this.#step(`reads vf${index} to its end`, {
        when: and(srcIs('device'), src.in('STOP_COPY'), eq(rest, 1), not(src.chart.in('session', 'ended'))),
        sync: [src.chart.on('READ.end'), source.on('SAVE.drained')],
        events: [
          { kind: 'data_read', host: 'src', device: src.device, size: 4096, result: 0 },
          { kind: 'save_complete', host: 'src', device: src.device, errno: 0 },
        ],
      });
    }
  }

  #end(): void {
    const { pages, pairs, srcIs, all } = bound(this.#parts);
    const { end, answer, cut, cleaned } = this.#parts;
    const drained = this.#parts.is('not-drained') ? 1 : all(({ src }) => src.chart.in('session', 'ended'));
    this.#step('sends the end', {
      when: and(srcIs('device'), eq(cut, 0), drained, ...pages.map(({ pending }) => eq(pending, 0))),
      to: 'sent',
      set: [end.to(1)],
      chart: { from: 'source', to: 'destination', text: 'end of the stream' },
    });
    this.#step('hears that the destination runs', {
      when: and(srcIs('sent'), eq(answer, 1), eq(cut, 0)),
      to: 'completed',
      set: [answer.to(0)],
    });
    this.#step('hears that the destination has failed', {
      when: and(srcIs('sent'), eq(answer, 2), eq(cut, 0)),
      to: 'failing',
      set: [answer.to(0)],
    });
    const restart = this.#parts.is('restart-after-end');
    this.#step('has lost the channel after the end was sent', {
      when: and(srcIs('sent'), eq(cut, 1)),
      to: restart ? 'failing' : 'ambiguous',
    });
    this.#step('cleanup of what has moved', {
      when: and(srcIs('completed'), eq(cleaned, 0)),
      sync: this.#sync('CLEANUP'),
      set: [cleaned.to(1)],
    });
    this.#step('save_cleanup of what has moved', {
      when: and(
        srcIs('completed'),
        eq(cleaned, 1),
        all(({ src }) => src.in('STOP')),
      ),
      sync: this.#sync('SAVE.cleanup'),
      set: [cleaned.to(2)],
      events: pairs.map(({ src }) => ({ kind: 'save_cleanup', host: 'src', device: src.device })),
    });
  }

  /** As QEMU up to 10.x: the VM starts, then save_cleanup, then the FAILED notifier. */
  #rollback(): void {
    const { pairs, srcIs, all } = bound(this.#parts);
    const { srcRuns, cut, broken, cleaned, answer } = this.#parts;
    const before = srcIs('setup', 'active', 'device');
    this.#step('notices that the channel or a driver has failed', {
      when: and(
        or(before, and(srcIs('stopping'), this.#parts.quiet())),
        or(eq(cut, 1), eq(broken, 1), eq(answer, 2)),
      ),
      to: 'failing',
    });
    const heard = this.#parts.is('cancel-unheard') ? 0 : 1;
    for (const [name, when] of [
      ['cancel, while the VM runs', and(srcIs('setup', 'active'), heard)],
      ['cancel, when the VM is stopped', srcIs('device')],
    ] as const)
      this.#step(name, {
        when,
        to: 'failing',
        labels: ['user'],
        events: [{ kind: 'migration_cancel', host: 'src' }],
      });
    const stopped = and(srcIs('failing'), eq(srcRuns, 0));
    if (this.#parts.is('restart-without-rollback'))
      this.#step('starts the vCPUs, and nothing else', {
        when: stopped,
        set: [srcRuns.to(1)],
      });
    this.#step('starts the VM again', {
      when: and(
        stopped,
        this.#parts.is('stays-stopped') || this.#parts.is('restart-without-rollback') ? 0 : 1,
      ),
      sync: this.#sync('VM.start'),
      to: 'starting',
      events: [{ kind: 'vm_state', host: 'src', running: true, reason: 'running' }],
    });
    this.#step('the vCPUs run again', {
      when: and(
        srcIs('starting'),
        this.#parts.quiet(),
        all(({ src }) => src.in('RUNNING')),
      ),
      to: 'failing',
      set: [srcRuns.to(1)],
    });
    this.#step('cleanup of what has failed', {
      when: and(srcIs('failing'), eq(srcRuns, 1), eq(cleaned, 0)),
      sync: this.#sync('CLEANUP'),
      set: [cleaned.to(1)],
    });
    this.#step('save_cleanup of what has failed', {
      when: and(srcIs('failing'), eq(srcRuns, 1), eq(cleaned, 1)),
      sync: this.#sync('SAVE.cleanup'),
      set: [cleaned.to(2)],
      events: pairs.map(({ src }) => ({ kind: 'save_cleanup', host: 'src', device: src.device })),
    });
    this.#step('FAILED notifier', {
      when: and(srcIs('failing'), eq(srcRuns, 1), eq(cleaned, 2)),
      sync: this.#sync('NOTIFIER.failed'),
      to: 'rolled_back',
      events: pairs.map(({ src }) => notifier(src, 'failed')),
    });
    this.#step('the migration has failed', {
      when: and(
        srcIs('rolled_back'),
        all(({ src }) => src.in('RUNNING', 'STOP_COPY', 'STOP')),
      ),
      to: 'failed',
    });
  }

  /** SET_STATE for one device, each with the way in which its driver fails. */
  #requests(pair: Pair): void {
    const { src, source } = pair;
    const { caps } = src;
    const vm = (state: string): Expression => source.in('vm', state);
    const { srcIs, all } = bound(this.#parts);
    if (caps.preCopy)
      this.#request(pair, 'RUNNING', 'PRE_COPY', { when: srcIs('setup'), recover: 'RUNNING' });
    const firstDone = all(({ source: each, src: { caps: own } }) =>
      own.p2p ? not(each.in('vm', 'stop_first', 'stop_first_asked', 'start_first', 'start_first_asked')) : 1,
    );
    if (caps.p2p) {
      this.#request(
        pair,
        caps.preCopy ? 'PRE_COPY' : 'RUNNING',
        caps.preCopy ? 'PRE_COPY_P2P' : 'RUNNING_P2P',
        { when: vm('stop_first'), recover: 'ERROR' },
      );
      for (const from of this.#startsFrom(pair))
        this.#request(pair, from, 'RUNNING_P2P', {
          when: vm('start_first'),
          recover: 'ERROR',
          faulty: false,
        });
      this.#phase(pair, 'PREPARE');
    }
    const running = caps.preCopy
      ? caps.p2p
        ? 'PRE_COPY_P2P'
        : 'PRE_COPY'
      : caps.p2p
        ? 'RUNNING_P2P'
        : 'RUNNING';
    this.#request(pair, running, caps.preCopy ? 'STOP_COPY' : 'STOP', {
      when: and(vm('stop_last'), firstDone),
      recover: 'ERROR',
    });
    for (const from of caps.p2p ? (['RUNNING_P2P'] as const) : this.#startsFrom(pair))
      this.#request(pair, from, 'RUNNING', {
        when: and(vm('start_last'), firstDone),
        recover: 'ERROR',
        faulty: false,
      });
    if (caps.p2p && this.#parts.options.faults > 0)
      this.#request(pair, 'RUNNING', 'STOP', {
        when: and(vm('stop_last'), firstDone),
        recover: 'ERROR',
        faulty: false,
      });
    this.#phase(pair, 'CHANGE');
    if (!caps.preCopy) this.#request(pair, 'STOP', 'STOP_COPY', { when: srcIs('device'), recover: 'STOP' });
    this.#request(pair, 'STOP_COPY', 'STOP', {
      when: and(srcIs('completed'), eq(this.#parts.cleaned, 1)),
      recover: 'ERROR',
      faulty: false,
    });
    if (caps.preCopy)
      this.#request(pair, 'PRE_COPY', 'RUNNING', {
        when: srcIs('rolled_back'),
        recover: 'ERROR',
        faulty: false,
      });
  }

  /** Where a stop for the switchover leaves the device; one that was reset on the way was in RUNNING. */
  #startsFrom({ src: { caps } }: Pair): MigState[] {
    const { faults } = this.#parts.options;
    if (!caps.preCopy) return ['STOP', 'STOP_COPY', ...(faults > 0 ? (['RUNNING'] as const) : [])];
    const reset: MigState[] = caps.p2p ? ['RUNNING', 'STOP'] : ['RUNNING'];
    return ['STOP_COPY', ...(faults > 0 ? reset : [])];
  }

  #request(
    { src, source }: Pair,
    from: MigState,
    to: MigState,
    draft: { when: Expression; recover: MigState; faulty?: boolean },
  ): void {
    const { when, recover, faulty = true } = draft;
    const { model, faults, broken } = this.#parts;
    const chart = { from: 'source', to: src.chart.name, text: `SET_STATE ${to}` };
    const here = and(when, src.in(from));
    model.action(`source: SET_STATE ${to} of ${src.device} in ${from}`, {
      when: here,
      sync: [source.on(callEvent(to, recover)), granted(src, from, to)],
      chart,
      events: setStateEvents(src, from, to, recover),
      labels: ['progress'],
    });
    if (!faulty || this.#parts.options.faults === 0) return;
    // Where the VMM does not recover to a state it resets the device, which then runs.
    const left = recover === 'ERROR' ? 'ERROR' : from;
    model.action(`source: SET_STATE ${to} of ${src.device} in ${from} fails`, {
      when: and(here, gt(faults, 0)),
      sync: [source.on(callEvent(to, recover)), src.chart.on(`FAIL.${to}.${left}`)],
      set: [faults.to(minus(faults, 1)), broken.to(1)],
      chart: { ...chart, text: `SET_STATE ${to}: EIO` },
      events: [
        { kind: 'set_state', host: 'src', device: src.device, state: to, recover },
        { kind: 'set_state_result', host: 'src', device: src.device, errno: 5 },
      ],
      labels: ['fault'],
    });
  }

  #reset({ src }: Pair): void {
    if (this.#parts.options.faults === 0) return;
    this.#parts.model.action(`source: VFIO_DEVICE_RESET of ${src.device}`, {
      when: src.in('ERROR'),
      sync: [src.chart.on('RESET.ok')],
      chart: { from: 'source', to: src.chart.name, text: 'VFIO_DEVICE_RESET' },
      events: [{ kind: 'reset', host: 'src', device: src.device, errno: 0 }],
      labels: ['progress'],
    });
  }

  /** The VMM's chart goes on to the next phase. */
  #phase({ src, source }: Pair, event: 'PREPARE' | 'CHANGE'): void {
    const phase = event === 'PREPARE' ? 'first' : 'last';
    for (const running of [false, true])
      this.#parts.model.action(`source: ${event} of ${src.device}, ${running ? 'start' : 'stop'}`, {
        when: and(source.in('vm', `${running ? 'start' : 'stop'}_${phase}_asked`), not(src.in('ERROR'))),
        sync: [source.on(event)],
        events: [
          {
            kind: event === 'PREPARE' ? 'vmstate_prepare' : 'vmstate_change',
            host: 'src',
            device: src.device,
            running,
            reason: running ? 'running' : 'finish-migrate',
          },
        ],
        labels: ['progress'],
      });
  }

  /** A device writes memory; what it writes is logged where the log is on. */
  #dma(): void {
    const { model, tracker, pairs, pages } = this.#parts;
    const logging = tracker.in('dma-logging', 'on');
    for (const { src, index } of pairs)
      for (const page of pages)
        model.action(`vf${index}: DMA to page ${page.index}`, {
          when: this.#parts.is('dma-after-stop') ? not(src.in('ERROR')) : src.is(isRunning),
          set: [page.stale.to(1), page.logged.to(max(page.logged, logging))],
          chart: { from: src.chart.name, text: `DMA to page ${page.index}` },
          labels: [`dma ${index}`, 'dma'],
        });
  }

  #faults(): void {
    if (this.#parts.options.faults === 0) return;
    const { model, cut, faults, src, dst, srcIs, dstIs, srcRuns, dstRuns } = bound(this.#parts);
    const spend = faults.to(minus(faults, 1));
    const underWay = srcIs('setup', 'active', 'stopping', 'device', 'sent');
    model.action('channel: is cut', {
      when: and(gt(faults, 0), eq(cut, 0), underWay),
      set: [spend, cut.to(1)],
      labels: ['fault'],
    });
    model.action('source: dies', {
      when: and(gt(faults, 0), underWay, eq(cut, 0)),
      set: [spend, cut.to(1), src.to(SRC.dead), srcRuns.to(0)],
      labels: ['fault'],
    });
    model.action('destination: dies', {
      when: and(gt(faults, 0), dstIs('loading', 'loaded', 'starting'), eq(cut, 0), underWay),
      set: [spend, cut.to(1), dst.to(6), dstRuns.to(0)],
      labels: ['fault'],
    });
  }
}

/** The methods of the parts, as functions. */
function bound(parts: PrecopyParts) {
  return {
    ...parts,
    srcIs: parts.srcIs.bind(parts),
    dstIs: parts.dstIs.bind(parts),
    all: parts.all.bind(parts),
    some: parts.some.bind(parts),
  };
}

function dmaLog(
  { device, side }: DeviceHandle,
  kind: 'dma_logging_start' | 'dma_logging_report',
): TraceEvent {
  const on = { host: side, device, pageSize: 4096, errno: 0 };
  return kind === 'dma_logging_start' ? { kind, ...on, ranges: 1 } : { kind, ...on, iova: 0, length: 65_536 };
}
