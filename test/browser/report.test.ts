import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { stopcopy } from '../support/cli.js';
import { bigReport, hostileReport } from './big-report.js';
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

/** How many pixels of a canvas are not of its ground. */
const painted = (page: Page, selector: string): Promise<number> =>
  page.evaluate((selector) => {
    const canvas = document.querySelector<HTMLCanvasElement>(selector)!;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) if (data[at]! > 0) count++;
    return count;
  }, selector);

/** Holds that no text on the timeline lies on another one or sticks out of it. */
async function expectTidyCanvas(page: Page): Promise<void> {
  await page.evaluate(() => {
    const texts: [string, number, number, number][] = [];
    Object.assign(globalThis, { texts });
    const own = CanvasRenderingContext2D.prototype;
    const { fillText, clearRect } = own;
    own.fillText = function (text, x, y) {
      texts.push([text, x, y, this.measureText(text).width]);
      fillText.call(this, text, x, y);
    };
    own.clearRect = function (...all) {
      texts.length = 0;
      clearRect.apply(this, all);
    };
  });
  await page.keyboard.press('0');
  await drawn(page);
  const found = await page.evaluate(() => {
    const { texts } = globalThis as unknown as { texts: [string, number, number, number][] };
    const wide = document.querySelector('#stage canvas')!.clientWidth;
    const faults = texts.filter(([, x, , width]) => x < 0 || x + width > wide + 1).map(([text]) => text);
    for (const [index, [text, x, y, width]] of texts.entries())
      for (const [other, otherX, otherY, otherWidth] of texts.slice(index + 1))
        if (Math.abs(y - otherY) < 11 && x < otherX + otherWidth && otherX < x + width)
          faults.push(`${text} | ${other}`);
    return { count: texts.length, faults };
  });
  expect(found.faults).toEqual([]);
  expect(found.count).toBeGreaterThan(10);
}

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
    '%s: tidy and accessible at 1280 pixels and on a phone, light and dark',
    async (run) => {
      const file = reportOf(run);
      for (const colorScheme of ['light', 'dark'] as const)
        for (const width of [1280, 375]) {
          const page = await open(file, { width, colorScheme });
          await drawn(page);
          await page.screenshot({ path: join(folder, `${run}-${width}-${colorScheme}.png`), fullPage: true });
          await expectTidy(page, 'svg text');
          await expectTidyCanvas(page);
          expect(await painted(page, '#stage canvas')).toBeGreaterThan(10_000);
          await page.click('[data-do=help]');
          for (const summary of await page.$$('summary')) await summary.click();
          await expectTidy(page, 'svg text');
          await expectAccessible(page);
          await page.context().close();
        }
    },
  );

  test('on paper: all lanes, the findings open, dark on white also for who reads in the dark', async () => {
    const page = await open(reportOf('cancel-pre-switchover'), { width: 718, colorScheme: 'dark' });
    await page.emulateMedia({ media: 'print' });
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    await page.screenshot({ path: join(folder, 'paper.png'), fullPage: true });
    await expectTidy(page, 'svg text');
    expect(await painted(page, '#paper canvas')).toBeGreaterThan(10_000);
    expect(await page.isVisible('#timeline')).toBe(false);
    expect(await page.isVisible('details.finding pre')).toBe(true);
    const ground = await page.evaluate(() => [
      ...document
        .querySelector<HTMLCanvasElement>('#paper canvas')!
        .getContext('2d')!
        .getImageData(2, 2, 1, 1).data,
    ]);
    expect(ground).toEqual([255, 255, 255, 255]);
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    await page.emulateMedia({ media: 'screen' });
    expect(await page.$('#paper canvas')).toBeNull();
    expect(await page.isVisible('details.finding pre')).toBe(false);
    expect((await page.pdf({ format: 'A4' })).length).toBeGreaterThan(10_000);
  });

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
    await page.click('button.mark');
    await page.waitForSelector('details.finding[open]');
    expect((await viewOf(page)).selected).toBe(0);
    await page.keyboard.press('/');
    await page.keyboard.type('dst');
    expect((await viewOf(page)).lanes).toBeLessThan(all.lanes);
    expect(await page.isVisible('details.finding')).toBe(false);
    expect(await page.textContent('#shown')).toMatch(/^\d+ of \d+ lanes, 0 of 1 findings$/);
    await page.keyboard.press('Escape');
    expect((await viewOf(page)).lanes).toBe(all.lanes);
    expect(await page.isVisible('details.finding')).toBe(true);
  });

  test('in the timeline n goes from mark to mark, Enter opens, Escape comes back', async () => {
    const page = await open(bigReport(folder, 5000, 5));
    const focused = (): Promise<string> =>
      page.evaluate(() => document.activeElement?.className || document.activeElement?.tagName || '');
    await page.focus('#timeline');
    await page.keyboard.press('n');
    await page.waitForFunction(() => document.activeElement?.className === 'mark');
    await page.keyboard.press('n');
    await drawn(page);
    expect(await focused()).toBe('mark');
    expect(await page.$('details.finding[open]')).toBeNull();
    expect((await viewOf(page)).selected).toBe(1);
    await page.keyboard.press('Enter');
    await page.waitForSelector('details.finding[open]');
    expect(await focused()).toBe('SUMMARY');
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.activeElement?.className === 'mark');
    const { from, to } = await viewOf(page);
    await page.keyboard.press('z');
    const near = await viewOf(page);
    expect(near.to - near.from).toBeCloseTo((to - from) / 50, -1);
  });

  test('keys of one letter can be turned off', async () => {
    const page = await open(reportOf('cancel-pre-switchover'));
    await page.keyboard.press('?');
    await page.uncheck('#keys');
    await page.keyboard.press('n');
    expect(await page.$('details.finding[open]')).toBeNull();
    await page.check('#keys');
    await page.keyboard.press('n');
    await page.waitForSelector('details.finding[open]');
  });

  test('by mouse: dragging moves, Ctrl and the wheel zoom, and a tip says what is there', async () => {
    const page = await open(reportOf('cancel-pre-switchover'));
    const { x, y } = (await (await page.$('#stage canvas'))!.boundingBox())!;
    await page.mouse.move(x + 700, y + 120);
    expect(await page.textContent('#tip')).toMatch(/^running for 14\.56 s, from /);
    await page.mouse.wheel(0, 10);
    await page.waitForFunction(() => document.getElementById('tip')!.textContent!.startsWith('Ctrl'));
    const whole = await viewOf(page);
    await page.keyboard.down('Control');
    await page.mouse.wheel(0, -120);
    await page.keyboard.up('Control');
    await page.waitForFunction(
      (span) => {
        const { view } = (globalThis as unknown as { timeline: { view: { from: number; to: number } } })
          .timeline;
        return view.to - view.from < span;
      },
      0.9 * (whole.to - whole.from),
    );
    const near = await viewOf(page);
    await page.mouse.down();
    await page.mouse.move(x + 600, y + 120, { steps: 4 });
    await page.mouse.up();
    const moved = await viewOf(page);
    expect(moved.from).toBeGreaterThan(near.from);
    expect(moved.to - moved.from).toBeCloseTo(near.to - near.from, 3);
  });

  test('the names in a trace are words, and nothing else', async () => {
    const page = await open(hostileReport(folder));
    await page.focus('#timeline');
    await page.keyboard.press('n');
    await page.waitForFunction(() => document.activeElement?.className === 'mark');
    const { x, y } = (await (await page.$('#stage canvas'))!.boundingBox())!;
    for (let by = 30; by < 250; by += 12) await page.mouse.move(x + 500, y + by);
    expect(await page.$('#stage img, #legend img, #tip b, img')).toBeNull();
    expect(await page.evaluate(() => 'owned' in globalThis)).toBe(false);
    expect(await page.textContent('#legend')).toContain('<img');
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
