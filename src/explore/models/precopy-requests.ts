import type { MigState } from '../../uapi/vfio.js';
import { and, type Expression, eq, gt, minus, not } from '../expression.js';
import type { Pair, PrecopyParts } from './precopy-parts.js';
import { callEvent, failedStateEvents, granted, setStateEvents } from './vfio-parts.js';

/** What the source asks of one device: SET_STATE, each with the way in which its driver fails, and resets. */
export function addRequests(parts: PrecopyParts, pair: Pair): void {
  new Requests(parts, pair).add();
}

class Requests {
  constructor(
    readonly parts: PrecopyParts,
    readonly pair: Pair,
  ) {}

  add(): void {
    this.#requests();
    this.#reset();
  }

  /** SET_STATE for one device, each with the way in which its driver fails. */
  #requests(): void {
    const { src, source } = this.pair;
    const { caps } = src;
    const vm = (state: string): Expression => source.in('vm', state);
    const { srcIs, all } = this.parts;
    if (caps.preCopy) this.#request('RUNNING', 'PRE_COPY', { when: srcIs('setup'), recover: 'RUNNING' });
    const firstDone = all(({ source: each, src: { caps: own } }) =>
      own.p2p ? not(each.in('vm', 'stop_first', 'stop_first_asked', 'start_first', 'start_first_asked')) : 1,
    );
    if (caps.p2p) {
      this.#request(caps.preCopy ? 'PRE_COPY' : 'RUNNING', caps.preCopy ? 'PRE_COPY_P2P' : 'RUNNING_P2P', {
        when: vm('stop_first'),
        recover: 'ERROR',
      });
      for (const from of this.#startsFrom())
        this.#request(from, 'RUNNING_P2P', {
          when: vm('start_first'),
          recover: 'ERROR',
          faulty: false,
        });
      this.#phase('PREPARE');
    }
    const running = caps.preCopy
      ? caps.p2p
        ? 'PRE_COPY_P2P'
        : 'PRE_COPY'
      : caps.p2p
        ? 'RUNNING_P2P'
        : 'RUNNING';
    this.#request(running, caps.preCopy ? 'STOP_COPY' : 'STOP', {
      when: and(vm('stop_last'), firstDone),
      recover: 'ERROR',
    });
    for (const from of caps.p2p ? (['RUNNING_P2P'] as const) : this.#startsFrom())
      this.#request(from, 'RUNNING', {
        when: and(vm('start_last'), firstDone),
        recover: 'ERROR',
        faulty: false,
      });
    if (caps.p2p && this.parts.options.faults > 0)
      this.#request('RUNNING', 'STOP', {
        when: and(vm('stop_last'), firstDone),
        recover: 'ERROR',
        faulty: false,
      });
    this.#phase('CHANGE');
    if (!caps.preCopy) this.#request('STOP', 'STOP_COPY', { when: srcIs('device'), recover: 'STOP' });
    this.#request('STOP_COPY', 'STOP', {
      when: and(srcIs('completed'), eq(this.parts.cleaned, 1)),
      recover: 'ERROR',
      faulty: false,
    });
    if (caps.preCopy)
      this.#request('PRE_COPY', 'RUNNING', {
        when: srcIs('rolled_back'),
        recover: 'ERROR',
        faulty: false,
      });
  }

  /** Where a stop for the switchover leaves the device; one that was reset on the way was in RUNNING. */
  #startsFrom(): MigState[] {
    const { caps } = this.pair.src;
    const { faults } = this.parts.options;
    if (!caps.preCopy) return ['STOP', 'STOP_COPY', ...(faults > 0 ? (['RUNNING'] as const) : [])];
    const reset: MigState[] = caps.p2p ? ['RUNNING', 'STOP'] : ['RUNNING'];
    return ['STOP_COPY', ...(faults > 0 ? reset : [])];
  }

  #request(
    from: MigState,
    to: MigState,
    draft: { when: Expression; recover: MigState; faulty?: boolean },
  ): void {
    const { when, recover, faulty = true } = draft;
    const { src, source } = this.pair;
    const { model, faults, broken } = this.parts;
    const chart = { from: 'source', to: src.chart.name, text: `SET_STATE ${to}` };
    const here = and(when, src.in(from));
    model.action(`source: SET_STATE ${to} of ${src.device} in ${from}`, {
      when: here,
      sync: [source.on(callEvent(to, recover)), granted(src, from, to)],
      chart,
      events: setStateEvents(src, from, to, recover),
      labels: ['progress'],
    });
    if (!faulty || this.parts.options.faults === 0) return;
    // Where the VMM does not recover to a state it resets the device, which then runs.
    const left = recover === 'ERROR' ? 'ERROR' : from;
    model.action(`source: SET_STATE ${to} of ${src.device} in ${from} fails`, {
      when: and(here, gt(faults, 0)),
      sync: [source.on(callEvent(to, recover)), src.chart.on(`FAIL.${to}.${left}`)],
      set: [faults.to(minus(faults, 1)), broken.to(1)],
      chart: { ...chart, text: `SET_STATE ${to}: EIO` },
      events: failedStateEvents(src, to, recover),
      labels: ['fault'],
    });
  }

  #reset(): void {
    const { src } = this.pair;
    if (this.parts.options.faults === 0) return;
    this.parts.model.action(`source: VFIO_DEVICE_RESET of ${src.device}`, {
      when: src.in('ERROR'),
      sync: [src.chart.on('RESET.ok')],
      chart: { from: 'source', to: src.chart.name, text: 'VFIO_DEVICE_RESET' },
      events: [{ kind: 'reset', host: 'src', device: src.device, errno: 0 }],
      labels: ['progress'],
    });
  }

  /** The VMM's chart goes on to the next phase. */
  #phase(event: 'PREPARE' | 'CHANGE'): void {
    const { src, source } = this.pair;
    const phase = event === 'PREPARE' ? 'first' : 'last';
    for (const running of [false, true])
      this.parts.model.action(`source: ${event} of ${src.device}, ${running ? 'start' : 'stop'}`, {
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
}
