import { and, eq, max, or } from '../expression.js';
import { BACK_END, features, type LogParts, message, PHASE, START, VMM } from './vhost-log-switch-parts.js';

/** Pages are sent, and the log tells which ones have to be sent again. */
export function addTransfer(parts: LogParts): void {
  const { model, exchanged } = parts;
  for (const { name, pending, stale } of parts.pages)
    model.action(`VMM: sends ${name}`, {
      when: and(parts.at('active', 'final'), eq(pending, 1)),
      set: [pending.to(0), stale.to(0)],
      chart: { from: VMM, to: 'destination', text: name },
      labels: ['progress'],
    });
  const apart = parts.is('read-then-clear');
  model.action('VMM: harvests the log', {
    when: and(parts.at('active'), parts.someLogged),
    set: apart
      ? parts.each(({ logged, old, pending }) => [pending.to(max(pending, logged, old)), old.to(0)])
      : [...parts.harvested(), exchanged.to(0)],
    labels: ['progress'],
  });
  if (apart)
    model.action('VMM: clears the log', {
      when: and(parts.at('active'), parts.someLogged),
      set: parts.each(({ logged }) => [logged.to(0)]),
      labels: ['progress'],
    });
}

/** The device stops, the log is harvested for the last time, the rest is sent. */
export function addSwitchover(parts: LogParts): void {
  const { model, phase } = parts;
  model.action('VMM: switchover', {
    when: and(parts.at('active'), parts.is('never-switches-over') ? 0 : 1),
    set: [phase.to(PHASE.switchover)],
    labels: ['switchover'],
  });
  const [running, stopped] = [parts.startIs('running'), parts.startIs('stopped')];
  const hasty = parts.is('harvest-before-stop');
  model.action('VMM: stops the device for the switchover', {
    when: and(parts.at(hasty ? 'final' : 'switchover'), running),
    set: [parts.start.to(START.stopping)],
    labels: ['progress'],
  });
  model.action('VMM: the last harvest', {
    when: and(
      parts.at('switchover'),
      hasty ? or(running, stopped) : stopped,
      parts.is('waits-for-a-bit') ? parts.someLogged : 1,
    ),
    set: [phase.to(PHASE.final), parts.exchanged.to(0), ...parts.harvested()],
    labels: ['progress'],
  });
  model.action('VMM: the migration completes', {
    when: and(parts.at('final'), hasty ? stopped : 1, ...parts.pages.map(({ pending }) => eq(pending, 0))),
    set: [phase.to(PHASE.completed)],
    labels: ['progress'],
  });
}

/** A cancel switches the log off: LOG_ALL, the rings' flags, and then it is released. */
export function addCancel(parts: LogParts): void {
  const { model, phase, released, exchanged, vmm, device } = parts;
  const settled = parts.each(({ stale, logged, old, pending }) =>
    [stale, logged, old, pending].map((each) => each.to(0)),
  );
  model.action('VMM: cancel, with the device stopped', {
    when: and(parts.at('active'), parts.startIs('stopped')),
    set: [phase.to(PHASE.none), exchanged.to(0), ...settled],
    labels: ['user'],
  });
  model.action('VMM: cancel, with the device running', {
    when: and(parts.at('active'), parts.startIs('running'), parts.is('no-cancel') ? 0 : 1),
    set: [phase.to(PHASE.cancelling), ...(parts.is('released-early') ? [released.to(1)] : [])],
    labels: ['user'],
  });
  model.action('VMM: SET_FEATURES without LOG_ALL', {
    when: parts.at('cancelling'),
    sync: [vmm.on('LOG_ALL.off'), device.on('LOG_ALL.off')],
    set: [phase.to(PHASE.release)],
    chart: { from: VMM, to: BACK_END, text: 'SET_FEATURES -LOG_ALL' },
    events: message('SET_FEATURES', features(false)),
    labels: ['progress'],
  });
  for (const { index, chart } of parts.rings)
    model.action(`ring ${index}: SET_VRING_ADDR, log flag off`, {
      when: and(parts.at('release'), chart.in('logging', 'logged')),
      sync: [chart.on('ADDR.plain'), vmm.on('FLAG.off')],
      chart: { from: VMM, to: BACK_END, text: `SET_VRING_ADDR ${index} -F_LOG` },
      events: message('SET_VRING_ADDR', { kind: 'vring_addr', index, log: false }),
      labels: ['progress'],
    });
  model.action('VMM: the log is released', {
    when: and(parts.at('release'), ...parts.rings.map(({ chart }) => chart.in('logging', 'plain'))),
    set: [phase.to(PHASE.none), released.to(1), exchanged.to(0), ...settled],
    labels: ['progress'],
  });
}
