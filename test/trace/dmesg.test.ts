import { describe, expect, it } from 'vitest';
import { kernelLogReader as reader } from '../../src/trace/readers/dmesg.js';
import { countsText, expectSameHoweverCut, feed, only, tally, trace } from './feed.js';

const matrix = () => trace('kernel-mtty/matrix.dmesg.gz');
const UUID = '11111111-1111-4111-8111-111111111111';
const step = `mtty ${UUID}: mtty_step_state: 2 -> 5`;

describe('the log of the matrix run', () => {
  it('reads requests, arcs, reads and writes', () => {
    const { events, counts, cut } = feed(reader, matrix());
    expect(cut).toBe(false);
    expect(counts.malformed).toBe(0);
    expect(tally(events)).toMatchObject({
      driver_request: 363 + 14,
      driver_arc: 583,
      data_read: 92,
      // 106 lines, 6 of them refused afterwards
      data_write: 100,
    });
    expect(only(events, 'driver_arc')[0]).toEqual({
      kind: 'driver_arc',
      t: 12497377,
      host: 'src',
      file: 'input',
      line: 3,
      device: UUID,
      from: 'RUNNING',
      to: 'RUNNING_P2P',
    });
    expect(only(events, 'data_read')[0]).toMatchObject({ size: 4096, result: 60 });
    expect(only(events, 'data_read').some((event) => event.result === -19)).toBe(true);
    const numbers = only(events, 'driver_request').map((event) => event.state);
    expect(numbers.filter((state) => state === 4294967295)).toHaveLength(14);
  });

  it('finds the resets without which the arcs would not join', () => {
    // An arc is logged at its begin: when it failed, the device is still where it was.
    const states = new Map<string, string[]>();
    for (const event of feed(reader, matrix()).events) {
      if (event.kind === 'reset') states.set(event.device, ['RUNNING']);
      if (event.kind !== 'driver_arc') continue;
      expect(states.get(event.device) ?? [event.from]).toContain(event.from);
      states.set(event.device, [event.from, event.to]);
    }
  });

  it('gives the same however the blocks are cut', () => {
    expectSameHoweverCut(reader, matrix().subarray(0, 20_000));
  });

  it('knows its format', () => {
    expect(reader.detect(matrix().subarray(0, 65536), '')).toBe(0.95);
    expect(reader.detect(Buffer.from('[   12.496586] usb 1-1: new device\n[   12.5] done\n'), '')).toBe(0.4);
    expect(reader.detect(Buffer.from('{"kind":"set_state"}\n'), '')).toBe(0);
    expect(reader.detect(Buffer.from(''), '')).toBe(0);
  });
});

describe('prefixes', () => {
  it.each([
    [`[   12.496586] ${step}`, 12496586],
    [`<7>[   15.562275] ${step}`, 15562275],
    [`kern  :debug : [   15.562275] ${step}`, 15562275],
    [`[   15.562275][  T123] ${step}`, 15562275],
    [`[Sat Nov 21 03:18:07 2026] ${step}`, Date.UTC(2026, 10, 21, 3, 18, 7) * 1000],
    [`2026-11-21T03:18:07,761086+00:00 ${step}`, Date.UTC(2026, 10, 21, 3, 18, 7) * 1000 + 761086],
    [`2026-11-21T04:18:07+0100 host kernel: ${step}`, Date.UTC(2026, 10, 21, 3, 18, 7) * 1000],
    [`[   15.562275] host kernel: ${step}`, 15562275],
    [`Nov 21 03:18:07 host kernel: [   15.562275] ${step}`, 15562275],
    [`Nov 21 03:18:07 host kernel: ${step}`, undefined],
    [`[   23.341173] [308] mtty:mtty_step_state:1118: ${step}`, 23341173],
    [step, undefined],
  ])('%s', (line, t) => {
    const [event] = feed(reader, `${line}\n`).events;
    expect(event).toMatchObject({ kind: 'driver_arc', device: UUID, from: 'RUNNING', to: 'RUNNING_P2P' });
    expect(event?.t).toBe(t);
  });

  it('reads the log of a kernel with all dynamic debug flags on', () => {
    const { events } = feed(reader, trace('recorder/walk.dmesg-flags.txt'));
    expect(tally(events)).toEqual({
      driver_request: 10,
      driver_arc: 11,
      reset: 1,
      data_read: 1,
      data_write: 1,
    });
  });
});

describe('lines that say something else', () => {
  it('leaves them alone', () => {
    const { events, counts } = feed(
      reader,
      [
        '[1.0] LAB seq=55 good set RUNNING -> STOP_COPY',
        '[1.0] mlx5_core 0000:08:00.0: E-Switch: Enable: mode(LEGACY), nvfs(4)',
        `[1.0] mtty ${UUID}: mtty_step_state: 2 -> 9`,
        `[1.0] mtty ${UUID}: mtty_load_state expected 60, got 24`,
        '[1.0] nvme nvme0: nvme_set_state: 2 -> 5x',
        '',
        '',
      ].join('\n'),
    );
    expect(events).toEqual([]);
    expect(countsText(counts)).toBe('6 = 0 + 6 + 0');
  });

  it('reads other drivers that spell it the same way', () => {
    const { events } = feed(
      reader,
      '[1.5] mlx5_vfio_pci 0000:08:00.2: mlx5vf_pci_set_device_state -> 6\n' +
        '[1.6] mlx5_vfio_pci 0000:08:00.2: mlx5vf_pci_step_device_state_locked: 2 -> 6\n',
    );
    expect(events).toMatchObject([
      { kind: 'driver_request', device: '0000:08:00.2', state: 'PRE_COPY' },
      { kind: 'driver_arc', from: 'RUNNING', to: 'PRE_COPY' },
    ]);
  });

  it('says that the input is cut when its last line has no newline', () => {
    expect(feed(reader, `[1.5] ${step}`)).toMatchObject({ cut: true, events: [] });
    const written = `[1.5] mtty ${UUID}: mtty_resume_write received 60, total 60\n`;
    expect(feed(reader, written + written.slice(0, -3)).events).toHaveLength(1);
  });
});
