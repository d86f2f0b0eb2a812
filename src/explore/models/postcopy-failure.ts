import { and, eq, ge, gt, minus, ne, not } from '../expression.js';
import { AT, END, NO_CANCEL, type Postcopy, RECOVERY, SERVES, STAGE } from './postcopy-parts.js';
import { runEvents, statusEvent } from './vmm-events.js';

/** Cuts and refused loads, and what the destination makes of them before RUN. */
export function fail(parts: Postcopy): void {
  const { model, stage, faults } = parts;
  const less = faults.to(minus(faults, 1));
  model.action('network: the connection breaks', {
    when: and(
      gt(faults, 0),
      eq(parts.cut, 0),
      ne(parts.end, END.shut),
      parts.statusIs('src', 'active', 'device', ...SERVES, 'postcopy-recover'),
    ),
    set: [less, ...parts.lost(), ...parts.requestsLost()],
    labels: ['fault'],
  });
  model.action('destination: the device state is refused', {
    when: and(gt(faults, 0), eq(stage, STAGE.listening), eq(parts.cut, 0)),
    sync: [parts.becomes('dst', 'failed')],
    set: [less, ...parts.lost(), ...parts.nobodyWaits()],
    events: [{ kind: 'destination_load_end', host: 'dst', errno: 22 }, statusEvent('dst', 'failed')],
    labels: ['fault'],
  });
  model.action('destination: the connection is gone before RUN, the load fails', {
    when: and(eq(parts.cut, 1), not(ge(stage, STAGE.loaded))),
    sync: [parts.becomes('dst', 'failed')],
    set: parts.nobodyWaits(),
    events: [{ kind: 'destination_load_end', host: 'dst', errno: 5 }, statusEvent('dst', 'failed')],
    labels: ['progress'],
  });
}

/** The source goes back to where it was: after a failure before the device state was loaded, or a cancel. */
export function rollBack(parts: Postcopy): void {
  const { model } = parts;
  const direct = parts.is('qemu-10.1');
  const fails = direct ? 'failed' : 'failing';
  model.action('source: the connection is gone before PONG 0x42, the migration fails', {
    when: and(
      eq(parts.cut, 1),
      eq(parts.pong, 0),
      parts.statusIs('src', 'active', 'device', ...(direct ? [] : (['postcopy-device'] as const))),
    ),
    sync: [parts.becomes('src', fails)],
    events: [statusEvent('src', fails)],
    labels: ['progress'],
  });
  model.action('user: migrate_cancel', {
    when: parts.statusIs('src', 'active', 'device'),
    sync: [parts.becomes('src', 'cancelling')],
    set: parts.lost(),
    events: [{ kind: 'migration_cancel', host: 'src' }, statusEvent('src', 'cancelling')],
    labels: ['user', 'cancel'],
  });
  model.action('user: migrate_cancel, which is refused', {
    when: parts.statusIs('src', ...NO_CANCEL),
    events: [{ kind: 'migration_cancel', host: 'src' }],
    labels: ['user'],
  });
  const again = {
    sync: [parts.run.src.on('RUN.finish-migrate.running')],
    events: runEvents('src', 'finish-migrate', 'running'),
  };
  // No status leads back from here: this one is told, and is none of the chart.
  if (parts.is('cancel-accepted'))
    model.action('user: migrate_cancel in post-copy', {
      when: parts.statusIs('src', ...NO_CANCEL),
      sync: again.sync,
      events: [{ kind: 'migration_cancel', host: 'src' }, statusEvent('src', 'cancelling'), ...again.events],
      labels: ['user', 'cancel', 'restart'],
    });
  model.action('source: the VM runs again', {
    when: and(parts.statusIs('src', fails, 'cancelling'), parts.is('stuck-after-failure') ? 0 : 1),
    ...again,
    labels: ['progress', 'restart'],
  });
  if (!direct)
    model.action('source: failed', {
      when: and(parts.statusIs('src', 'failing'), parts.runs('src')),
      sync: [parts.becomes('src', 'failed')],
      events: [statusEvent('src', 'failed')],
      labels: ['progress'],
    });
  model.action('source: cancelled', {
    when: and(parts.statusIs('src', 'cancelling'), parts.runs('src')),
    sync: [parts.becomes('src', 'cancelled')],
    events: [statusEvent('src', 'cancelled')],
    labels: ['progress'],
  });
}

