import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PageData } from '../../src/validate/reporters/page-data.js';
import { lanesWith, layoutOf, rowAt } from '../../src/viewer/layout.js';
import { clustersOf, curveOf, levelOf, MANY, ticksOf, valueAt } from '../../src/viewer/level.js';
import { looksOf } from '../../src/viewer/looks.js';
import { piecesOf } from '../../src/viewer/paper.js';
import { amountText, beginning, durationText, fitting, tickText, timeText } from '../../src/viewer/text.js';

/** What the script of the report reckons with, without a browser. */

/** Spans of some lengths, one after the other. */
function spansOf(lengths: readonly number[]): number[] {
  let t = 0;
  return lengths.flatMap((length, index) => {
    const start = t;
    t += length;
    return [index % 3, start, t];
  });
}

const lengths = fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 400 });

describe('what is drawn of spans', () => {
  test('every span that is wide enough is a bar where it is, and every other visible one colours a column or shares it', () => {
    fc.assert(
      fc.property(lengths, fc.nat(100), fc.integer({ min: 1, max: 100 }), (all, begin, part) => {
        const spans = spansOf(all);
        const end = Math.max(1, spans.at(-1)!);
        const from = (end * begin) / 200;
        const to = from + Math.max(1, (end * part) / 200);
        const extent = { from, to, width: 300, scale: 2 };
        const { bars, columns } = levelOf(spans, extent);
        const perPixel = 300 / (to - from);
        for (let at = 0; at < spans.length; at += 3) {
          const [left, right] = [spans[at + 1]!, spans[at + 2]!].map((t) =>
            Math.min(300, Math.max(0, (t - from) * perPixel)),
          ) as [number, number];
          const wide = right - left;
          if (wide >= 8.001) expect(bars.some(({ x, width }) => x === left && width === wide)).toBe(true);
          else if (wide > 1 && left > 0 && right < 300)
            expect(columns[Math.floor(left * 2) + 1]).toBeGreaterThan(0);
        }
      }),
    );
  });

  test('100,000 spans in a lane: no more than two are looked at for a column', () => {
    const spans = spansOf(Array.from({ length: 100_000 }, () => 1000));
    const end = spans.at(-1)!;
    for (const zoom of [1, 3, 10, 100, 1000, 100_000]) {
      const { visited, columns } = levelOf(spans, {
        from: end / 3,
        to: end / 3 + end / zoom,
        width: 1000,
        scale: 2,
      });
      expect(columns).toHaveLength(2000);
      expect(visited).toBeLessThanOrEqual(4001);
    }
  });
});

test('a column in which many spans begin shows none of them as if it were the only one', () => {
  const spans = spansOf(Array.from({ length: 100_000 }, () => 1000));
  const all = levelOf(spans, { from: 0, to: spans.at(-1)!, width: 1000, scale: 1 });
  expect([...all.columns].filter((name) => name === MANY).length).toBeGreaterThan(990);
  const few = levelOf(spans, { from: 0, to: 2_000_000, width: 1000, scale: 1 });
  expect(few.columns.includes(MANY)).toBe(false);
});

describe('what is drawn of a curve', () => {
  test('no more than a point for each column, and its highest value is among them', () => {
    const points = Array.from({ length: 50_000 }, (_, t) => [t, t === 31_415 ? 1e6 : t % 7]).flat();
    const columns = curveOf(points, { from: 0, to: 50_000, width: 500, scale: 1 });
    expect(columns.length).toBeLessThanOrEqual(501);
    expect(Math.max(...columns.map(({ high }) => high))).toBe(1e6);
    expect(columns.at(-1)!.last).toBe(49_999 % 7);
  });

  test('a value holds until the next one; before the first and after the last nothing is known', () => {
    const points = [10, 1, 20, 5];
    expect([9, 10, 19, 20, 21].map((t) => valueAt(points, t))).toEqual([undefined, 1, 1, 5, undefined]);
  });

  test('zoomed in between two points the value before is drawn', () => {
    const columns = curveOf([0, 3, 1000, 5], { from: 400, to: 600, width: 100, scale: 1 });
    expect(columns).toEqual([{ x: 0, low: 3, high: 3, last: 3 }]);
    expect(curveOf([0, 3, 300, 5], { from: 400, to: 600, width: 100, scale: 1 })).toEqual([]);
  });
});

test('marks that are near are one, and none is lost', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1000 })), (places) => {
      const marks = places.map((x, number) => ({ x, number }));
      const clusters = clustersOf(marks, 14);
      expect(clusters.flatMap((cluster) => cluster.marks).length).toBe(marks.length);
      for (const [index, { x }] of clusters.entries())
        if (index > 0) expect(x - clusters[index - 1]!.x).toBeGreaterThanOrEqual(14);
    }),
  );
});

