import { isRunning } from '../../machines/index.js';
import type { VariableHandle } from '../builder.js';
import { and, eq, ne, not, or } from '../expression.js';
import type { MailboxParts } from './mailbox-parts.js';
import { ANSWER, CONFIG, IMAGE, REQUEST, seenBy, type Vf } from './mailbox-vf.js';

/** What shall hold of the model `mailbox`. */
export function addProperties(parts: MailboxParts): void {
  ofRequests(parts);
  ofImages(parts);
  ofTheVm(parts);
  witnessesOfMoves(parts);
  witnessesOfFailures(parts);
  parts.model.sound(parts.at('here', 'there'));
}

/** Each request is answered, once, and what was acknowledged holds. */
function ofRequests(parts: MailboxParts): void {
  const { model } = parts;
  model.never(
    'answered-once',
    'The guest gets no answer that it does not wait for, and no second one.',
    parts.some(({ answer, request }) =>
      or(eq(answer, ANSWER.more), and(ne(answer, ANSWER.none), eq(request, REQUEST.none))),
    ),
  );
  model.never(
    'request-not-lost',
    'A request that the guest waits for is in the mailbox, or its answer is, or the VF was reset.',
    parts.some(({ request, posted, answer, off }) =>
      and(ne(request, REQUEST.none), eq(posted, 0), eq(answer, ANSWER.none), eq(off, 0)),
    ),
  );
  const isWrong = (config: (vf: Vf) => VariableHandle) =>
    parts.some((vf) => and(eq(vf.off, 0), ne(config(vf), seenBy(vf))));
  const runsHere = parts.at('here', 'setup', 'cancelling');
  model.never(
    'configured-as-seen',
    'Where the VM runs, each VF is configured to what the guest was acknowledged last.',
    or(
      and(
        runsHere,
        isWrong(({ here }) => here),
      ),
      and(
        parts.at('there'),
        isWrong(({ there }) => there),
      ),
    ),
  );
  model.never('quiet-when-stopped', 'No request of a stopped VF is handled.', eq(parts.disturbed, 1));
  // With several VFs one may keep the others from nothing, and a run of them all need not end.
  if (parts.vfs.length > 1) return;
  const { request } = parts.vfs[0]!;
  model.leadsTo(
    'request-is-answered',
    'The guest does not wait for ever.',
    ne(request, REQUEST.none),
    eq(request, REQUEST.none),
    ['mail', 'read', 'progress'],
  );
}

/** An image is loaded as a whole before the VF runs, or not at all. */
function ofImages(parts: MailboxParts): void {
  const { model } = parts;
  const fits = parts.are('aa', 'bb');
  model.never(
    'replayed-before-run',
    'A VF does not run at the destination before its image is loaded as a whole.',
    and(
      parts.at('sent'),
      parts.some((vf) => and(vf.destination.is(isRunning), not(parts.isLoaded(vf)))),
    ),
  );
  model.neverStep(
    'no-replay-after-guest',
    'Nothing is replayed when the guest may have made its next request.',
    'replay',
    parts.at('there'),
  );
  model.never(
    'other-generation-refused',
    'A VM does not start on a VF whose image is of the other generation.',
    and(parts.at('there'), not(fits)),
  );
  model.never(
    'nothing-half-loaded',
    'Of an image of the other generation nothing is loaded.',
    and(
      not(fits),
      not(parts.at('sent', 'there')),
      parts.some(({ there }) => ne(there, CONFIG.none)),
    ),
  );
  model.never(
    'reset-ends-save',
    'What was read of a VF before it was reset is not used.',
    and(
      parts.at('stopped', 'sent'),
      parts.some(({ image, source }) =>
        and(or(eq(image, IMAGE.read), eq(image, IMAGE.written)), source.in('RUNNING')),
      ),
    ),
  );
}

function ofTheVm(parts: MailboxParts): void {
  parts.model.leadsTo(
    'vm-runs-again',
    'A VM that was stopped for a migration runs again, here or there.',
    parts.at('stopped', 'sent', 'failing', 'lost'),
    parts.at('here', 'there'),
    ['progress'],
  );
}

function witnessesOfMoves(parts: MailboxParts): void {
  const { model } = parts;
  /** Its PF handles nothing yet: the filter came with the image. */
  const hasFilter = parts.some((vf) => and(vf.destination.in('RUNNING_P2P'), eq(vf.there, CONFIG.filter)));
  const moved = (id: string, words: string, generation: 'aa' | 'bb') =>
    model.sometimes(id, words, and(parts.at('sent'), parts.are(generation), hasFilter));
  if (!parts.is('published-b'))
    moved('moved-by-replay', 'A VF gets its filter at the destination in generation A.', 'aa');
  if (!parts.is('published-a'))
    moved('moved-by-records', 'A VF gets its filter at the destination in generation B.', 'bb');
  model.sometimes(
    'request-in-flight',
    'The VM is about to start at the destination while a request waits for the PF.',
    and(
      parts.at('sent'),
      parts.all(({ destination }) => destination.in('RUNNING')),
      parts.some(({ posted }) => eq(posted, 1)),
    ),
  );
  model.sometimes(
    'answer-in-flight',
    'The VM is about to start at the destination while an answer waits for the guest.',
    and(
      parts.at('sent'),
      parts.some(({ answer, destination }) => and(destination.in('RUNNING_P2P'), ne(answer, ANSWER.none))),
    ),
  );
}

function witnessesOfFailures(parts: MailboxParts): void {
  const { model } = parts;
  if (!parts.isPublished)
    model.sometimes(
      'refused',
      'The destination refuses an image of the other generation.',
      and(
        parts.are('ab', 'ba'),
        parts.some(({ image, source }) => and(eq(image, IMAGE.over), not(source.in('RUNNING')))),
      ),
    );
  if (!parts.is('published-b'))
    model.sometimes(
      'log-full',
      'A request waits for a PF whose log is full.',
      and(
        parts.are('aa', 'ab'),
        parts.some(({ log, posted }) => and(eq(posted, 1), ne(log.at(-1)!, REQUEST.none))),
      ),
    );
  if (parts.faults === null) return;
  model.sometimes(
    'reset-in-save',
    'A VF is reset in the midst of its save, and the migration fails.',
    and(
      parts.at('failing'),
      parts.are('aa', 'bb'),
      parts.some(({ image }) => eq(image, IMAGE.over)),
    ),
  );
}
