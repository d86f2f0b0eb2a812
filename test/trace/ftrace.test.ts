import { describe, expect, it } from 'vitest';
import { ftraceReader as reader } from '../../src/trace/readers/ftrace.js';
import { countsText, expectSameHoweverCut, feed, only, tally, trace } from './feed.js';

const matrix = () => trace('kernel-mtty/ftrace-kprobes.txt.gz');

describe('the kprobes of the matrix run', () => {
  it('reads hops and driver requests', () => {
    const { events, counts, cut, remarks } = feed(reader, matrix());
    expect(cut).toBe(false);
    expect(remarks).toEqual([]);
    expect(countsText(counts)).toMatch(/^1685 = .* \+ 0$/);
    expect(tally(events)).toEqual({ driver_request: 377, next_hop: 648 });
    expect(events[0]).toEqual({
      kind: 'driver_request',
      t: 42427207,
      host: 'src',
      file: 'input',
      line: 13,
      thread: 197,
      device: 'mtty (mttymatrix-197)',
      state: 'STOP_COPY',
    });
    expect(events[1]).toEqual({
      kind: 'next_hop',
      t: 42429023,
      host: 'src',
      file: 'input',
      line: 14,
      thread: 197,
      device: 'mtty (mttymatrix-197)',
      from: 'STOP',
      to: 'STOP_COPY',
      errno: 0,
    });
    const hops = only(events, 'next_hop');
    expect(hops.filter((event) => event.errno === 22)).toHaveLength(67);
    expect(hops.filter((event) => event.to === 4294967295)).toHaveLength(14);
    expect(new Set(events.map((event) => ('device' in event ? event.device : ''))).size).toBe(1);
  });

  it('gives the same however the blocks are cut', () => {
    expectSameHoweverCut(reader, matrix().subarray(0, 20_000));
  });

  it('knows its format', () => {
    expect(reader.detect(matrix().subarray(0, 65536), '')).toBe(0.95);
    expect(reader.detect(trace('recorder/walk.trace-cmd.txt'), '')).toBe(0.95);
    expect(reader.detect(Buffer.from('# tracer: nop\n#\n'), '')).toBe(0.6);
    expect(reader.detect(trace('kernel-mtty/matrix.dmesg.gz').subarray(0, 65536), '')).toBe(0);
    expect(reader.detect(trace('kernel-mtty/matrix.strace.gz').subarray(0, 65536), '')).toBe(0);
  });
});

describe('the probes that the recorder sets', () => {
  it('are read from tracefs', () => {
    const { events, counts } = feed(reader, trace('recorder/walk.kprobes.txt'));
    expect(counts.malformed).toBe(0);
    expect(tally(events)).toEqual({ driver_request: 33, next_hop: 40 });
    expect(events[0]).toMatchObject({
      state: 'PRE_COPY',
      device: expect.stringMatching(/^mtty 0x\w+ \(walk-\d+\)$/),
    });
  });

  it('are read from trace-cmd report, which knows no symbols', () => {
    const { events, counts } = feed(reader, trace('recorder/walk.trace-cmd.txt'));
    expect(counts.malformed).toBe(0);
    expect(tally(events)).toEqual({ driver_request: 33, next_hop: 40 });
    expect(events[0]).toMatchObject({ device: expect.stringMatching(/^0x\w+ \(walk-\d+\)$/) });
  });
});

describe('lines', () => {
  const line = (text: string) => `  CPU 0/KVM-12  [001] d..1. 42.5: ${text}\n`;
  const next = (cur: number, to: number) =>
    line(`vfio_next: (vfio_mig_get_next_state+0x4/0x380 [vfio]) cur=${cur} new=${to}`);

  it('takes task names with blanks and lines with a thread group', () => {
    const text =
      '  CPU 0/KVM-12  (     10) [001] d..1. 42.5: mlx5_set: (mlx5vf_pci_set_device_state+0x0/0x9 [mlx5_vfio_pci]) new=6\n';
    expect(feed(reader, text).events).toMatchObject([
      { kind: 'driver_request', device: 'mlx5_vfio_pci (CPU 0/KVM-12)', state: 'PRE_COPY', t: 42500000 },
    ]);
  });

  it('gives a hop without result when the return was not seen', () => {
    const { events } = feed(reader, next(2, 3) + next(5, 3));
    expect(events).toMatchObject([
      { kind: 'next_hop', line: 1, from: 'RUNNING', to: 'STOP_COPY' },
      { kind: 'next_hop', line: 2, from: 'RUNNING_P2P', to: 'STOP_COPY' },
    ]);
    for (const event of events) expect(event).not.toHaveProperty('errno');
  });

  it('counts what it cannot read, and says what was lost', () => {
    const { counts, remarks } = feed(
      reader,
      `# entries-in-buffer/entries-written: 10/40   #P:2\nCPU:1 [LOST 12 EVENTS]\n${next(12, 3)}${line('vfio_next: cur=2')}${line('sched_switch: prev_comm=a')}`,
    );
    expect(countsText(counts)).toBe('5 = 0 + 3 + 2');
    expect(remarks).toEqual([expect.stringContaining('42 kernel events are lost')]);
  });

  it('calls a last line that breaks off a cut input', () => {
    expect(feed(reader, `${next(2, 3)}${next(5, 3).slice(0, -8)}`)).toMatchObject({ cut: true });
  });
});