test('numbers of the axis differ from each other, at every zoom', () => {
  for (const from of [0, 15_020_891, 3_600_000_000])
    for (let span = 20; span < 1e10; span *= 3) {
      const { step, ticks } = ticksOf({ from, to: from + span, width: 1000, scale: 1 }, 110);
      const texts = ticks.map((t) => tickText(t, step));
      expect(new Set(texts).size).toBe(texts.length);
      expect(ticks.length).toBeGreaterThan(2);
      expect(ticks.length).toBeLessThan(12);
    }
});

describe('the rows', () => {
  const device = (title: string, host: number) => ({ title, host, kind: 'device' as const, spans: [] });
  const data: PageData = {
    names: [],
    hosts: [
      { id: 'src', about: 'source' },
      { id: 'dst', about: 'destination' },
    ],
    lanes: [
      { title: 'run state', host: 0, kind: 'run', spans: [] },
      device('0000:af:01.0', 0),
      device('0000:af:01.1', 0),
      { title: 'run state', host: 1, kind: 'run', spans: [] },
      device('0000:3b:02.0', 1),
    ],
    marks: [],
    end: 1,
  };

  test('a filter keeps the lanes of a device, those of its host, and a whole host by its name', () => {
    expect(lanesWith(data, '')).toEqual([0, 1, 2, 3, 4]);
    expect(lanesWith(data, 'AF:01.1')).toEqual([0, 2]);
    expect(lanesWith(data, 'dst')).toEqual([3, 4]);
    expect(lanesWith(data, 'src/0000:af:01.0')).toEqual([0, 1]);
    expect(lanesWith(data, 'nobody')).toEqual([]);
  });

  test('each host has its head; a place finds its row; a narrow window has names above', () => {
    for (const width of [375, 1280]) {
      const layout = layoutOf(data, [0, 1, 2, 3, 4], width);
      expect(layout.rows.map(({ lane }) => lane)).toEqual([-1, 0, 1, 2, -1, 3, 4]);
      expect(layout.label === 0).toBe(width === 375);
      for (const row of layout.rows) {
        expect(rowAt(layout, row.top)).toBe(row);
        expect(rowAt(layout, row.top + row.height - 1)).toBe(row);
      }
      expect(rowAt(layout, -1)).toBeUndefined();
      expect(rowAt(layout, layout.height)).toBeUndefined();
    }
  });

  test('on paper they are cut between rows, into pieces that fit on a page', () => {
    const many = Array.from({ length: 200 }, (_, number) => device(`d${number}`, 0));
    const layout = layoutOf(
      { ...data, lanes: many },
      many.map((_, index) => index),
      718,
    );
    const pieces = piecesOf(layout);
    expect(pieces.length).toBeGreaterThan(5);
    for (const [index, { top, height }] of pieces.entries()) {
      expect(height).toBeLessThanOrEqual(880);
      expect(layout.rows.some((row) => row.top === top)).toBe(true);
      if (index > 0) expect(top).toBe(pieces[index - 1]!.top + pieces[index - 1]!.height);
    }
  });
});

describe('words', () => {
  test('of times and amounts', () => {
    expect([0, 12, 1500, 15_020_891].map(timeText)).toEqual(['0 µs', '12 µs', '1.5 ms', '15.020891 s']);
    expect([12, 1234.5, 15_020_891].map(durationText)).toEqual(['12 µs', '1.234 ms', '15.02 s']);
    expect([0, 24, 50_864_128].map((value) => amountText(value))).toEqual(['0 B', '24 B', '48.5 MiB']);
    expect([1, 12_345].map((value) => amountText(value, 'pages'))).toEqual(['1 page', '12,345 pages']);
  });

  test('of names that are too long: they stay apart', () => {
    expect(fitting('22222222-2222-4222-8222-222222222222', 12)).toBe('222222…22222');
    expect(fitting('short', 12)).toBe('short');
    expect(beginning('finish-migrate', 8)).toBe('finish-…');
    expect(beginning('finish-migrate', 5)).toBe('');
  });
});

test('states are told apart without colour: no two states of a device share colour and pattern', () => {
  const states = [
    'RUNNING',
    'RUNNING_P2P',
    'PRE_COPY',
    'PRE_COPY_P2P',
    'STOP_COPY',
    'STOP',
    'RESUMING',
    'ERROR',
  ];
  const looks = looksOf(states).map(({ color, pattern }) => `${color} ${pattern}`);
  expect(new Set(looks).size).toBe(states.length);
  const unknown = looksOf(['ready', 'bound', 'started', 'stopped']).map(({ pattern }) => pattern);
  expect(new Set(unknown).size).toBe(4);
});
