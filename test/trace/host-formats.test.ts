import { describe, expect, it } from 'vitest';
import { READERS } from '../../src/trace/readers/index.js';
import { ndjsonHead } from '../../src/trace/writer.js';
import { trace } from './feed.js';

describe('recordings of a host are told apart', () => {
  it.each([
    ['uapi-bpftrace', 'qemu-11.1-uapi/happy-default/uapi.bpftrace.ndjson.gz'],
    ['uapi-bpftrace', 'kernel-mtty/uapi.bpftrace.ndjson.gz'],
    ['uapi-bpftrace', 'recorder/walk.uapi.ndjson'],
    ['kernel-log', 'kernel-mtty/matrix.dmesg.gz'],
    ['kernel-log', 'recorder/walk.dmesg-flags.txt'],
    ['ftrace-kprobes', 'kernel-mtty/ftrace-kprobes.txt.gz'],
    ['ftrace-kprobes', 'recorder/walk.kprobes.txt'],
    ['ftrace-kprobes', 'recorder/walk.trace-cmd.txt'],
    ['strace', 'kernel-mtty/matrix.strace.gz'],
    ['strace', 'kernel-vhost/vhostlog.strace'],
    ['strace', 'recorder/walk.strace'],
  ])('%s: %s', (format, path) => {
    expect(claims(trace(path))).toEqual([format]);
  });

  it('the canonical trace, and what is none of them', () => {
    expect(claims(Buffer.from(ndjsonHead()))).toEqual(['ndjson']);
    expect(claims(trace('kernel-mtty/matrix.ndjson'))).toEqual([]);
    expect(claims(trace('kernel-mtty/arcs.ndjson'))).toEqual([]);
  });
});

/** The formats whose readers think that this is theirs. */
function claims(bytes: Buffer): string[] {
  return READERS.filter((reader) => reader.detect(bytes.subarray(0, 1 << 16), 'input') >= 0.5).map(
    (reader) => reader.format,
  );
}
