import { hasSession, inSavingGroup } from '../machines/vfio-arcs.js';
import type { EventOf, TraceEvent } from '../trace/event.js';
import { device, vmm } from './example.js';
import type { DeviceView, Rule, Scope, Watch } from './rule.js';

const d = device();
const dst = device('vf0', 'destination');
const v = vmm('destination');

type Check = EventOf<'guest_check'>;

/**
 * Judges the checks of a guest in a device that runs, by how it came there: `saved` when it was stopped or
 * saved and goes on, `resumed` when its state came from elsewhere. After a reset nobody expects it to work.
 */
function onCheck(view: DeviceView, which: 'saved' | 'resumed', judge: (event: Check) => void): Watch {
  let came: 'saved' | 'resumed' | null = null;
  let worked = true;
  const anew = () => {
    came = null;
    worked = true;
  };
  return {
    device_open: anew,
    reset: anew,
    set_state_result: () => {
      const state = view.state();
      if (state === 'ERROR') came = null;
      else if (state === 'RESUMING') came = 'resumed';
      else if (state !== null && inSavingGroup(state)) came = 'saved';
      else if (state === 'STOP') came ??= 'saved';
    },
    guest_check: (event) => {
      const state = view.state();
      if (state !== 'RUNNING' && state !== 'PRE_COPY') return;
      // A device that has not worked before is not expected to work after it was saved.
      if (came === which && (came === 'resumed' || worked)) judge(event);
      worked = event.works;
      came = null;
    },
  };
}

const tried = ({ what }: Check): string => (what === undefined ? '' : `: ${what}`);

type Books = EventOf<'guest_books'>;
type Count = 'lost' | 'duplicated' | 'reordered' | 'corrupted' | 'mailboxMisanswered';

/** Judges how far the counts of a guest have grown since its books were last seen, once its device was migrated. */
function onBooks(scope: Scope, counts: Readonly<Partial<Record<Count, string>>>): Watch {
  const migrated = new Set<string>();
  const last = new Map<string, Books>();
  return {
    set_state_result: ({ device: id, state }) => {
      if (state !== undefined && hasSession(state)) migrated.add(id);
    },
    guest_books: (event) => {
      const before = last.get(event.device);
      last.set(event.device, event);
      if (!migrated.has(event.device)) return;
      scope.check();
      const grown = Object.entries(counts).flatMap(([name, words]) => {
        const more = event[name as Count] - (before?.[name as Count] ?? 0);
        return more > 0 ? [`${more} ${words}`] : [];
      });
      if (grown.length > 0)
        scope.fail(event, `since the device was migrated its guest counts ${grown.join(', ')}`, ['none']);
    },
  };
}

const books = (counts: Partial<Record<Count, number>> = {}) =>
  dst.event('guest_books', {
    lost: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    mailboxMisanswered: 0,
    ...counts,
  });

const cancelled = [...d.open(), d.event('guest_check', { works: true }), ...d.set('PRE_COPY', true)];
const resumed: TraceEvent[] = [
  ...dst.open(),
  ...dst.set('RESUMING', true),
  dst.write(8),
  ...dst.set('RUNNING'),
];

