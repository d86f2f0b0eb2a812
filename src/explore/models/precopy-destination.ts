import type { TraceEvent } from '../../trace/event.js';
import { ERRNO } from '../../uapi/errno.js';
import type { MigState } from '../../uapi/vfio.js';
import { and, type Expression, eq, gt, minus, not, or } from '../expression.js';
import type { Sync } from '../model.js';
import { DST, type Pair, type PrecopyParts } from './precopy-parts.js';
import { callEvent, failedStateEvents, granted, setStateEvents } from './vfio-parts.js';
import { vmStateEvent } from './vmm-events.js';

/** The destination's half: it loads, starts, and answers. */
export function addDestination(parts: PrecopyParts): void {
  new Destination(parts).add();
}

class Destination {
  constructor(readonly parts: PrecopyParts) {}

  add(): void {
    this.#load();
    for (const pair of this.parts.pairs) this.#device(pair);
    for (const page of this.parts.pages)
      this.#step(`has page ${page.index}`, {
        when: and(this.#loading(), eq(page.flight, 1), eq(this.parts.cut, 0)),
        set: [page.flight.to(0)],
      });
    this.#start();
    this.#fail();
    this.#again();
  }

  #step(
    name: string,
    draft: Parameters<PrecopyParts['model']['action']>[1] & { to?: keyof typeof DST },
  ): void {
    const { to, set = [], ...rest } = draft;
    const { model, dst } = this.parts;
    model.action(`destination: ${name}`, {
      labels: ['progress'],
      ...rest,
      set: [...(to === undefined ? [] : [dst.to(DST[to])]), ...set],
    });
  }

  #loading(): Expression {
    return this.parts.dstIs('loading');
  }

  #load(): void {
    const { pairs } = this.parts;
    this.#step('load_setup', {
      when: and(
        this.parts.dstIs('idle'),
        this.parts.srcIs('setup', 'active', 'stopping', 'device', 'sent'),
        eq(this.parts.cut, 0),
      ),
      sync: pairs.map(({ destination }) => destination.on('LOAD.setup')),
      to: 'loading',
    });
    const channelEmpty = and(
      ...this.parts.pages.map(({ flight }) => eq(flight, 0)),
      ...pairs.map(({ flight }) => eq(flight, 0)),
    );
    // The channel keeps the order: the end is read behind all that was sent before it.
    this.#step('reads the end', {
      when: and(
        this.#loading(),
        eq(this.parts.end, 1),
        channelEmpty,
        eq(this.parts.cut, 0),
        this.parts.is('end-refused') ? 0 : 1,
        this.parts.all(({ dst }) => dst.in('RESUMING')),
      ),
      to: 'loaded',
      set: [this.parts.end.to(0)],
    });
    if (this.parts.is('end-refused'))
      this.#step('refuses the stream at its end', {
        when: and(this.#loading(), eq(this.parts.end, 1), channelEmpty, eq(this.parts.cut, 0)),
        to: 'failed',
        set: [this.parts.answer.to(2)],
      });
  }

  #device(pair: Pair): void {
    const { dst, destination, index, flight, rest, complete, stale } = pair;
    const { cut } = this.parts;
    this.#request(pair, 'RUNNING', 'RESUMING', {
      when: this.#loading(),
      recover: 'RUNNING',
      sync: [destination.on(callEvent('RESUMING', 'RUNNING'))],
      faulty: true,
    });
    const hasData = and(this.#loading(), dst.in('RESUMING'), eq(flight, 1), eq(cut, 0));
    if (this.parts.is('stale-resuming')) this.#staleDevice(pair, hasData);
    this.#step(`writes data of vf${index} to its device`, {
      when: and(hasData, eq(stale, 0)),
      sync: [dst.chart.on('WRITE.ok'), destination.on('LOAD.record')],
      set: [flight.to(0), complete.to(rest)],
      chart: { from: 'destination', to: dst.chart.name, text: 'write' },
      events: [{ kind: 'data_write', host: 'dst', device: dst.device, size: 4096, result: 4096 }],
    });
    const starting = this.parts.dstIs('starting');
    const first: MigState = dst.caps.p2p ? 'RUNNING_P2P' : 'RUNNING';
    this.#request(pair, 'RESUMING', first, { when: starting, recover: 'ERROR', faulty: true });
    if (!dst.caps.p2p) return;
    const prepared = this.parts.all(({ dst: each }) => (each.caps.p2p ? not(each.in('RESUMING')) : 1));
    this.#request(pair, 'RUNNING_P2P', 'RUNNING', { when: and(starting, prepared), recover: 'ERROR' });
  }

  /** What a device that nobody has reset does in the second attempt. */
  #staleDevice(pair: Pair, hasData: Expression): void {
    const { dst, destination, flight, stale } = pair;
    const { answer } = this.parts;
    const call = callEvent('RESUMING', 'RUNNING');
    const unasked = and(this.#loading(), destination.in('vmm-destination', 'setup'));
    this.#request(pair, 'RESUMING', 'RESUMING', {
      when: and(unasked, eq(stale, 1)),
      recover: 'RUNNING',
      sync: [destination.on(call)],
    });
    if (dst.caps.p2p && this.parts.options.devices > 1)
      this.#request(pair, 'RUNNING_P2P', 'RESUMING', {
        when: unasked,
        recover: 'RUNNING',
        sync: [destination.on(call)],
      });
    this.#step(`writes data of ${dst.device} to no data_fd`, {
      when: and(hasData, destination.in('vmm-destination', 'loading'), eq(stale, 1)),
      sync: [dst.chart.on('WRITE.error'), destination.on('LOAD.failed')],
      to: 'failed',
      set: [flight.to(0), answer.to(2)],
      chart: { from: 'destination', to: dst.chart.name, text: 'write: EBADF' },
      events: [
        { kind: 'data_write', host: 'dst', device: dst.device, size: 4096, result: -ERRNO.EBADF! },
        { kind: 'load_cleanup', host: 'dst', device: dst.device },
      ],
    });
  }

  #request(
    { dst }: Pair,
    from: MigState,
    to: MigState,
    draft: { when: Expression; recover: MigState; sync?: readonly Sync[]; faulty?: boolean },
  ): void {
    const { when, recover, sync = [], faulty = false } = draft;
    const chart = { from: 'destination', to: dst.chart.name, text: `SET_STATE ${to}` };
    const here = and(when, dst.in(from));
    this.#step(`SET_STATE ${to} of ${dst.device} in ${from}`, {
      when: here,
      sync: [...sync, granted(dst, from, to)],
      chart,
      events: setStateEvents(dst, from, to, recover),
    });
    if (!faulty || this.parts.options.faults === 0) return;
    const { faults, answer } = this.parts;
    this.#step(`SET_STATE ${to} of ${dst.device} in ${from} fails`, {
      when: and(here, gt(faults, 0)),
      sync: [dst.chart.on(`FAIL.${to}.${from}`)],
      to: 'failed',
      set: [faults.to(minus(faults, 1)), answer.to(2)],
      chart: { ...chart, text: `SET_STATE ${to}: EIO` },
      events: failedStateEvents(dst, to, recover),
      labels: ['fault'],
    });
  }

  #start(): void {
    const { pairs, dstRuns, answer } = this.parts;
    const early = this.parts.is('resumes-early');
    this.#step('starts the devices', {
      when: early
        ? and(
            this.#loading(),
            this.parts.some(({ rest, flight }) => and(eq(rest, 1), eq(flight, 0))),
            this.parts.all(({ dst }) => dst.in('RESUMING')),
          )
        : this.parts.dstIs('loaded'),
      to: 'starting',
      events: [vmStateEvent('dst', true)],
    });
    this.#step('the vCPUs run, the source is answered', {
      when: and(
        this.parts.dstIs('starting'),
        this.parts.all(({ dst }) => dst.in('RUNNING')),
      ),
      to: 'running',
      set: [dstRuns.to(1), answer.to(1)],
      chart: { from: 'destination', to: 'source', text: 'the VM runs' },
      events: pairs.map(({ dst }) => ({ kind: 'load_cleanup', host: 'dst', device: dst.device })),
    });
    if (this.parts.is('answer-lost'))
      this.parts.model.action('return path: the answer is lost', {
        when: eq(answer, 1),
        set: [answer.to(0)],
        labels: ['fault'],
      });
  }

  /** The stream ends before its end. */
  #fail(): void {
    const gone = or(eq(this.parts.cut, 1), this.parts.srcIs('failed'));
    this.#step('the stream ends early', {
      when: and(or(this.#loading(), and(this.parts.dstIs('idle'), not(this.parts.srcIs('running')))), gone),
      to: 'failed',
    });
  }

  /** A new VMM opens the devices of the one that is gone, and waits for a second attempt. */
  #again(): void {
    const { pairs, attempt } = this.parts;
    const isReset = !this.parts.is('stale-resuming');
    this.#step(isReset ? 'a new VMM, its devices are reset' : 'a new VMM, its devices are left as they are', {
      when: and(eq(attempt, 0), this.parts.srcIs('failed'), this.parts.dstIs('failed', 'dead')),
      sync: pairs.flatMap(({ dst, destination }) => [
        destination.on('LOAD.cleanup'),
        ...(isReset ? [dst.chart.on('RESET.ok')] : []),
      ]),
      to: 'idle',
      set: isReset ? [] : pairs.map(({ dst, stale }) => stale.to(dst.in('RESUMING'))),
      chart: { from: 'destination', text: isReset ? 'new VMM, VFIO_DEVICE_RESET' : 'new VMM, no reset' },
      events: pairs.flatMap(({ dst: { device } }): TraceEvent[] => [
        { kind: 'device_open', host: 'dst', device },
        ...(isReset ? [{ kind: 'reset', host: 'dst', device, errno: 0 } as const] : []),
      ]),
      labels: ['user'],
    });
  }
}
