import { describe, expect, it } from 'vitest';
import { straceReader as reader } from '../../src/trace/readers/strace.js';
import { countsText, expectSameHoweverCut, feed, tally, trace } from './feed.js';

const matrix = () => trace('kernel-mtty/matrix.strace.gz');

describe('the strace of the matrix run', () => {
  it('shows what strace can show, and says what it cannot', () => {
    const { events, counts, cut, remarks } = feed(reader, matrix());
    expect(cut).toBe(false);
    expect(countsText(counts)).toBe('2823 = 462 + 2361 + 0');
    expect(tally(events)).toEqual({
      device_open: 9,
      reset: 234,
      precopy_info: 75,
      data_read: 75,
      data_close: 69,
    });
    expect(events[0]).toEqual({
      kind: 'device_open',
      t: ((1 * 60 + 19) * 60 + 18.864933) * 1e6,
      host: 'src',
      file: 'input',
      line: 7,
      thread: 157,
      device: 'fd 6',
    });
    expect(remarks).toEqual([expect.stringMatching(/VFIO_DEVICE_FEATURE.*`stopcopy record`/)]);
  });

  it('gives the same however the blocks are cut', () => {
    expectSameHoweverCut(reader, matrix().subarray(0, 20_000));
  });

  it('knows its format', () => {
    expect(reader.detect(matrix().subarray(0, 65536), '')).toBe(0.9);
    expect(reader.detect(trace('recorder/walk.strace'), '')).toBe(0.9);
    expect(reader.detect(trace('kernel-mtty/matrix.dmesg.gz').subarray(0, 65536), '')).toBe(0);
    expect(reader.detect(trace('kernel-mtty/ftrace-kprobes.txt.gz').subarray(0, 65536), '')).toBe(0);
    expect(reader.detect(trace('kernel-mtty/matrix.ndjson'), '')).toBe(0);
    expect(reader.detect(Buffer.from(''), '')).toBe(0);
  });
});

describe('other straces', () => {
  it('says when it holds nothing that is looked at', () => {
    const { events, counts, remarks } = feed(reader, '12 openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3\n');
    expect(events).toEqual([]);
    expect(counts.malformed).toBe(0);
    expect(remarks).toEqual(['no call of VFIO, vhost, vhost-user or KVM was seen in this strace']);
  });

  it('knows devices and data_fds by their names where -y printed them', () => {
    const { events, counts } = feed(reader, trace('recorder/walk.strace'));
    expect(counts.malformed).toBe(0);
    expect(tally(events)).toEqual({ device_open: 2, reset: 1, data_write: 1, data_close: 1, data_read: 1 });
    expect(events).toMatchObject([
      { kind: 'device_open', device: 'fd 5', t: expect.any(Number) },
      { kind: 'data_write', device: 'fd 5', size: 5, result: 5 },
      { kind: 'reset', device: 'fd 5', errno: 0 },
      { kind: 'data_close', device: 'fd 5' },
      { kind: 'device_open', device: 'fd 5' },
      { kind: 'data_read', device: 'fd 5', size: 4096, result: 24 },
    ]);
  });
});

describe('forms of a line', () => {
  const events = (...lines: string[]) => feed(reader, `${lines.join('\n')}\n`).events;

  it.each([
    ['ioctl(6, VFIO_DEVICE_RESET, 0) = 0', undefined],
    ['ioctl(6, VFIO_DEVICE_RESET) = 0', undefined],
    ['[pid 12] ioctl(6, 0x3b6f, 0) = 0', undefined],
    ['12 ioctl(6, VFIO_DEVICE_RESET, 0) = 0', undefined],
    ['12    01:00:00 ioctl(6, 0x3b6f /* VFIO_DEVICE_RESET */, 0) = 0 <0.000694>', 3.6e9],
    ['1795231090.763848 ioctl(6<anon_inode:[vfio-device]>, VFIO_DEVICE_RESET, 0) = 0', 1795231090763848],
    ['     0.000123 ioctl(6, _IOC(_IOC_NONE, 0x3b, 0x6f, 0), 0) = 0', 123],
  ])('%s', (line, t) => {
    const [event] = events(line);
    expect(event).toMatchObject({ kind: 'reset', device: 'fd 6', errno: 0 });
    expect(event?.t).toBe(t);
  });

  it('joins a call that another thread interrupted', () => {
    expect(
      events(
        '12 01:00:00.5 ioctl(6, VFIO_DEVICE_RESET <unfinished ...>',
        '13 01:00:00.6 close(4) = 0',
        '12 01:00:00.7 <... ioctl resumed>, 0) = -1 EINVAL (Invalid argument)',
      ),
    ).toMatchObject([{ kind: 'reset', errno: 22, line: 1, thread: 12, t: 3600500000 }]);
  });

  it('counts on over midnight', () => {
    const line = (time: string) => `12 ${time} ioctl(6, VFIO_DEVICE_RESET, 0) = 0`;
    const [before, after] = events(line('23:59:59.9'), line('00:00:00.1'));
    expect(after!.t! - before!.t!).toBe(200_000);
  });

  it('leaves data alone that looks like a result', () => {
    const [, read] = events(
      'ioctl(9, 0x3b79 /* VFIO_MIG_GET_PRECOPY_INFO */, 0x7ffe) = 0',
      'read(9, ") = -1 EBADF (x)"..., 4096) = 17',
    );
    expect(read).toMatchObject({ kind: 'data_read', size: 4096, result: 17, device: 'data_fd 9' });
  });

  it('counts a line that breaks off', () => {
    const { counts, cut } = feed(reader, 'close(3) = 0\nioctl(6, VFIO_DEVICE_RES');
    expect(countsText(counts)).toBe('2 = 0 + 2 + 0');
    expect(cut).toBe(true);
  });

  it('ends soon on a line made to be slow', () => {
    const line = `read(9, "${') = -1 EAGAIN ('.repeat(60_000)}\n`;
    expect(feed(reader, line).events).toEqual([]);
  });
});
