import { VHOST_USER_FLAGS, vhostUserRequest } from '../../uapi/vhost-user.js';
import type { LogMemory } from './qemu-log-memory.js';
import { type Bare, type Row, row } from './qemu-log-row.js';
import { known } from './uapi-calls.js';

/**
 * Trace events of QEMU's `hw/virtio` about vhost and vhost-user, and of `net/vhost-user.c`, with the formats of
 * 7.2 to 11.1. A vhost_dev is shown as `POINTER:NAME`, NAME being the virtio device's.
 */
export const VHOST_ROWS: readonly Row[] = [
  // Which vhost_dev belongs to which back end.
  row('vhost_dev_init_in')
    .as('%w', (log, dev) => {
      log.vhost.initBegins(dev);
      return [];
    })
    .alwaysRead(),
  row('vhost_dev_init_out')
    .as('%w', (log, dev) => {
      log.vhost.initEnds(dev);
      return [];
    })
    .alwaysRead(),
  row('vhost_dev_cleanup')
    .as('%w', (log, dev) => {
      log.vhost.cleanedUp(dev);
      return [];
    })
    .alwaysRead(),
  row('vhost_user_event', 'vhost_open', 'vhost_close')
    .as('chr: %w got event: %d', (log, chardev, event) => {
      if (event === CHR_EVENT.OPENED)
        return { kind: 'vhost_open', device: log.vhost.userOpened(chardev), interface: 'user' };
      if (event === CHR_EVENT.CLOSED)
        return { kind: 'vhost_close', device: log.vhost.userClosed(chardev), interface: 'user', lost: true };
      return [];
    })
    .alwaysRead(),

  // Start and stop. Up to 10.0 only the beginning is told.
  row('vhost_dev_start', 'vhost_dev_start').as('%w vrings:%b', (log, dev, vrings) =>
    start(log, dev, true, vrings),
  ),
  row('vhost_dev_start_in', 'vhost_dev_start').as('%w vrings:%b', (log, dev, vrings) =>
    start(log, dev, true, vrings),
  ),
  row('vhost_dev_start_out', 'vhost_dev_start').as('%w', (log, dev) => start(log, dev, false)),
  row('vhost_dev_stop', 'vhost_dev_stop').as('%w vrings:%b', (log, dev, vrings) =>
    stop(log, dev, true, vrings),
  ),
  row('vhost_dev_stop_in', 'vhost_dev_stop').as('%w vrings:%b', (log, dev, vrings) =>
    stop(log, dev, true, vrings),
  ),
  row('vhost_dev_stop_out', 'vhost_dev_stop').as('%w', (log, dev) => stop(log, dev, false)),
  row('vhost_virtqueue_start_in', 'vring_start').as('%w %d', (log, dev, index) => ({
    kind: 'vring_start',
    device: device(log, dev),
    index,
    begin: true,
  })),
  row('vhost_virtqueue_start_out', 'vring_start').as('%w %d', (log, dev, index) => ({
    kind: 'vring_start',
    device: device(log, dev),
    index,
    begin: false,
  })),
  row('vhost_virtqueue_stop_in', 'vring_stop').as('%w %d', (log, dev, index) => ({
    kind: 'vring_stop',
    device: device(log, dev),
    index,
    begin: true,
  })),
  row('vhost_virtqueue_stop_out', 'vring_stop').as('%w %d', (log, dev, index) => ({
    kind: 'vring_stop',
    device: device(log, dev),
    index,
    begin: false,
  })),

  // Messages, by number; 11.1 prints the name behind it.
  row('vhost_user_write', 'vhost_message')
    .as('req:%u (%w) flags:%u', (log, request, _, flags) => message(log, true, request, flags))
    .as('req:%u flags:%u', (log, request, flags) => message(log, true, request, flags))
    .alwaysRead(),
  row('vhost_user_read', 'vhost_message')
    .as('req:%u (%w) flags:%u', (log, request, _, flags) => message(log, false, request, flags))
    .as('req:%u flags:%u', (log, request, flags) => message(log, false, request, flags))
    .alwaysRead(),
];

/** Numbers of `QEMUChrEvent`. */
const CHR_EVENT = { OPENED: 1, CLOSED: 4 } as const;

/** The back end of `POINTER:NAME`. */
function device(log: LogMemory, dev: string): string {
  const colon = dev.indexOf(':');
  return log.vhost.dev(colon < 0 ? dev : dev.slice(0, colon));
}

function start(log: LogMemory, dev: string, begin: boolean, vrings?: boolean): Bare<'vhost_dev_start'> {
  return { kind: 'vhost_dev_start', device: device(log, dev), begin, ...known('vrings', vrings) };
}

function stop(log: LogMemory, dev: string, begin: boolean, vrings?: boolean): Bare<'vhost_dev_stop'> {
  return { kind: 'vhost_dev_stop', device: device(log, dev), begin, ...known('vrings', vrings) };
}

function message(
  log: LogMemory,
  written: boolean,
  request: number | undefined,
  flags: number | undefined,
): Bare<'vhost_message'> | [] {
  const name = log.vhost.message(written, request);
  if (name === undefined || request === undefined || flags === undefined) return [];
  return {
    kind: 'vhost_message',
    device: name,
    request: vhostUserRequest(request) ?? request,
    from: written ? 'front_end' : 'back_end',
    reply: (flags & VHOST_USER_FLAGS.REPLY) !== 0,
    needReply: (flags & VHOST_USER_FLAGS.NEED_REPLY) !== 0,
  };
}
