import { and, eq, gt, lt, not, or, plus } from '../expression.js';
import type { SwitchoverAck } from './switchover-ack-parts.js';

/** What shall hold of switchover-ack. */
export function switchoverAckProperties(parts: SwitchoverAck): void {
  safety(parts);
  liveness(parts);
  witnesses(parts);
  parts.model.sound(parts.statusIs('completed', 'failed'));
}

function safety(parts: SwitchoverAck): void {
  const { model, live, late, pending, acks } = parts;
  const completed = and(parts.statusIs('completed'), eq(live, 1));
  model.neverStep(
    'no-early-switchover',
    'The switchover of a VM that runs is not decided while an acknowledgement is outstanding.',
    'decision',
    parts.waits(),
  );
  model.never(
    'initial-data-loaded',
    'When a migration of a VM that ran switches over, the destination has the newest initial data of each device.',
    and(
      completed,
      parts.some(({ loaded }) => eq(loaded, 0)),
    ),
  );
  model.never(
    'late-request-fails',
    'A migration does not complete when a device has asked again after the decision.',
    and(completed, eq(late, 1)),
  );
  const requests = parts.legacy ? 0 : parts.requests();
  const sent = parts.sum(({ onTheWay }) => onTheWay);
  model.never(
    'no-underflow',
    'No acknowledgement comes that nobody waits for.',
    and(eq(parts.counted, 1), lt(plus(pending, requests), parts.legacy ? sent : acks)),
  );
  // Before 11.1 the destination counts what it has not approved; an ACK on its way is no longer counted.
  const outstanding = plus(parts.legacy ? 0 : acks, sent, ...parts.devices.map(({ initial }) => initial));
  model.always(
    'one-ack-per-request',
    'As long as a migration is under way there are as many requests as initial data to come and acknowledgements on their way.',
    or(
      not(parts.statusIs('active', 'device')),
      parts.legacy ? eq(parts.counted, 0) : 0,
      eq(plus(pending, requests), outstanding),
    ),
  );
}

function liveness(parts: SwitchoverAck): void {
  const { model } = parts;
  model.leadsTo(
    'switchover-ends',
    'A switchover that was decided completes, or the migration fails and the VM runs again.',
    parts.vmIs('finish-migrate'),
    or(parts.statusIs('completed'), and(parts.statusIs('failed'), parts.vmIs('running'))),
    ['progress'],
  );
  model.leadsTo(
    'request-is-answered',
    'While the VM runs, a wait for an acknowledgement ends.',
    and(parts.statusIs('active'), parts.vmIs('running'), parts.waits()),
    or(not(parts.waits()), not(parts.vmIs('running'))),
    ['progress'],
  );
  model.leadsTo(
    'stopped-vm-moves',
    'A migration of a VM that its user has stopped completes, whatever is outstanding.',
    parts.vmIs('paused'),
    parts.statusIs('completed'),
    ['progress'],
  );
}

function witnesses(parts: SwitchoverAck): void {
  const { model, live, reinits, options } = parts;
  const completed = and(parts.statusIs('completed'), eq(live, 1));
  model.sometimes('completed', 'A migration of a VM that ran completes.', completed);
  model.sometimes(
    'reinit-acknowledged',
    'A device asks again, is acknowledged again, and the migration completes.',
    and(
      completed,
      lt(reinits, options.faults),
      parts.all(({ loaded }) => eq(loaded, 1)),
    ),
  );
  model.sometimes(
    'late-request',
    'A device asks again after the decision, and the migration fails.',
    parts.statusIs('failed'),
  );
  model.sometimes(
    'gate-not-asked',
    'A VM that was stopped by its user moves while an acknowledgement is outstanding.',
    and(parts.statusIs('completed'), eq(live, 0), gt(parts.waits(), 0)),
  );
}