/** What a migration was for: the device works, and nothing of it or of memory is lost. */
export const OUTCOME_RULES: readonly Rule[] = [
  {
    id: 'VFIO-OUT-01',
    title: 'a device that was stopped or saved works when it runs again',
    party: 'driver',
    level: 'must',
    clause: 'uapi/running',
    about:
      'A migration that is cancelled or fails, and a VM that is paused, leave the device as it was: back in RUNNING, without a reset, it is fully operational.',
    causes:
      'The driver takes the device apart on the way to RUNNING_P2P (filters, queues) and has no way back on the arc to RUNNING.',
    needs: ['guest_check', 'set_state_result'],
    device: (view, scope) =>
      onCheck(view, 'saved', (event) => {
        scope.check();
        if (!event.works)
          scope.fail(event, `the device runs again after it was stopped, and does not work${tried(event)}`, [
            'a device that works',
          ]);
      }),
    conformant: [...cancelled, ...d.set('RUNNING'), d.event('guest_check', { works: true })],
    violating: [...cancelled, ...d.set('RUNNING'), d.event('guest_check', { works: false, what: 'no link' })],
  },
  {
    id: 'VFIO-OUT-02',
    title: 'a device that was migrated works on the destination',
    party: 'driver',
    level: 'must',
    clause: 'migration/device',
    about:
      'A device that has left RESUMING with success and runs does for the guest what it did on the source. When memory or data of the device was lost on the way, other rules speak of that too, and the driver may be innocent.',
    causes:
      'Part of the state is not in the stream, or is in it and not put back: queues, interrupts, filters.',
    needs: ['guest_check', 'set_state_result'],
    device: (view, scope) =>
      onCheck(view, 'resumed', (event) => {
        scope.check();
        if (!event.works)
          scope.fail(event, `the device runs after it was loaded, and does not work${tried(event)}`, [
            'a device that works',
          ]);
      }),
    conformant: [...resumed, dst.event('guest_check', { works: true })],
    violating: [...resumed, dst.event('guest_check', { works: false })],
  },
  {
    id: 'VFIO-OUT-03',
    title: 'the device state of both sides is equal',
    party: 'driver',
    level: 'must',
    clause: 'migration/device',
    about:
      'What was loaded on the destination is the state that the device had when it was stopped on the source.',
    causes:
      'State that is saved too early or twice from the same place, a field that is cut or holds an address instead of a value, a load that is skipped.',
    needs: ['state_compare'],
    device: (_view, scope) => ({
      state_compare: (event) => {
        scope.check();
        if (!event.equal)
          scope.fail(
            event,
            `the device state of source and destination differ${event.what === undefined ? '' : `: ${event.what}`}`,
            ['equal states'],
          );
      },
    }),
    conformant: [...resumed, dst.event('state_compare', { equal: true })],
    violating: [...resumed, dst.event('state_compare', { equal: false, what: 'rx tail' })],
  },
  {
    id: 'VFIO-OUT-04',
    title: 'guest memory of both sides is equal',
    party: 'vmm',
    level: 'must',
    clause: 'migration/memory',
    about:
      'After the switchover the guest finds the memory that it had. A comparison does not tell who lost a page: the VMM may not have sent it, or KVM, the IOMMU or a device may not have reported that it was written.',
    causes:
      'A dirty report that is shifted, cut at a boundary or empty; a last bitmap that is read before the device stopped; DMA of a device that did not stop; a page that was not sent again.',
    needs: ['memory_compare'],
    host: (_host, scope) => ({
      memory_compare: (event) => {
        scope.check();
        if (!event.equal)
          scope.fail(
            event,
            event.pages === undefined
              ? 'guest memory of source and destination differ'
              : `guest memory of source and destination differ in ${event.pages} ${event.pages === 1 ? 'page' : 'pages'}`,
            ['equal memory'],
          );
      },
    }),
    conformant: [...resumed, v.event('memory_compare', { equal: true, pages: 0 })],
    violating: [...resumed, v.event('memory_compare', { equal: false, pages: 3 })],
  },
  {
    id: 'VFIO-OUT-05',
    title: 'no frame is lost, doubled or damaged by a migration',
    party: 'driver',
    level: 'must',
    clause: 'migration/device',
    about:
      'What the device had taken over before the switchover it delivers after it, once and as it was. Frames that the wire could not deliver are not lost frames.',
    causes:
      'Ring heads or tails that are not restored, descriptors that are used twice, buffers in pages that were lost.',
    needs: ['guest_books', 'set_state_result'],
    trace: (scope) =>
      onBooks(scope, { lost: 'frames lost', duplicated: 'frames doubled', corrupted: 'frames damaged' }),
    conformant: [...resumed, books()],
    violating: [...resumed, books({ duplicated: 2 })],
  },
  {
    id: 'VFIO-OUT-06',
    title: 'no frame is overtaken because of a migration',
    party: 'driver',
    level: 'should',
    clause: 'migration/device',
    about: 'Frames of one queue arrive in their order, over the switchover too.',
    causes: 'A ring that goes on at another place than where it stopped.',
    needs: ['guest_books', 'set_state_result'],
    trace: (scope) => onBooks(scope, { reordered: 'frames out of order' }),
    conformant: [...resumed, books()],
    violating: [...resumed, books({ reordered: 1 })],
  },
  {
    id: 'VFIO-OUT-07',
    title: 'a request in the mailbox is answered once',
    party: 'driver',
    level: 'must',
    clause: 'migration/device',
    about:
      'A request that the guest posted before the switchover is answered exactly once, on whichever side.',
    causes:
      'Messages in flight are not part of the state, or the log of messages is replayed with its answers.',
    needs: ['guest_books', 'set_state_result'],
    trace: (scope) =>
      onBooks(scope, { mailboxMisanswered: 'requests answered more or less often than once' }),
    conformant: [...resumed, books()],
    violating: [...resumed, books({ mailboxMisanswered: 1 })],
  },
];
