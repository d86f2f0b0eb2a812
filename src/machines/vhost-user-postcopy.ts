import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

const postcopy = { meta: clause('vhost-user/postcopy') };

/** Post-copy on the destination of a vhost-user back end. Events: `ADVISE`, `LISTEN`, `END`. */
export function vhostUserPostcopy(): Machine {
  const advise = { ADVISE: { target: 'advised', ...postcopy } };
  return createMachine({
    id: 'vhost-user-postcopy',
    description: 'Post-copy with a vhost-user back end.',
    initial: 'none',
    states: {
      none: { description: 'No post-copy.', ...postcopy, on: advise },
      advised: {
        description: 'The back end has given its userfaultfd; migration may still end without post-copy.',
        ...postcopy,
        on: { ...advise, LISTEN: { target: 'listening', ...postcopy } },
      },
      listening: {
        description: 'Memory is registered: faults are answered by the front end.',
        ...postcopy,
        on: { END: { target: 'ended', ...postcopy } },
      },
      ended: { description: 'All memory has arrived.', ...postcopy, on: advise },
    },
  });
}
