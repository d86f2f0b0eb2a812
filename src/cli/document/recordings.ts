import type { Recording } from '../../document/book/index.js';
import type { TraceEvent } from '../../trace/event.js';
import { distinctHosts, readTrace } from '../../trace/open.js';
import { packagePath } from '../package.js';

/** Runs that the book shows, of those that come with the package. */
const SHOWN: readonly Omit<Recording, 'events'>[] = [
  {
    name: 'e810-vf-precopy',
    title: 'E810 VF with pre-copy',
    words: 'A mock E810 VF that offers PRE_COPY and DMA logging, migrated by stopcopy between two processes.',
    files: ['test/traces/migrate/e810-vf-precopy.ndjson'],
    hosts: ['source', 'destination'],
  },
  {
    name: 'two-e810-vfs',
    title: 'Two E810 VFs, stop-copy only',
    words: 'Two mock E810 VFs, which the VMM stops in two phases by RUNNING_P2P.',
    files: ['test/traces/migrate/two-e810-vfs.ndjson'],
    hosts: ['source', 'destination'],
  },
  {
    name: 'two-devices',
    title: 'Two VFs with P2P, in QEMU 11.1',
    words: 'Two mtty devices of the kernel in one QEMU: both are in PRE_COPY_P2P before one is in STOP_COPY.',
    files: [
      'test/traces/qemu-11.1/two-devices/src.trace.log',
      'test/traces/qemu-11.1/two-devices/dst.trace.log.gz',
    ],
    hosts: ['src', 'dst'],
  },
  {
    name: 'cancel',
    title: 'Cancel in pre-copy',
    words: 'migrate_cancel while the VM runs, in QEMU 11.1: the device goes back to RUNNING.',
    files: [
      'test/traces/qemu-11.1/cancel-precopy/src.trace.log',
      'test/traces/qemu-11.1/cancel-precopy/dst.trace.log',
    ],
    hosts: ['src', 'dst'],
  },
  {
    name: 'rollback',
    title: 'Failure and rollback',
    words:
      'A cancel when the VM is stopped already, in QEMU 11.1: it starts again. The validator finds a broken rule here: the device is not brought back by way of a P2P state.',
    files: [
      'test/traces/qemu-11.1/cancel-pre-switchover/src.trace.log',
      'test/traces/qemu-11.1/cancel-pre-switchover/dst.trace.log',
    ],
    hosts: ['src', 'dst'],
  },
  {
    name: 'destination-killed',
    title: 'The destination dies in pre-copy',
    words: 'The destination of QEMU 11.1 is killed; the source goes on as before.',
    files: [
      'test/traces/qemu-11.1/dst-killed-precopy/src.trace.log',
      'test/traces/qemu-11.1/dst-killed-precopy/dst.trace.log',
    ],
    hosts: ['src', 'dst'],
  },
  {
    name: 'postcopy',
    title: 'Post-copy',
    words:
      'A VM without devices, migrated by stopcopy: it runs at the destination before its memory is there.',
    files: ['test/traces/migrate/postcopy.ndjson'],
    hosts: ['source', 'destination'],
  },
  {
    name: 'vhost-log',
    title: 'The dirty log of a vhost-user back end',
    words: 'passt as back end of QEMU 11.1: the log is switched on, the rings move, the state crosses.',
    files: [
      'test/traces/vhost/passt-happy/src.trace.log.gz',
      'test/traces/vhost/passt-happy/dst.trace.log.gz',
    ],
    hosts: ['src', 'dst'],
  },
  {
    name: 'vdpa-shadow-virtqueues',
    title: 'vDPA with shadow virtqueues',
    words:
      'vhost-vdpa in QEMU 11.1: for the migration the device starts again with shadow virtqueues, which log what it writes.',
    files: ['test/traces/vhost/vdpa-happy/src.trace.log.gz', 'test/traces/vhost/vdpa-happy/dst.trace.log.gz'],
    hosts: ['src', 'dst'],
  },
  {
    name: 'file',
    title: 'To a file, and back',
    words: 'QEMU 11.1 writes the stream to a file; another QEMU loads it.',
    files: [
      'test/traces/qemu-11.1/file-save-load/src.trace.log',
      'test/traces/qemu-11.1/file-save-load/dst.trace.log.gz',
    ],
    hosts: ['src', 'dst'],
  },
];

/** The shown runs with their events, in the order of their times. @throws InputError when the package lacks one */
export async function recordings(): Promise<Recording[]> {
  const all: Recording[] = [];
  for (const shown of SHOWN) all.push({ ...shown, events: await eventsOf(shown.files) });
  return all;
}

async function eventsOf(files: readonly string[]): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  for (const input of distinctHosts(files.map((file) => ({ file: packagePath(file) }))))
    await readTrace(input, { emit: (event) => events.push(event) });
  return inTime(events);
}

/** By time; an event without one comes with the event before it. */
function inTime(events: readonly TraceEvent[]): TraceEvent[] {
  let last = 0;
  const timed = events.map((event, index) => {
    last = event.t ?? last;
    return { event, index, t: last };
  });
  return timed.sort((a, b) => a.t - b.t || a.index - b.index).map(({ event }) => event);
}
