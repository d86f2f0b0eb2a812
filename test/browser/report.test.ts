import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { stopcopy } from '../support/cli.js';
import { bigReport } from './big-report.js';
import { CHROMIUM, closeBrowser, expectAccessible, expectTidy, type Look, openPage } from './chromium.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-report-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes the report of a recorded run by the built command. */
function reportOf(run: string): string {
  const traces = `test/traces/qemu-11.1/${run}`;
  const logs = readdirSync(traces).filter((file) => file.includes('.trace.log'));
  const file = join(folder, `${run}.html`);
  stopcopy(['validate', '--reporter', `html=${file}`, ...logs.map((log) => `${traces}/${log}`)]);
  return file;
}

const open = (file: string, look: Look = {}): Promise<Page> => openPage(pathToFileURL(file).href, look);

interface View {
  readonly from: number;
  readonly to: number;
  readonly lanes: number;
  readonly selected: number;
}
const viewOf = (page: Page): Promise<View> =>
  page.evaluate(() => (globalThis as unknown as { timeline: { view: View } }).timeline.view);

/** How many pixels of the timeline are not of its ground. */
const painted = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const canvas = document.querySelector('canvas')!;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) if (data[at]! > 0) count++;
    return count;
  });

/** Two frames: what was asked to be drawn is drawn then. */
const drawn = (page: Page): Promise<void> =>
  page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
      }),
  );

describe.skipIf(CHROMIUM === undefined)('the report in a browser', () => {
  closeBrowser();

  test.each(['cancel-pre-switchover', 'two-devices'])(
    '%s: tidy and accessible at 1280 pixels, dark on a phone, and on paper',
    async (run) => {
      const file = reportOf(run);
      for (const look of [
        { width: 1280 },
        { width: 375, colorScheme: 'dark' as const },
        { width: 718, paper: true },
      ]) {
        const page = await open(file, look);
        if ('paper' in look) {
          await page.emulateMedia({ media: 'print' });
          await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
        }
        await drawn(page);
        await expectTidy(page, 'svg text');
        if (!('paper' in look)) await expectAccessible(page);
        expect(await painted(page)).toBeGreaterThan(10_000);
        await page.screenshot({ path: join(folder, `${run}-${look.width}.png`), fullPage: true });
        await page.context().close();
      }
    },
  );

  test('by keyboard only: to a finding, its lines are there; zoom, move, all', async () => {
    const page = await open(reportOf('cancel-pre-switchover'));
    const whole = await viewOf(page);
    await page.keyboard.press('n');
    await page.waitForSelector('details.finding[open]');
    expect((await viewOf(page)).selected).toBe(0);
    expect(await page.textContent('details.finding[open] pre .here')).toContain('state RUNNING');
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('SUMMARY');
    await page.keyboard.press('+');
    await page.keyboard.press('+');
    const near = await viewOf(page);
    expect(near.to - near.from).toBeCloseTo((whole.to - whole.from) * 0.36, -2);
    await page.keyboard.press('ArrowRight');
    expect((await viewOf(page)).from).toBeGreaterThan(near.from);
    await page.keyboard.press('0');
    expect(await viewOf(page)).toMatchObject({ from: whole.from, to: whole.to });
    await page.keyboard.press('?');
    expect(await page.isVisible('#help')).toBe(true);
  });

  test('zoomed in elsewhere, the next finding is brought into view', async () => {
    const page = await open(bigReport(folder, 5000, 5));
    for (let times = 0; times < 12; times++) await page.keyboard.press('+');
    for (let times = 0; times < 3; times++) {
      await page.keyboard.press('n');
      const { from, to, selected } = await viewOf(page);
      const t = await page.evaluate(
        (number) =>
          (
            JSON.parse(document.getElementById('data')!.textContent!) as {
              marks: { finding: number; t: number }[];
            }
          ).marks.find((mark) => mark.finding === number)!.t,
        selected,
      );
      expect(from <= t && t <= to).toBe(true);
    }
  });

  test('a click on a mark opens its finding; a filter hides other devices', async () => {
    const page = await open(reportOf('cancel-pre-switchover'));
    const all = await viewOf(page);
    const at = await page.evaluate(() => {
      const { marks, lanes, end } = JSON.parse(document.getElementById('data')!.textContent!) as {
        marks: { lane: number; t: number }[];
        lanes: { kind: 'status' | 'run' | 'device' | 'curve' }[];
        end: number;
      };
      const canvas = document.querySelector('canvas')!;
      const heights = { status: 24, run: 24, device: 26, curve: 44 };
      const top = lanes.slice(0, marks[0]!.lane).reduce((sum, { kind }) => sum + heights[kind] + 5, 22);
      return { x: 212 + (marks[0]!.t / end) * (canvas.clientWidth - 220), y: top + 10 };
    });
    await page.click('canvas', { position: at });
    await page.waitForSelector('details.finding[open]');
    await page.keyboard.press('/');
    await page.keyboard.type('dst');
    expect((await viewOf(page)).lanes).toBeLessThan(all.lanes);
    expect(await page.isVisible('details.finding')).toBe(false);
    await page.keyboard.press('Escape');
    expect((await viewOf(page)).lanes).toBe(all.lanes);
    expect(await page.isVisible('details.finding')).toBe(true);
  });

  test('what is drawn does not grow with the states: 100,000 of them are as many strokes as 10,000', async () => {
    const strokes = async (states: number): Promise<number> => {
      const page = await open(bigReport(folder, states, 20));
      await drawn(page);
      await page.evaluate(() => {
        const counted = globalThis as unknown as { strokes: number };
        counted.strokes = 0;
        const own = CanvasRenderingContext2D.prototype;
        for (const name of ['fillRect', 'strokeRect', 'fillText', 'drawImage', 'stroke', 'fill'] as const) {
          const draw = own[name] as (...all: unknown[]) => void;
          Object.assign(own, {
            [name](this: CanvasRenderingContext2D, ...all: unknown[]) {
              counted.strokes++;
              draw.apply(this, all);
            },
          });
        }
      });
      for (const key of ['+', '+', '+', '+', '+', '+', 'ArrowRight', '-', '-', '0']) {
        await page.keyboard.press(key);
        await drawn(page);
      }
      const count = await page.evaluate(() => (globalThis as unknown as { strokes: number }).strokes);
      await page.context().close();
      return count;
    };
    const [few, many] = [await strokes(10_000), await strokes(100_000)];
    expect(few).toBeGreaterThan(100);
    expect(many).toBeLessThan(1.5 * few);
  });
});
