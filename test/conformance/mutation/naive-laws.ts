import type { EventKind, EventOf, TraceEvent } from '../../../src/trace/event.js';

/**
 * The rules that count and compare instead of following a machine, told once more in the plainest way:
 * each is a question to the whole list of events. For traces that the machines allow.
 */
export type Law = (events: readonly TraceEvent[]) => boolean;

type Of<K extends EventKind> = EventOf<K> & { index: number };

/** The events of some kinds, with their place. */
function all<K extends EventKind>(events: readonly TraceEvent[], ...kinds: K[]): Of<K>[] {
  return events.flatMap((event, index) =>
    (kinds as string[]).includes(event.kind) ? [{ ...event, index } as unknown as Of<K>] : [],
  );
}

const hosts = (events: readonly TraceEvent[]) => [...new Set(events.map(({ host }) => host))];

/** The events of each device of each host, those of its whole host among them. */
function byDevice(events: readonly TraceEvent[]): TraceEvent[][] {
  const names = new Set(
    events.flatMap((event) => ('device' in event ? [`${event.host}\0${event.device}`] : [])),
  );
  return [...names].map((name) =>
    events.filter(
      (event) => `${event.host}\0${'device' in event ? event.device : name.split('\0')[1]}` === name,
    ),
  );
}

const byHost = (events: readonly TraceEvent[]) =>
  hosts(events).map((host) => events.filter((event) => event.host === host));

/** Whether, going through the events, `visit` ever says that the law is broken. */
function some<S>(
  events: readonly TraceEvent[],
  state: S,
  visit: (state: S, event: TraceEvent) => boolean,
): boolean {
  return events.map((event) => visit(state, event)).some(Boolean);
}

