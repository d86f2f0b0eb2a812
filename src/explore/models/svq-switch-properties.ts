import { and, type Expression, eq, gt, not, or } from '../expression.js';
import { INDEX, type Ring, type SvqParts } from './svq-switch-parts.js';

/** What shall hold of the model `svq-switch`. */
export function addProperties(parts: SvqParts): void {
  const model = parts.model;
  const some = (make: (ring: Ring) => Expression) => or(...parts.rings.map(make));
  /** A ring was set up, and is not processed yet. */
  const isSetUp = ({ chart }: Ring) => chart.in('vdpa-vring', 'addressed', 'ready', 'waiting');
  model.never(
    'no-buffer-lost',
    'A ring does not go on behind a buffer that the guest still waits for.',
    some((ring) => and(isSetUp(ring), eq(ring.base, INDEX.late))),
  );
  model.never(
    'no-buffer-twice',
    'A ring does not go on before a buffer that the device has used already.',
    some((ring) => and(isSetUp(ring), eq(ring.base, INDEX.early))),
  );
  model.never(
    'writes-are-marked',
    'While a migration sends memory, a page that was written is marked, or its buffer stands used in a shadow ring.',
    and(
      parts.at('active', 'switchover', 'final'),
      some(({ stale, marked, used }) => and(eq(stale, 1), eq(marked, 0), eq(used, 0))),
    ),
  );
  model.never(
    'no-page-lost',
    'When a migration has completed, no page differs from what was sent.',
    and(
      parts.at('completed'),
      some(({ stale }) => eq(stale, 1)),
    ),
  );
  model.never(
    'shadow-off',
    'After a migration that was cancelled or failed the device has no shadow virtqueues.',
    and(parts.at('none'), eq(parts.svq, 1)),
  );
  model.neverStep(
    'no-change-while-working',
    'No ring is set up while the device works.',
    'set-up',
    parts.works(),
  );
  model.neverStep(
    'quiet-when-suspended',
    'The device writes nothing while it is suspended or has no DRIVER_OK.',
    'dma',
    not(parts.works()),
  );
  if (parts.control !== null)
    model.never(
      'control-queue-first',
      'No data ring is processed before the device has acknowledged what the guest had set by the control queue.',
      and(
        parts.vmmIs('starting'),
        not(parts.commandIs('acknowledged')),
        some(({ chart }) => chart.in('vdpa-vring', 'running')),
      ),
    );
  model.leadsTo(
    'migration-ends',
    'A migration completes, or comes to nothing, whatever guest and device do.',
    not(parts.at('none', 'completed')),
    parts.at('none', 'completed'),
    ['progress', 'switchover'],
  );
  model.leadsTo(
    'works-again',
    "After a cancel or a failure a device that was set up works on the guest's rings again.",
    and(parts.at('cancelling', 'failing'), eq(parts.driver, 1)),
    and(parts.vmmIs('running'), eq(parts.svq, 0)),
    ['progress'],
  );
  addWitnesses(parts, some);
  model.sound(parts.at('completed'));
}

function addWitnesses(parts: SvqParts, some: (make: (ring: Ring) => Expression) => Expression): void {
  const model = parts.model;
  const ended = and(parts.vmmIs('stopping'), parts.device.in('suspend', 'suspended'));
  model.sometimes(
    'migrated',
    'A migration completes, and the guest waits for a buffer.',
    and(
      parts.at('completed'),
      some(({ made }) => gt(made, 0)),
    ),
  );
  model.sometimes(
    'taken-back',
    'A device is stopped that has a buffer of a shadow ring.',
    and(
      ended,
      eq(parts.svq, 1),
      some(({ taken }) => gt(taken, 0)),
    ),
  );
  model.sometimes(
    'flushed',
    'A device is stopped that has used a buffer of a shadow ring, which the guest has not got back.',
    and(
      ended,
      eq(parts.svq, 1),
      some(({ used }) => gt(used, 0)),
    ),
  );
  model.sometimes(
    'shown-again',
    "A device is stopped that has a buffer of a guest's ring, which is shown to it again.",
    and(
      ended,
      eq(parts.svq, 0),
      some(({ taken }) => gt(taken, 0)),
    ),
  );
  model.sometimes(
    'goes-back',
    "After a cancel the device is started on the guest's rings, and the guest waits for a buffer.",
    and(
      parts.at('cancelling'),
      parts.vmmIs('starting'),
      eq(parts.svq, 0),
      some(({ made }) => gt(made, 0)),
    ),
  );
}
