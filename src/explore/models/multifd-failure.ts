import { and, eq, gt, minus, not, or } from '../expression.js';
import { MAIN, type Multifd } from './multifd-parts.js';
import { runEvents, statusEvent } from './vmm-events.js';

/** A channel breaks, the load fails, and the source runs again. */
export function addFailures(parts: Multifd): void {
  const { model, faults, devices } = parts;
  const whole = and(eq(parts.handled, MAIN.end), parts.allLoaded());
  for (const { name, slot, owed, held, closed } of parts.channels)
    model.action(`network: ${name} breaks`, {
      when: and(
        gt(faults, 0),
        eq(closed, 0),
        parts.statusIs('src', 'active', 'device'),
        not(parts.runs('dst')),
        not(whole),
      ),
      set: [faults.to(minus(faults, 1)), closed.to(1), slot.to(0), owed.to(0), held.to(0)],
      labels: ['fault'],
    });
  const failed = parts.is('closed-is-end') ? 0 : parts.someClosed();
  model.action('destination: a channel is broken, the load fails', {
    when: and(parts.statusIs('dst', 'setup', 'active'), not(parts.runs('dst')), failed),
    sync: [parts.becomes('dst', 'failed'), ...devices.map(({ vmm }) => vmm.on('LOAD.failed'))],
    events: [{ kind: 'destination_load_end', host: 'dst', errno: 5 }, statusEvent('dst', 'failed')],
    labels: ['progress'],
  });
  model.action('source: a channel is broken, the migration fails', {
    when: and(
      parts.statusIs('src', 'active', 'device'),
      or(parts.someClosed(), parts.statusIs('dst', 'failed')),
    ),
    sync: [parts.becomes('src', 'failing')],
    events: [statusEvent('src', 'failing')],
    labels: ['progress'],
  });
  model.action('source: the VM runs again', {
    when: and(parts.statusIs('src', 'failing'), parts.is('stuck-after-failure') ? 0 : 1),
    sync: [parts.run.src.on('RUN.finish-migrate.running')],
    events: runEvents('src', 'finish-migrate', 'running'),
    labels: ['progress'],
  });
  model.action('source: failed', {
    when: and(parts.statusIs('src', 'failing'), parts.runs('src')),
    sync: [parts.becomes('src', 'failed')],
    events: [statusEvent('src', 'failed')],
    labels: ['progress'],
  });
}