/** By rule: whether the law is broken. */
export const LAWS: Record<string, Law> = {
  'VFIO-SES-07': (events) => {
    const sum = (list: readonly TraceEvent[], kind: 'data_read' | 'data_write') =>
      all(list, kind).reduce((total, { result }) => total + Math.max(0, result), 0);
    const done = byHost(events).flatMap((list) => {
      const begin = all(list, 'migration_status').findLast(({ status }) => status === 'setup')?.index ?? 0;
      const mine = list.slice(begin);
      const ended = all(mine, 'migration_status').some(({ status }) => status === 'completed');
      const hidden =
        all(mine, 'save_complete_start').some(({ multifd }) => multifd) ||
        all(mine, 'load_thread_start').length > 0;
      return ended && !hidden ? [mine] : [];
    });
    const sources = done.filter((list) => all(list, 'source_setup').length > 0);
    const destinations = done.filter(
      (list) => all(list, 'destination_setup').length > 0 && !sources.includes(list),
    );
    if (sources.length !== 1 || destinations.length !== 1) return false;
    return sum(sources[0]!, 'data_read') !== sum(destinations[0]!, 'data_write');
  },
  'VFIO-SES-09': (events) =>
    byDevice(events).some((list) =>
      some(list, { state: '', refused: false }, (now, event) => {
        if (event.kind === 'set_state_result') now.state = event.state ?? now.state;
        if (event.kind === 'data_write' && event.result < 0 && now.state === 'RESUMING') now.refused = true;
        if (event.kind === 'reset' || event.kind === 'device_open') now.refused = false;
        if (event.kind !== 'set_state') return false;
        const broken = now.refused && event.state !== 'RESUMING';
        now.refused = false;
        return broken;
      }),
    ),
  'VFIO-RST-02': (events) =>
    byDevice(events).some((list) =>
      some(list, { asked: false }, (now, event) => {
        if (event.kind === 'set_state') now.asked = event.state === 'RESUMING';
        if (event.kind !== 'data_write') return false;
        const broken = now.asked && event.result === -9;
        now.asked = false;
        return broken;
      }),
    ),
  'VMM-DST-05': (events) =>
    byHost(events).some((list) =>
      some(list, { errno: 0 }, (now, event) => {
        if (event.kind === 'destination_setup') now.errno = 0;
        if (event.kind === 'destination_load_end') now.errno = event.errno;
        return event.kind === 'migration_status' && event.status === 'completed' && now.errno !== 0;
      }),
    ),
  'VMM-DST-06': (events) =>
    byDevice(events).some((list) =>
      some(list, { failed: false }, (now, event) => {
        if (event.kind === 'device_open' || event.kind === 'reset' || event.kind === 'load_cleanup')
          now.failed = false;
        if (event.kind !== 'data_write') return false;
        const broken = now.failed;
        now.failed = event.result < 0;
        return broken;
      }),
    ),
  'VMM-DIRTY-02': (events) =>
    byHost(events).some((list) => {
      const running = new Map<string, boolean>();
      return some(list, { on: false, read: false }, (now, event) => {
        const quiet = () => [...running.values()].every((runs) => !runs);
        if (event.kind === 'device_open') running.set(event.device, true);
        if (event.kind === 'set_state_result' && event.state) {
          running.set(event.device, /^(RUNNING|PRE_COPY)/.test(event.state));
          if (running.get(event.device)) now.read = false;
        }
        if (event.kind === 'dirty_tracking_start') Object.assign(now, { on: true, read: quiet() });
        if (event.kind === 'dirty_bitmap' && quiet()) now.read = true;
        if (event.kind !== 'migration_status' || event.status !== 'completed' || !now.on) return false;
        now.on = false;
        return !now.read;
      });
    }),
  'VMM-MIG-02': (events) =>
    byHost(events).some((list) => {
      const states = new Map<string, string>();
      return some(list, { runs: false, live: false, failed: false }, (now, event) => {
        if (event.kind === 'set_state_result' && event.state) states.set(event.device, event.state);
        if (event.kind === 'device_open') states.set(event.device, 'RUNNING');
        if (event.kind === 'source_setup') now.live = now.runs;
        const judging =
          event.kind === 'vm_state' || (event.kind === 'migration_status' && event.status === 'setup');
        const left = [...states.values()].some((state) => !/^RUNNING/.test(state));
        const broken =
          judging && now.failed && now.live && !(event.kind === 'vm_state' && event.running) && left;
        if (judging && now.live) now.failed = false;
        if (event.kind === 'vm_state') now.runs = event.running;
        if (event.kind === 'migration_status') {
          if (event.status === 'failed' || event.status === 'cancelled') now.failed = now.live;
          if (event.status === 'setup') now.failed = false;
          if (event.status === 'completed') now.live = false;
        }
        return broken;
      });
    }),
  'VMM-MIG-03': (events) =>
    byHost(events).some((list) => {
      let open: Map<string, boolean> | null = null;
      return some(list, null, (_now, event) => {
        if (event.kind === 'source_setup') open = new Map();
        if (event.kind === 'save_setup') open?.set(event.device, false);
        if (event.kind === 'save_complete' && !event.errno) open?.set(event.device, true);
        if (event.kind !== 'migration_status' || event.status !== 'completed' || !open) return false;
        const broken = [...open.values()].includes(false);
        open = null;
        return broken;
      });
    }),
  'VMM-MIG-04': (events) =>
    byHost(events).some(
      (list) =>
        all(list, 'set_state_result', 'device_open').length > 0 &&
        all(list, 'migration_status').some(
          ({ status, index }) =>
            status.startsWith('postcopy') &&
            all(list.slice(0, index), 'set_state_result', 'device_open').length > 0,
        ),
    ),
  'VMM-MIG-07': (events) =>
    byHost(events).some((list) => {
      const states = new Map<string, string>();
      return some(list, { runs: undefined as boolean | undefined }, (now, event) => {
        if (event.kind === 'vm_state') now.runs = event.running;
        if (event.kind === 'device_open') states.set(event.device, 'RUNNING');
        if (event.kind !== 'set_state_result' || !event.state) return false;
        const before = states.get(event.device);
        states.set(event.device, event.state);
        return (
          event.state === 'RUNNING' && now.runs === false && /^(STOP|STOP_COPY|RESUMING)$/.test(before ?? '')
        );
      });
    }),
  'VMM-MIG-08': (events) =>
    byHost(events).some((list) =>
      some(list, { runs: undefined as boolean | undefined }, (now, event) => {
        if (event.kind === 'vm_state') now.runs = event.running;
        return event.kind === 'query_pending' && event.final === true && now.runs === true;
      }),
    ),
  'VMM-MIG-09': (events) =>
    byHost(events).some((list) =>
      some(list, { sent: false, drained: false }, (now, event) => {
        if (event.kind === 'source_setup') Object.assign(now, { sent: false, drained: false });
        if (event.kind === 'migration_status' && !['device', 'active'].includes(event.status))
          now.sent = false;
        if (event.kind === 'save_complete_start') now.drained = true;
        if (event.kind === 'switchover_start' && event.sent) now.sent = true;
        return (
          (event.kind === 'switchover_start' && event.sent && now.drained) ||
          (event.kind === 'save_iterate' && now.sent)
        );
      }),
    ),
  'VMM-ACK-04': (events) =>
    some(events, { waiting: {} as Record<string, number>, stopped: '' }, (now, event) => {
      if (event.kind === 'vm_state')
        now.stopped = !event.running && event.reason === 'finish-migrate' ? event.host : '';
      if (event.kind === 'switchover_ack_needed') now.waiting[event.host] = event.pending;
      if (event.kind === 'switchover_approved')
        now.waiting[event.host] = event.pending ?? (now.waiting[event.host] ?? 0) - 1;
      if (event.kind !== 'switchover_start' || event.sent) return false;
      const broken = (now.waiting[event.host] ?? 0) > 0 && !['', event.host].includes(now.stopped);
      now.waiting[event.host] = 0;
      return broken;
    }),
  'VMM-ACK-05': (events) =>
    byDevice(events).some((list) =>
      some(list, { sent: 0 }, (now, event) => {
        if (event.kind === 'device_open' || event.kind === 'load_cleanup') now.sent = 0;
        return event.kind === 'load_record' && event.tag === 'DEV_INIT_DATA_SENT' && ++now.sent > 1;
      }),
    ),
  'VMM-ACK-06': (events) =>
    byDevice(events).some((list) =>
      some(list, { left: undefined as number | undefined }, (now, event) => {
        if (event.kind === 'state_pending') now.left = event.initial;
        if (event.kind === 'save_iterate') now.left = event.initial ?? now.left;
        if (event.kind === 'data_read' && now.left !== undefined)
          now.left = Math.max(0, now.left - Math.max(0, event.result));
        return event.kind === 'init_data_sent' && (now.left ?? 0) > 0;
      }),
    ),
  'VMM-MFD-01': (events) =>
    byDevice(events).some((list) =>
      some(list, { next: null as number | null }, (now, event) => {
        if (event.kind === 'load_thread_start') now.next = 0;
        if (event.kind !== 'load_buffer_start') return false;
        const broken = now.next !== null && event.index !== now.next;
        now.next = event.index + 1;
        return broken;
      }),
    ),
  'VMM-MFD-02': (events) =>
    byDevice(events).some((list) =>
      some(list, { came: [] as number[] }, (now, event) => {
        if (event.kind === 'device_open' || event.kind === 'load_cleanup') now.came = [];
        if (event.kind !== 'load_buffer_queued') return false;
        const broken = now.came.includes(event.index);
        now.came.push(event.index);
        return broken;
      }),
    ),
  'VMM-MFD-03': (events) =>
    byDevice(events).some((list) =>
      some(list, { whole: false, came: [] as number[], current: null as number | null }, (now, event) => {
        if (event.kind === 'device_open') Object.assign(now, { whole: true, came: [] });
        if (event.kind === 'load_buffer_queued') now.came.push(event.index);
        if (event.kind === 'load_buffer_end') {
          const broken = now.current !== event.index && (now.whole || now.current !== null);
          now.current = null;
          return broken;
        }
        if (event.kind !== 'load_buffer_start') return false;
        const broken = (now.whole && !now.came.includes(event.index)) || now.current !== null;
        now.current = event.index;
        return broken;
      }),
    ),
  'VMM-MFD-04': (events) =>
    byHost(events).some((list) =>
      some(list, { came: false }, (now, event) => {
        if (event.kind === 'destination_setup') now.came = false;
        if (event.kind === 'switchover_start' && !event.sent) now.came = true;
        return event.kind === 'load_thread_start' && !now.came;
      }),
    ),
  'VMM-MFD-05': (events) =>
    byDevice(events).some((list) =>
      some(list, { loading: false }, (now, event) => {
        if (event.kind === 'load_thread_start') now.loading = true;
        if (event.kind === 'load_buffers_done') now.loading = false;
        return event.kind === 'load_config_start' && now.loading;
      }),
    ),
};
