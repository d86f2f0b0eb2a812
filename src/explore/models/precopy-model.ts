import type { TraceEvent } from '../../trace/event.js';
import { and, eq, gt, max, minus, not, or } from '../expression.js';
import type { Assignment, Model, ModelOptions, Sync } from '../model.js';
import { addDestination } from './precopy-destination.js';
import { PrecopyParts, SRC } from './precopy-parts.js';
import { addProperties } from './precopy-properties.js';
import { addRequests } from './precopy-requests.js';
import { type DeviceHandle, sameCapabilities } from './vfio-parts.js';
import { notifierEvent, saveEvent, vmStateEvent } from './vmm-events.js';

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
    this.#onceMore();
    for (const pair of pairs) addRequests(this.#parts, pair);
    this.#dma();
    this.#faults();
    addDestination(this.#parts);
    addProperties(this.#parts);
    model.symmetric(
      'devices',
      sameCapabilities(pairs.map(({ src }) => src))
        ? pairs.map(({ src, dst, source, destination, flight, rest, complete, stale }) => [
            ...[src.chart, dst.chart, source, destination].map(({ name }) => name),
            ...[flight, rest, complete, stale].map(({ variable }) => variable),
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
    const { tracker, pages, pairs, srcIs, all } = this.#parts;
    const late = this.#parts.is('log-late');
    const begin = pages.flatMap(({ stale, pending, logged }) => [stale.to(1), pending.to(1), logged.to(0)]);
    this.#step('migrate, the dirty log is started', {
      when: srcIs('running'),
      sync: [...this.#sync('NOTIFIER.setup'), ...(late ? [] : [tracker.on('START.ok')])],
      to: 'setup',
      set: begin,
      labels: ['user'],
      events: pairs.flatMap(({ src }) => [
        notifierEvent(src, 'setup'),
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
      events: pairs.map(({ src }) => saveEvent(src, 'save_setup')),
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
    const { tracker, pages, pairs, srcIs, end } = this.#parts;
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
    const { pages, pairs, tracker, srcIs } = this.#parts;
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
        vmStateEvent('src', false),
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
    const { pairs, srcIs } = this.#parts;
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
    const { pages, srcIs, all } = this.#parts;
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
      sync: [...this.#sync('SAVE.cleanup'), ...this.#stopLog()],
      set: [cleaned.to(2)],
      events: this.#cleanupEvents(),
    });
  }

  /** The dirty log is stopped with save_cleanup; one that came late may not have been started. */
  #stopLog(): Sync[] {
    return this.#parts.is('log-late') ? [] : [this.#parts.tracker.on('STOP.ok')];
  }

  #cleanupEvents(): TraceEvent[] {
    const stopsLog = this.#stopLog().length > 0;
    return this.#parts.pairs.flatMap(({ src }) => [
      ...(stopsLog ? [dmaLog(src, 'dma_logging_stop')] : []),
      saveEvent(src, 'save_cleanup'),
    ]);
  }

  /** As QEMU up to 10.x: the VM starts, then save_cleanup, then the FAILED notifier. */
  #rollback(): void {
    const { pairs, srcIs, all } = this.#parts;
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
      events: [vmStateEvent('src', true)],
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
      sync: [...this.#sync('SAVE.cleanup'), ...this.#stopLog()],
      set: [cleaned.to(2)],
      events: this.#cleanupEvents(),
    });
    this.#step('FAILED notifier', {
      when: and(srcIs('failing'), eq(srcRuns, 1), eq(cleaned, 2)),
      sync: this.#sync('NOTIFIER.failed'),
      to: 'rolled_back',
      events: pairs.map(({ src }) => notifierEvent(src, 'failed')),
    });
    this.#step('the migration has failed', {
      when: and(
        srcIs('rolled_back'),
        all(({ src }) => src.in('RUNNING', 'STOP_COPY', 'STOP')),
      ),
      to: 'failed',
    });
  }

  /** The user tries a migration that has failed once more, when a destination waits for it. */
  #onceMore(): void {
    const { pairs, pages, srcIs, dstIs, all } = this.#parts;
    const { attempt, cleaned, broken, cut, end, answer } = this.#parts;
    this.#step('is to migrate once more', {
      when: and(
        srcIs('failed'),
        dstIs('idle'),
        eq(attempt, 0),
        all(({ src }) => src.in('RUNNING')),
      ),
      to: 'running',
      set: [
        attempt.to(1),
        ...[cleaned, broken, cut, end, answer].map((each) => each.to(0)),
        ...pairs.flatMap(({ flight, rest, complete }) => [flight.to(0), rest.to(0), complete.to(0)]),
        ...pages.map(({ flight }) => flight.to(0)),
      ],
      labels: ['user'],
    });
  }

  /** A device writes memory; what it writes is logged where the log is on. */
  #dma(): void {
    const { model, tracker, pairs, pages } = this.#parts;
    const logging = tracker.in('dma-logging', 'on');
    for (const pair of pairs)
      for (const page of pages)
        model.action(`${pair.src.device}: DMA to page ${page.index}`, {
          when: this.#parts.mayWrite(pair),
          set: [page.stale.to(1), page.logged.to(max(page.logged, logging))],
          chart: { from: pair.src.chart.name, text: `DMA to page ${page.index}` },
          labels: ['dma'],
        });
  }

  #faults(): void {
    if (this.#parts.options.faults === 0) return;
    const { model, cut, faults, src, dst, srcIs, dstIs, srcRuns, dstRuns } = this.#parts;
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

function dmaLog(
  { device, side }: DeviceHandle,
  kind: 'dma_logging_start' | 'dma_logging_report' | 'dma_logging_stop',
): TraceEvent {
  const on = { host: side, device, errno: 0 };
  if (kind === 'dma_logging_stop') return { kind, ...on };
  const log = { ...on, pageSize: 4096 };
  return kind === 'dma_logging_start'
    ? { kind, ...log, ranges: 1 }
    : { kind, ...log, iova: 0, length: 65_536 };
}
