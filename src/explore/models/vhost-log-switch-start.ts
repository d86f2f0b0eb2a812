import { and, type Expression, eq, not, or } from '../expression.js';
import {
  BACK_END,
  features,
  isAttached,
  type LogParts,
  message,
  type Ring,
  START,
  startOf,
  VMM,
} from './vhost-log-switch-parts.js';

/** The guest's driver starts the device: features, rings, the log where it is wanted, and the rings run. */
export function addStart(parts: LogParts): void {
  const { model, device, vmm } = parts;
  model.action('VMM: SET_MEM_TABLE', {
    when: device.in('memory', 'none'),
    sync: [device.on('MEM')],
    chart: { from: VMM, to: BACK_END, text: 'SET_MEM_TABLE' },
    events: message('SET_MEM_TABLE', { kind: 'vhost_mem_table' }),
    labels: ['progress'],
  });
  const mayStart = parts.is('no-start-while-logging') ? parts.at('none') : parts.at('none', 'active');
  for (const log of [false, true]) {
    const event = log ? 'LOG_ALL.on' : 'LOG_ALL.off';
    model.action(`VMM: starts the device, SET_FEATURES ${log ? 'with' : 'without'} LOG_ALL`, {
      when: and(
        parts.startIs('stopped'),
        mayStart,
        log ? parts.logging : not(parts.logging),
        device.in('memory', 'table'),
      ),
      sync: [vmm.on(event), device.on(event)],
      set: [parts.start.to(START.features)],
      chart: { from: VMM, to: BACK_END, text: `SET_FEATURES ${log ? '+' : '-'}LOG_ALL` },
      events: [startOf(true), ...message('SET_FEATURES', features(log))],
      labels: ['guest'],
    });
  }
  const areReady = and(...parts.rings.map(({ ready }) => eq(ready, 1)));
  for (const ring of parts.rings) addSetUp(parts, ring);
  addLogOfStart(parts, areReady);
  for (const ring of parts.rings) addKick(parts, ring, areReady);
  const late = parts.is('qemu-11.1');
  model.action('VMM: the device runs', {
    when: and(
      parts.startIs('features', 'logged'),
      parts.allAttached,
      late ? or(not(parts.logging), eq(parts.released, 0)) : 1,
    ),
    set: [parts.start.to(START.running)],
    events: [startOf(false)],
    labels: ['progress'],
  });
}

function addSetUp(parts: LogParts, { index, chart, ready }: Ring): void {
  parts.model.action(`ring ${index}: SET_VRING_NUM`, {
    when: chart.in('size', 'unset'),
    sync: [chart.on('NUM.ok')],
    chart: { from: VMM, to: BACK_END, text: `SET_VRING_NUM ${index}` },
    events: message('SET_VRING_NUM', { kind: 'vring_num', index }),
    labels: ['progress'],
  });
  for (const log of [false, true])
    parts.model.action(`ring ${index}: SET_VRING_ADDR ${log ? 'with' : 'without'} log flag`, {
      when: and(
        parts.startIs('features'),
        eq(ready, 0),
        chart.in('size', 'set'),
        log ? parts.logging : not(parts.logging),
      ),
      sync: [chart.on(log ? 'ADDR.log' : 'ADDR.plain')],
      set: [ready.to(1)],
      chart: { from: VMM, to: BACK_END, text: `SET_VRING_ADDR ${index}${log ? ' +F_LOG' : ''}` },
      events: message('SET_VRING_ADDR', { kind: 'vring_addr', index, log }),
      labels: ['progress'],
    });
}

/** The log comes before the rings run; in the variant when they do. */
function addLogOfStart(parts: LogParts, areReady: Expression): void {
  const { vmm, device, released, start } = parts;
  const late = parts.is('qemu-11.1');
  parts.model.action('VMM: SET_LOG_BASE of the device that starts', {
    when: and(
      late
        ? and(parts.startIs('features', 'running'), parts.allAttached, eq(released, 1))
        : parts.startIs('features'),
      parts.logging,
      areReady,
    ),
    sync: [vmm.on('LOG.base'), device.on('LOG.base')],
    set: [...(late ? [] : [start.to(START.logged)]), released.to(0)],
    chart: { from: VMM, to: BACK_END, text: 'SET_LOG_BASE' },
    events: message('SET_LOG_BASE', { kind: 'vhost_log_base' }),
    labels: ['progress'],
  });
}

function addKick(parts: LogParts, ring: Ring, areReady: Expression): void {
  const { index, chart, ready } = ring;
  for (const log of [false, true]) {
    const early = log && parts.is('qemu-11.1');
    parts.model.action(`ring ${index}: SET_VRING_KICK, it runs${log ? ' and logs' : ''}`, {
      when: and(
        eq(ready, 1),
        not(isAttached(ring)),
        areReady,
        log
          ? and(parts.logging, parts.startIs(early ? 'features' : 'logged'))
          : and(not(parts.logging), parts.startIs('features')),
      ),
      // The chart of the VMM refuses a ring that runs with LOG_ALL and without a log.
      sync: [
        chart.on('ATTACH'),
        parts.device.on('RUN'),
        ...(early ? [] : [parts.vmm.on(log ? 'RUN.log' : 'RUN')]),
      ],
      chart: { from: VMM, to: BACK_END, text: `SET_VRING_KICK ${index}` },
      events: message('SET_VRING_KICK', { kind: 'vring_kick_fd', index, attached: true }),
      labels: ['progress'],
    });
  }
}

/** The guest's driver stops the device: ring by ring, and what the log holds is harvested. */
export function addStop(parts: LogParts): void {
  const { model, start } = parts;
  model.action('VMM: stops the device', {
    when: and(parts.startIs('running'), parts.at('none', 'active')),
    set: [start.to(START.stopping)],
    labels: ['guest'],
  });
  for (const ring of parts.rings) addRingStop(parts, ring);
  const isStopped = and(parts.startIs('stopping'), not(parts.anyAttached));
  model.action('VMM: the device is stopped', {
    when: and(isStopped, not(parts.logging)),
    set: [start.to(START.stopped)],
    labels: ['progress'],
  });
  model.action('VMM: the device is stopped, the log is harvested and released', {
    when: and(isStopped, parts.logging),
    set: [
      start.to(START.stopped),
      parts.released.to(1),
      parts.exchanged.to(0),
      ...parts.harvested(parts.is('put-without-sync')),
    ],
    labels: ['progress'],
  });
}

function addRingStop(parts: LogParts, ring: Ring): void {
  const { index, chart, ready } = ring;
  const others = parts.rings.filter((other) => other !== ring);
  const stop = (name: string, when: Expression, last: boolean) =>
    parts.model.action(`ring ${index}: ${name}`, {
      when: and(parts.startIs('stopping'), isAttached(ring), when),
      sync: [chart.on('DETACH'), ...(last ? [parts.device.on('HALT')] : [])],
      set: [ready.to(0)],
      chart: { from: VMM, to: BACK_END, text: `GET_VRING_BASE ${index}` },
      events: message('GET_VRING_BASE', { kind: 'vring_base_read', index }),
      labels: ['progress'],
    });
  if (others.length > 0) stop('GET_VRING_BASE, it stops', or(...others.map(isAttached)), false);
  const isLast = and(...others.map((other) => not(isAttached(other))));
  stop('GET_VRING_BASE, the last one stops', isLast, true);
}
