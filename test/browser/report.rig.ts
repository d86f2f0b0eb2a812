import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { bigReport } from './big-report.js';
import { CHROMIUM, closeBrowser, openPage } from './chromium.js';

/** The longest that the page may keep its user waiting, in milliseconds. */
const LONGEST = 200;

describe.skipIf(CHROMIUM === undefined)('the report with 100,000 states', () => {
  closeBrowser();

  test('no task takes 200 ms: loading, zooming, moving, stepping, filtering', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-report-'));
    const page = await openPage(pathToFileURL(bigReport(folder, 100_000, 20)).href);
    await page.evaluate(`
      globalThis.tasks = [];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) tasks.push(duration);
      }).observe({ type: 'longtask', buffered: true });
    `);
    for (const key of [
      '+',
      '+',
      '+',
      'ArrowRight',
      '-',
      'n',
      'n',
      '0',
      '+',
      '+',
      '+',
      '+',
      '+',
      '+',
      '0',
      '/',
      '1',
    ]) {
      await page.keyboard.press(key);
      await page.waitForTimeout(60);
    }
    const tasks = await page.evaluate<number[]>('tasks');
    console.log(`tasks over 50 ms: ${tasks.join(', ') || 'none'}`);
    expect(Math.max(0, ...tasks)).toBeLessThan(LONGEST);
    rmSync(folder, { recursive: true });
  });
});