/** Both sides pause, and go on over a new connection with what has come. */
export function recover(parts: Postcopy): void {
  const { model } = parts;
  for (const [lane, host] of [
    ['source', 'src'],
    ['destination', 'dst'],
  ] as const)
    model.action(`${lane}: the connection is gone, post-copy pauses`, {
      when: and(
        eq(parts.cut, 1),
        parts.statusIs(host, 'postcopy-active', 'postcopy-recover'),
        host === 'dst' ? eq(parts.stage, STAGE.running) : 1,
      ),
      sync: [parts.becomes(host, parts.is('no-pause') ? 'failed' : 'postcopy-paused')],
      events: [statusEvent(host, parts.is('no-pause') ? 'failed' : 'postcopy-paused')],
      labels: ['progress'],
    });
  model.action('user: migrate resume', {
    when: and(parts.statusIs('src', 'postcopy-paused'), parts.statusIs('dst', 'postcopy-paused')),
    sync: [parts.becomes('src', 'postcopy-recover-setup')],
    events: [statusEvent('src', 'postcopy-recover-setup')],
    labels: ['progress'],
  });
  if (parts.options.faults > 1)
    model.action('source: no new connection', {
      when: and(gt(parts.faults, 0), parts.statusIs('src', 'postcopy-recover-setup')),
      sync: [parts.becomes('src', 'postcopy-paused')],
      set: [parts.faults.to(minus(parts.faults, 1))],
      events: [statusEvent('src', 'postcopy-paused')],
      labels: ['fault'],
    });
  resume(parts);
}

/** The messages of a recovery, in their order. */
function resume(parts: Postcopy): void {
  const { model, recovery } = parts;
  model.action('source: a new connection, POSTCOPY_RECOVER', {
    when: parts.statusIs('src', 'postcopy-recover-setup'),
    sync: [parts.becomes('src', 'postcopy-recover')],
    set: [parts.cut.to(0), recovery.to(RECOVERY.recover)],
    chart: { from: 'source', to: 'destination', text: 'POSTCOPY_RECOVER' },
    events: [statusEvent('src', 'postcopy-recover')],
    labels: ['progress'],
  });
  model.action('destination: RECV_BITMAP of what has come', {
    when: eq(recovery, RECOVERY.recover),
    sync: [parts.becomes('dst', 'postcopy-recover')],
    set: [recovery.to(RECOVERY.bitmap)],
    chart: { from: 'destination', to: 'source', text: 'RECV_BITMAP' },
    events: [statusEvent('dst', 'postcopy-recover')],
    labels: ['progress'],
  });
  model.action('source: takes RECV_BITMAP, POSTCOPY_RESUME', {
    when: eq(recovery, RECOVERY.bitmap),
    set: [
      recovery.to(RECOVERY.resume),
      ...(parts.is('bitmap-not-asked') ? [] : parts.each(({ dirty, at }) => dirty.to(eq(at, AT.absent)))),
    ],
    chart: { from: 'source', to: 'destination', text: 'POSTCOPY_RESUME' },
    labels: ['progress'],
  });
  model.action('destination: goes on, RESUME_ACK', {
    when: eq(recovery, RECOVERY.resume),
    sync: [parts.becomes('dst', 'postcopy-active')],
    set: [recovery.to(RECOVERY.ack)],
    chart: { from: 'destination', to: 'source', text: 'RESUME_ACK' },
    events: [statusEvent('dst', 'postcopy-active')],
    labels: ['progress'],
  });
  model.action('source: takes RESUME_ACK, goes on', {
    when: eq(recovery, RECOVERY.ack),
    sync: [parts.becomes('src', 'postcopy-active')],
    set: [recovery.to(RECOVERY.none)],
    events: [statusEvent('src', 'postcopy-active')],
    labels: ['progress'],
  });
}
