import { and, eq, not, or } from '../expression.js';
import type { LogParts } from './vhost-log-switch-parts.js';

/** What shall hold of the model `vhost-log-switch`. */
export function addProperties(parts: LogParts): void {
  const { model, released } = parts;
  model.never(
    'no-page-lost',
    'When a migration has completed, no page differs from what was sent.',
    and(parts.at('completed'), or(...parts.pages.map(({ stale }) => eq(stale, 1)))),
  );
  model.never(
    'no-run-without-log',
    'No ring is processed while LOG_ALL is on and there is no log.',
    and(parts.anyAttached, parts.logAll, or(not(parts.hasBase), and(parts.logging, eq(released, 1)))),
  );
  model.neverStep(
    'no-write-to-released-log',
    'Nothing is marked in a log that the VMM has released.',
    'write',
    and(parts.logAll, parts.hasBase, eq(released, 1), not(parts.logging)),
  );
  model.never(
    'last-harvest-after-stop',
    'The log is harvested for the last time when no ring is processed any more.',
    and(parts.at('final'), parts.anyAttached),
  );
  model.leadsTo(
    'migration-ends',
    'A migration completes or is cancelled, whatever the guest and the back end do.',
    not(parts.at('none', 'completed')),
    parts.at('none', 'completed'),
    ['progress', 'switchover'],
  );
  addWitnesses(parts);
  model.sound(parts.at('completed'));
}

function addWitnesses(parts: LogParts): void {
  const { model, exchanged } = parts;
  model.sometimes('completed', 'A migration completes.', parts.at('completed'));
  model.sometimes(
    'cancelled',
    'A migration is cancelled while rings run.',
    and(parts.at('release'), parts.anyAttached),
  );
  model.sometimes(
    'exchanged',
    'The log is exchanged while it holds a bit.',
    and(eq(exchanged, 1), parts.someLogged),
  );
  model.sometimes(
    'started-while-logging',
    'The device is started while a migration is under way.',
    and(parts.at('active'), parts.startIs('features')),
  );
}
