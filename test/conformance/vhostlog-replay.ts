import type { EventKind, EventOf, TraceEvent } from '../../src/trace/event.js';
import { ERRNO } from '../../src/uapi/errno.js';
import { VHOST_FEATURES } from '../../src/uapi/vhost.js';
import { VHOST_LOG_PAGE, type VhostWrite } from '../../src/uapi/vhost-log.js';

/** A step of the program that wrote `vhostlog.ndjson`: a request with its result, or what it saw afterwards. */
export interface Step {
  seq: number;
  op: string;
  when?: string;
  rc?: number;
  errno?: string;
  value?: string;
  /** Buffers that the kernel has returned by now, of each queue. */
  rx_used?: number;
  tx_used?: number;
  last_len?: number;
  q?: 'rx' | 'tx';
  num?: number;
  /** Pages whose bits were set; they are cleared with the reading. */
  bits?: { page: number; gpa: string }[];
}

export function steps(text: string): Step[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Step);
}

/** How the program has laid out its guest memory: a ring of 16 a queue, and a buffer every two pages. */
const RING = 16;
const USED = { rx: 0x4000_1000, tx: 0x4000_5000 };
const INDEX = { rx: 0, tx: 1 };
const bufferOf = (id: number) => 0x4001_0000 + id * 0x2000;
/** The buffer that was put in for the lap of the ring: it has bytes on both sides of this boundary. */
const CROSSING = 0x400a_1000;
const MEMORY = { gpa: 0x4000_0000, size: 0x20_0000 };

type Queue = keyof typeof USED;

/** The events that a recorder between the program and the kernel, with eyes on guest memory, would have told. */
export function replay(all: readonly Step[]): TraceEvent[] {
  const events: TraceEvent[] = [];
  const used = { rx: 3, tx: 0 };
  const place = { host: 'host', device: 'vhost-net', file: 'vhostlog.ndjson' };
  const offered = BigInt(all.find(({ op }) => op === 'features')!.value!);
  const logAll = 1n << BigInt(VHOST_FEATURES.LOG_ALL);
  let line = 0;
  const put = <K extends EventKind>(kind: K, fields: Partial<EventOf<K>> | object) =>
    events.push({ kind, ...place, line, ...fields } as unknown as TraceEvent);
  const request = <K extends EventKind>(kind: K, step: Step, fields: Partial<EventOf<K>> | object = {}) =>
    put(kind, { interface: 'kernel', ...fields, errno: step.rc === 0 ? 0 : ERRNO[step.errno!]! });
  const write = (queue: Queue, what: VhostWrite, address: number, length: number) =>
    put('vhost_write', { index: INDEX[queue], what, address, length });

  /** The kernel has returned one buffer: payload, where there is some, the element, the index. */
  const returned = (queue: Queue, length: number, crossing: boolean) => {
    const slot = used[queue]++ % RING;
    if (queue === 'rx' && crossing && slot === 0) write(queue, 'buffer', CROSSING - 1, 2);
    else if (queue === 'rx') write(queue, 'buffer', bufferOf(slot), length);
    write(queue, 'used', USED[queue] + 4 + 8 * slot, 8);
    write(queue, 'used_idx', USED[queue] + 2, 2);
  };

  put('vhost_open', { interface: 'kernel' });
  all.forEach((step, at) => {
    line = step.seq + 1;
    const { op } = step;
    const queue: Queue = / tx\b/.test(op) ? 'tx' : 'rx';
    const index = INDEX[queue];
    if (op === 'used') {
      const crossing = step.when === 'until ring wrapped';
      while (used.rx < step.rx_used!) returned('rx', step.last_len!, crossing);
      while (used.tx < step.tx_used!) returned('tx', 0, false);
    } else if (op === 'log') {
      const pages = step.bits!.map(
        ({ page, gpa }) => [page, Number(gpa) / VHOST_LOG_PAGE - page + 1] as const,
      );
      put('vhost_log_read', { pages, ...(step.when === 'after stop' ? { final: true } : {}) });
    } else if (op.startsWith('GET_FEATURES'))
      request('vhost_offered', step, { features: `0x${offered.toString(16)}` });
    else if (op.startsWith('SET_OWNER')) request('vhost_set_owner', step);
    else if (op.startsWith('RESET_OWNER')) request('vhost_reset_owner', step);
    else if (op.startsWith('SET_FEATURES')) {
      const features = /(?<!-)LOG_ALL/.test(op) ? offered : offered & ~logAll;
      request('vhost_set_features', step, { features: `0x${features.toString(16)}` });
    } else if (op.startsWith('SET_MEM_TABLE')) request('vhost_mem_table', step, { regions: [MEMORY] });
    else if (op.startsWith('SET_LOG_BASE')) request('vhost_log_base', step);
    else if (op.startsWith('SET_VRING_NUM')) request('vring_num', step, { index, num: RING });
    else if (op.startsWith('SET_VRING_BASE')) request('vring_base', step, { index, num: 0 });
    else if (op.startsWith('SET_VRING_ADDR'))
      request('vring_addr', step, { index, log: op.includes('+F_LOG'), logGuestAddr: USED[queue] });
    // Kick and call name no queue: they follow the address of the one that they are of.
    else if (op === 'SET_VRING_KICK' || op === 'SET_VRING_CALL') {
      const of = all.slice(0, at).findLast((each) => each.op.startsWith('SET_VRING_ADDR'))!;
      const kind = op === 'SET_VRING_KICK' ? 'vring_kick_fd' : 'vring_call_fd';
      request(kind, step, { index: INDEX[/ tx\b/.test(of.op) ? 'tx' : 'rx'], attached: true });
    } else if (op.startsWith('NET_SET_BACKEND'))
      request('vring_backend', step, { index, attached: !op.endsWith('-1') });
    else if (op.startsWith('GET_VRING_BASE'))
      request('vring_base_read', step, { index, num: all[at + 1]!.num! });
  });
  return events;
}
