import { and, eq, max } from '../expression.js';
import type { Assignment } from '../model.js';
import { BACK_END, features, type LogParts, message, PHASE, VMM } from './vhost-log-switch-parts.js';

/** A migration begins: all pages are to be sent, and the log of a device that runs is switched on. */
export function addSwitchOn(parts: LogParts): void {
  const { model, phase, released } = parts;
  const begun = parts.each(({ stale, pending, logged, old }) => [
    stale.to(1),
    pending.to(1),
    logged.to(0),
    old.to(0),
  ]);
  model.action('VMM: migrate, with the device stopped', {
    when: and(parts.at('none'), parts.startIs('stopped')),
    set: [phase.to(PHASE.active), released.to(1), ...begun],
    labels: ['user'],
  });
  if (parts.is('base-late')) {
    addFeatures(parts, 'migrate: SET_FEATURES with LOG_ALL', ['none', 'base'], begun);
    addBase(parts, 'SET_LOG_BASE', ['base', 'features'], []);
  } else {
    addBase(parts, 'migrate: SET_LOG_BASE', ['none', 'base'], begun);
    addFeatures(parts, 'SET_FEATURES with LOG_ALL', ['base', 'features'], []);
  }
  const forgotten = parts.is('ring-flag-forgotten');
  if (!forgotten) addFlags(parts);
  const areLogged = and(...parts.rings.map(({ chart }) => chart.in('logging', 'logged')));
  model.action('VMM: the log is on', {
    when: and(parts.at('features'), forgotten ? 1 : areLogged),
    set: [phase.to(PHASE.active)],
    labels: ['progress'],
  });
}

/** From which phase to which one. */
type Step = readonly [keyof typeof PHASE, keyof typeof PHASE];

const labelOf = ([from]: Step): string[] => [from === 'none' ? 'user' : 'progress'];

function addBase(parts: LogParts, name: string, step: Step, set: readonly Assignment[]): void {
  const { vmm, device, phase, released } = parts;
  parts.model.action(`VMM: ${name}`, {
    when: and(parts.at(step[0]), parts.startIs('running')),
    sync: [vmm.on('LOG.base'), device.on('LOG.base')],
    set: [phase.to(PHASE[step[1]]), released.to(0), ...set],
    chart: { from: VMM, to: BACK_END, text: 'SET_LOG_BASE' },
    events: message('SET_LOG_BASE', { kind: 'vhost_log_base' }),
    labels: labelOf(step),
  });
}

function addFeatures(parts: LogParts, name: string, step: Step, set: readonly Assignment[]): void {
  const { vmm, device, phase } = parts;
  if (parts.is('log-all-forgotten')) {
    parts.model.action('VMM: goes on without LOG_ALL', {
      when: and(parts.at(step[0]), parts.startIs('running')),
      set: [phase.to(PHASE[step[1]]), ...set],
      labels: labelOf(step),
    });
    return;
  }
  parts.model.action(`VMM: ${name}`, {
    when: and(parts.at(step[0]), parts.startIs('running')),
    sync: [vmm.on('LOG_ALL.on'), device.on('LOG_ALL.on')],
    set: [phase.to(PHASE[step[1]]), ...set],
    chart: { from: VMM, to: BACK_END, text: 'SET_FEATURES +LOG_ALL' },
    events: message('SET_FEATURES', features(true)),
    labels: labelOf(step),
  });
}

function addFlags(parts: LogParts): void {
  for (const { index, chart } of parts.rings)
    parts.model.action(`ring ${index}: SET_VRING_ADDR, log flag on`, {
      when: and(parts.at('features'), chart.in('logging', 'plain')),
      // The chart of the VMM refuses it before LOG_ALL.
      sync: [chart.on('ADDR.log'), ...(parts.is('log-all-forgotten') ? [] : [parts.vmm.on('FLAG.on')])],
      chart: { from: VMM, to: BACK_END, text: `SET_VRING_ADDR ${index} +F_LOG` },
      events: message('SET_VRING_ADDR', { kind: 'vring_addr', index, log: true }),
      labels: ['progress'],
    });
}

/** Guest memory grows: the back end gets a larger log first, then the old one is harvested and dropped. */
export function addExchange(parts: LogParts): void {
  if (parts.is('no-exchange')) return;
  const { model, vmm, device, exchanged } = parts;
  model.action('VMM: guest memory grows, SET_LOG_BASE of a larger log', {
    when: and(parts.at('active'), parts.startIs('running'), eq(exchanged, 0)),
    sync: [vmm.on('LOG.base'), device.on('LOG.base')],
    set: [exchanged.to(1), ...parts.each(({ old, logged }) => [old.to(logged), logged.to(0)])],
    chart: { from: VMM, to: BACK_END, text: 'SET_LOG_BASE (larger)' },
    events: message('SET_LOG_BASE', { kind: 'vhost_log_base' }),
    labels: ['guest'],
  });
  const drops = parts.is('dropped-before-sync');
  model.action('VMM: the old log is harvested and dropped', {
    when: eq(exchanged, 1),
    set: [
      exchanged.to(0),
      ...parts.each(({ old, pending }) => [...(drops ? [] : [pending.to(max(pending, old))]), old.to(0)]),
    ],
    labels: ['progress'],
  });
}
