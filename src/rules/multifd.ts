import type { TraceEvent } from '../trace/event.js';
import { device, vmm } from './example.js';
import type { Rule } from './rule.js';

const d = device('vf0', 'destination');
const v = vmm('destination');
const queued = (index: number): TraceEvent => d.event('load_buffer_queued', { index });
const start = (index: number): TraceEvent => d.event('load_buffer_start', { index });
const done = (index: number): TraceEvent => d.event('load_buffer_end', { index });
const config = [d.event('load_config_start'), d.event('load_config_end')];
const begin = [
  ...d.open(),
  v.event('destination_setup'),
  ...d.call('RESUMING', 'RUNNING'),
  v.event('switchover_start', { sent: false }),
  d.event('load_thread_start'),
];

/** Device state over multifd channels, at the destination. */
export const MULTIFD_RULES: readonly Rule[] = [
  {
    id: 'VMM-MFD-01',
    title: 'packets are loaded in order and without a gap',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/multifd',
    about:
      'The load thread writes the device-state packets 0, 1, 2, … whatever the order in which they came.',
    causes: 'A load thread that takes what is there instead of the next index.',
    needs: ['load_buffer_start'],
    device: (_view, scope) => {
      // A trace may begin in the middle of a load: then any packet may be the next.
      let next: number | null = null;
      return {
        load_thread_start: () => {
          next = 0;
        },
        load_buffer_start: (event) => {
          scope.check();
          if (next !== null && event.index !== next)
            scope.fail(event, `packet ${event.index} is loaded, ${next} is next`, [`packet ${next}`]);
          next = event.index + 1;
        },
      };
    },
    conformant: [...begin, queued(1), queued(0), start(0), done(0), start(1), done(1)],
    violating: [...begin, queued(1), queued(0), start(1), done(1), start(0), done(0)],
  },
  {
    id: 'VMM-MFD-02',
    title: 'each packet comes once',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/multifd',
    about: 'The source numbers its device-state packets; no number comes twice.',
    causes: 'A packet is sent again after a channel error.',
    needs: ['load_buffer_queued'],
    device: (_view, scope) => {
      const seen = new Set<number>();
      return {
        device_open: () => seen.clear(),
        load_cleanup: () => seen.clear(),
        load_buffer_queued: (event) => {
          scope.check();
          if (seen.has(event.index)) scope.fail(event, `packet ${event.index} came twice`);
          if (seen.size < MAX_PACKETS) seen.add(event.index);
        },
      };
    },
    conformant: [...begin, queued(0), queued(1)],
    violating: [...begin, queued(0), queued(0)],
  },
  {
    id: 'VMM-MFD-03',
    title: 'a packet is loaded after it came, and ends before the next',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/multifd',
    about: 'The load thread writes one packet at a time, and only packets that were queued.',
    causes: 'Two load threads for one device.',
    needs: ['load_buffer_queued', 'load_buffer_start', 'load_buffer_end'],
    device: (_view, scope) => {
      const queuedIndices = new Set<number>();
      let whole = false;
      let current: number | null = null;
      return {
        device_open: () => {
          queuedIndices.clear();
          whole = true;
        },
        load_buffer_queued: (event) => {
          if (queuedIndices.size < MAX_PACKETS) queuedIndices.add(event.index);
        },
        load_buffer_start: (event) => {
          scope.check();
          if (whole && !queuedIndices.has(event.index))
            scope.fail(event, `packet ${event.index} is loaded before it came`);
          if (current !== null) scope.fail(event, `packet ${event.index} is loaded while ${current} is`);
          current = event.index;
        },
        load_buffer_end: (event) => {
          if (current !== event.index && (whole || current !== null))
            scope.fail(event, `packet ${event.index} ends, ${current ?? 'none'} is loaded`);
          current = null;
        },
      };
    },
    conformant: [...begin, queued(0), start(0), done(0)],
    violating: [...begin, queued(0), queued(1), start(0), start(1), done(1)],
  },
  {
    id: 'VMM-MFD-04',
    title: 'loading begins with SWITCHOVER_START',
    party: 'vmm',
    level: 'should',
    clause: 'qemu/multifd',
    about: 'The load thread of a device is started by SWITCHOVER_START; packets may be queued before.',
    causes: 'A source that does not send SWITCHOVER_START.',
    needs: ['switchover_start', 'load_thread_start', 'destination_setup'],
    host: (_host, scope) => {
      let came = false;
      return {
        destination_setup: () => {
          came = false;
        },
        switchover_start: (event) => {
          if (!event.sent) came = true;
        },
        load_thread_start: (event) => {
          scope.check();
          if (!came) scope.fail(event, 'the load thread starts before SWITCHOVER_START came');
        },
      };
    },
    conformant: begin,
    violating: [...begin, v.event('destination_setup'), d.event('load_thread_start')],
  },
  {
    id: 'VMM-MFD-05',
    title: 'the config state is loaded after all data',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/multifd',
    about: 'The config packet is the last one: it is loaded when every data packet was written.',
    causes: 'A config packet that is taken for data, or loaded when it comes.',
    needs: ['load_buffers_done', 'load_config_start', 'load_thread_start'],
    device: (_view, scope) => {
      let loading = false;
      return {
        load_thread_start: () => {
          loading = true;
        },
        load_buffers_done: () => {
          loading = false;
        },
        load_config_start: (event) => {
          scope.check();
          if (loading) scope.fail(event, 'the config state is loaded before the last data packet');
        },
      };
    },
    conformant: [...begin, queued(0), start(0), done(0), d.event('load_buffers_done'), ...config],
    violating: [...begin, queued(0), start(0), done(0), ...config, d.event('load_buffers_done')],
  },
];

/** Most packet numbers that are remembered for a device. */
const MAX_PACKETS = 1 << 16;
