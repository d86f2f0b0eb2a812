import { and, type Expression, eq, not, or } from '../expression.js';
import type { PrecopyParts } from './precopy-parts.js';
import { isRunning } from './vfio-parts.js';

/** What shall hold of a pre-copy migration. */
export function addProperties(parts: PrecopyParts): void {
  const { model, pages, srcRuns, dstRuns, answer, attempt, faults, options } = parts;
  const { srcIs: src, dstIs: dst, some, all } = parts;
  const fails = src('failing', 'starting', 'rolled_back');
  const ended: Expression = src('completed', 'failed', 'ambiguous', 'dead');
  model.never('never-two-running', 'The vCPUs never run on both hosts.', and(eq(srcRuns, 1), eq(dstRuns, 1)));
  model.never(
    'no-page-lost',
    'When the destination runs it has every page as the source had it last.',
    and(eq(dstRuns, 1), or(...pages.flatMap((page) => [eq(page.stale, 1), eq(page.flight, 1)]))),
  );
  model.never(
    'no-dma-when-stopped',
    'A device writes memory in states that allow it only.',
    some((pair) => and(parts.mayWrite(pair), not(pair.src.is(isRunning)))),
  );
  model.never(
    'state-complete',
    'No device of the destination runs before all its data was loaded.',
    and(
      dst('starting', 'running'),
      some(({ dst: device, complete }) => and(device.is(isRunning), eq(complete, 0))),
    ),
  );
  model.never(
    'drained-before-end',
    'The end is sent when each device was read to its end.',
    and(
      src('sent'),
      some(({ src: device }) => not(device.chart.in('session', 'ended'))),
    ),
  );
  model.never(
    'devices-run-first',
    'The vCPUs of the source run only when its devices do.',
    and(
      eq(srcRuns, 1),
      some(({ src: device }) => not(device.is(isRunning))),
    ),
  );
  model.never(
    'state-of-this-attempt',
    'The destination loads through a data_fd of this attempt.',
    and(
      dst('loading'),
      some(({ destination, stale }) => and(destination.in('vmm-destination', 'loading'), eq(stale, 1))),
    ),
  );
  model.never(
    'loads-without-fault',
    'A destination fails to load only when a fault has happened.',
    and(eq(answer, 2), eq(faults, options.faults)),
  );
  const fair = ['progress', 'switchover'];
  model.leadsTo(
    'migration-ends',
    'A migration completes, fails with the VM running, or comes to the ambiguous window.',
    not(or(src('running'), ended)),
    ended,
    fair,
  );
  model.leadsTo(
    'failure-recovers',
    'After a failure or a cancel the VM runs at the source again.',
    fails,
    or(and(eq(srcRuns, 1), src('failed')), src('dead')),
    fair,
  );
  model.sometimes('completed', 'A migration completes.', and(src('completed'), eq(dstRuns, 1)));
  model.sometimes(
    'second-attempt-completes',
    'A migration that has failed is tried once more, and completes.',
    and(src('completed'), eq(dstRuns, 1), eq(attempt, 1)),
  );
  model.sometimes(
    'cancelled-in-precopy',
    'A migration is cancelled while the VM runs.',
    and(
      src('failing'),
      eq(faults, options.faults),
      all(({ source }) => source.in('outgoing', 'setup', 'iterating')),
    ),
  );
  model.sometimes(
    'cancelled-after-stop',
    'A migration is given up when the VM is stopped, and the VM runs again.',
    src('starting'),
  );
  if (parts.options.faults > 0)
    model.sometimes(
      'ambiguous-window',
      'The channel is lost after the end was sent: the source does not know that the destination runs.',
      and(src('ambiguous'), eq(dstRuns, 1)),
    );
  model.sound(and(ended, dst('idle', 'running', 'failed', 'dead')));
}
