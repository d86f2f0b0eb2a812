import { describe, expect, it } from 'vitest';
import { READERS } from '../../src/trace/readers/index.js';
import { trace } from './feed.js';
import { SimpletraceWriter } from './simpletrace-writer.js';
import { captureOf } from './vhost-user-messages.js';

/** The format that is surest of a head, and how sure it is. */
function winner(head: Uint8Array): string {
  const scores = READERS.map((reader) => ({
    format: reader.format,
    score: reader.detect(head.subarray(0, 1 << 16), 'input'),
  }));
  return scores.reduce((best, next) => (next.score > best.score ? next : best)).format;
}

describe('formats are told apart', () => {
  it.each([
    ['qmp', 'qemu-11.1/happy-default/src.qmp.ndjson'],
    ['qmp', 'qemu-11.1/cancel-pre-switchover/dst.qmp.ndjson'],
    ['qmp', 'qemu-10.0/happy-default/src.qmp.ndjson'],
    ['vfio-user-jsonl', 'vfio-user/nofd/dst.jsonl'],
    ['vfio-user-jsonl', 'vfio-user/pair/src.jsonl.gz'],
    ['qemu-log', 'qemu-11.1/happy-default/src.trace.log.gz'],
    ['qemu-log', 'qemu-10.0/switchover-ack/dst.trace.log.gz'],
    ['qemu-log', 'vhost/vdpa-happy/src.trace.log.gz'],
    ['qemu-log', 'vhost/passt-happy/dst.trace.log.gz'],
    ['strace', 'kernel-vhost/vhostlog.strace'],
    ['strace', 'vhost/passt-happy/src.passt.strace.gz'],
    ['strace', 'vhost/strace/ioctls-raw.strace'],
  ])('%s: %s', (format, path) => {
    expect(winner(trace(path))).toBe(format);
  });

  it('captures of vhost-user, simpletrace and libvfio-user logs too', () => {
    const capture = captureOf(trace('vhost/strace/vhost-user-both-ends.strace.gz'));
    expect(winner(capture)).toBe('vhost-user-capture');
    for (const reader of READERS.filter(({ format }) => format !== 'vhost-user-capture'))
      expect(reader.detect(capture, 'input')).toBe(0);
    expect(winner(new SimpletraceWriter().bytes())).toBe('qemu-simpletrace');
    const line =
      '[2022-05-11 16:27:35.610634] vfio_user.c:2843:vfio_user_log: *DEBUG*: /var/run: migration: transitioning from state pre-copy to state stop-and-copy\n';
    expect(winner(Buffer.from(line))).toBe('libvfio-user-log');
  });

  it('each has a name of its own', () => {
    expect(new Set(READERS.map(({ format }) => format)).size).toBe(READERS.length);
  });
});
