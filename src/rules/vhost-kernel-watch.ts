import type { EventOf } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import type { Rule, Scope, Watch } from './rule.js';

/** Most rings of a device that a rule remembers something about. */
export const MOST_RINGS = 1024;

type Text = Pick<
  Rule,
  'id' | 'title' | 'clause' | 'about' | 'causes' | 'needs' | 'conformant' | 'violating' | 'refusal' | 'device'
>;
/** A rule that binds the driver. */
export const driver = (rule: Text): Rule => ({ ...rule, party: 'driver', level: 'must' });

/** Rings that have a backend, and were reset. */
export class Attached {
  readonly rings = new Set<number>();
  readonly watch: Watch = {
    vhost_open: () => this.rings.clear(),
    vhost_reset_owner: ({ errno }) => {
      if (!errno) this.rings.clear();
    },
    vring_backend: ({ index, attached, errno }) => {
      if (errno) return;
      if (!attached) this.rings.delete(index);
      else if (this.rings.size < MOST_RINGS) this.rings.add(index);
    },
  };
}

type RingOrLog = EventOf<'vring_addr'> | EventOf<'vhost_log_base'>;

/** Watches a request of kernel vhost that must not be refused as busy while its ring, or any, runs. */
export function takenWhileRunning(kind: RingOrLog['kind'], what: string) {
  return (_view: unknown, scope: Scope): Watch => {
    const { rings, watch } = new Attached();
    const handler = (event: RingOrLog) => {
      if (event.interface !== 'kernel' || event.errno === undefined) return;
      const runs = event.kind === 'vring_addr' ? rings.has(event.index) : rings.size > 0;
      if (!runs) return;
      scope.check();
      if (event.errno === ERRNO.EBUSY)
        scope.fail(event, `${what} is refused as busy while a ring has its backend`, ['0']);
    };
    return { ...watch, [kind]: handler };
  };
}
