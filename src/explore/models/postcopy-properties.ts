import { and, eq, gt, lt, not, or } from '../expression.js';
import { AT, NO_CANCEL, type Postcopy, SENT, STAGE } from './postcopy-parts.js';

/** What shall hold of post-copy. */
export function postcopyProperties(parts: Postcopy): void {
  safety(parts);
  liveness(parts);
  witnesses(parts);
  parts.model.sound(
    or(
      and(parts.statusIs('src', 'completed'), parts.statusIs('dst', 'completed')),
      and(parts.statusIs('src', 'failed', 'cancelled'), parts.statusIs('dst', 'failed')),
    ),
  );
}

function safety(parts: Postcopy): void {
  const { model, stage, backEnd } = parts;
  model.never(
    'one-vm',
    'The VM never runs at the source and at the destination.',
    and(parts.runs('src'), parts.runs('dst')),
  );
  model.neverStep(
    'source-never-again',
    'The source does not start the VM once RUN was handled.',
    'restart',
    eq(stage, STAGE.running),
  );
  model.never(
    'no-older-copy',
    'No copy of a page overwrites what was written at the destination.',
    parts.some(({ at }) => eq(at, AT.undone)),
  );
  model.never(
    'no-stale-page',
    'The VM does not run at the destination with a page that the source has written since it was copied.',
    and(
      parts.runs('dst'),
      parts.some(({ at }) => eq(at, AT.old)),
    ),
  );
  model.neverStep(
    'no-page-before-listen',
    'No page of post-copy is placed before LISTEN is handled.',
    'place',
    backEnd.in('vhost-user-postcopy', 'none', 'advised'),
  );
  model.never(
    'complete-means-all',
    'Nobody reports completed while a page is missing.',
    and(
      or(parts.statusIs('src', 'completed'), parts.statusIs('dst', 'completed')),
      parts.some(({ at }) => eq(at, AT.absent)),
    ),
  );
  model.never(
    'refused-with-vfio',
    'No migration with post-copy begins when there is a VFIO device in the VM.',
    and(eq(parts.vfio, 1), not(parts.statusIs('src', 'none'))),
  );
  model.neverStep(
    'cancel-is-refused',
    'No migration is cancelled once the package with the device state is sent.',
    'cancel',
    parts.statusIs('src', ...NO_CANCEL),
  );
}

function liveness(parts: Postcopy): void {
  const { model, stage } = parts;
  const completed = and(parts.statusIs('src', 'completed'), parts.statusIs('dst', 'completed'));
  model.leadsTo(
    'fault-served',
    'Who waits for a page gets it by asking, also over a recovery, or the load has failed.',
    parts.some(({ fault }) => gt(fault, 0)),
    parts.all(({ fault }) => eq(fault, 0)),
    ['progress'],
  );
  model.leadsTo(
    'failure-goes-back',
    'After a failure before RUN, and after a cancel, the VM runs at the source.',
    or(
      parts.statusIs('src', 'failing', 'cancelling'),
      and(parts.statusIs('dst', 'failed'), lt(stage, STAGE.running)),
    ),
    parts.runs('src'),
    ['progress'],
  );
  model.leadsTo(
    'switch-ends',
    'After the stop of the switch the VM runs on one of both sides.',
    parts.run.src.in('run-state', 'finish-migrate'),
    or(parts.runs('src'), parts.runs('dst')),
    ['progress', 'background'],
  );
  model.leadsTo(
    'migration-ends',
    'Once the VM runs at the destination, the migration completes.',
    eq(stage, STAGE.running),
    completed,
    ['progress', 'background'],
  );
}

function witnesses(parts: Postcopy): void {
  const { model, stage, options } = parts;
  const waits = parts.some(({ fault }) => gt(fault, 0));
  const completed = parts.statusIs('src', 'completed');
  model.sometimes('completed', 'A migration completes by post-copy.', completed);
  model.sometimes(
    'recovered',
    'A migration completes after a recovery.',
    and(completed, lt(parts.faults, options.faults)),
  );
  model.sometimes(
    'waits-through-a-cut',
    'A vCPU waits for a page while both sides are paused.',
    and(parts.statusIs('src', 'postcopy-paused'), parts.statusIs('dst', 'postcopy-paused'), waits),
  );
  model.sometimes(
    'resumed-from-device',
    'The VM runs again at the source after the package with the device state was sent.',
    and(parts.statusIs('src', 'failed'), parts.runs('src'), eq(parts.sent, SENT.package)),
  );
  model.sometimes(
    'load-waits',
    'The load of device state waits for a page.',
    and(eq(stage, STAGE.listening), waits),
  );
}
