import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, expect } from 'vitest';

/** A browser for tests of what people look at: Debian's Chromium, or the one that CHROMIUM names. */

const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

/** The browser's program; undefined: there is none here, and its tests are skipped. */
export const CHROMIUM = PLACES.find((path) => path !== undefined && existsSync(path));

let browser: Promise<Browser> | undefined;

/** How a page is looked at. */
export interface Look {
  /** Width of the window in CSS pixels; 1280 unless told. */
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: 'light' | 'dark';
  readonly reducedMotion?: 'reduce' | 'no-preference';
}

/** Opens a page without a network: whatever is asked for beside the file itself fails. */
export async function openPage(url: string, look: Look = {}): Promise<Page> {
  browser ??= chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox', '--disable-gpu'] });
  const { width = 1280, height = 800, colorScheme = 'light', reducedMotion = 'no-preference' } = look;
  const context = await (await browser).newContext({
    viewport: { width, height },
    colorScheme,
    reducedMotion,
    offline: true,
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => {
    throw error;
  });
  await page.goto(url);
  return page;
}

/** To be called once in each file that opens pages. */
export function closeBrowser(): void {
  afterAll(async () => {
    await (await browser)?.close();
    browser = undefined;
  });
}

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

interface AxeViolation {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary?: string }[];
}

/** Holds that axe finds no serious or critical accessibility fault on the page as it is. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate<{ violations: AxeViolation[] }>(
    'axe.run(document, { resultTypes: ["violations"] })',
  );
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(
    serious.map(({ id, nodes }) => [
      id,
      ...nodes.slice(0, 5).map(({ target, failureSummary }) => [target, failureSummary]),
    ]),
  ).toEqual([]);
}

/**
 * Holds that nothing sticks out of the window at the side, and that no text that the selector finds lies on another
 * one of the same drawing.
 */
export async function expectTidy(page: Page, selector: string): Promise<void> {
  const found = await page.evaluate((selector) => {
    const overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const texts = [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility());
    const overlaps: string[] = [];
    for (const drawing of new Set(texts.map((element) => element.closest('svg')))) {
      const boxes = texts
        .filter((element) => element.closest('svg') === drawing)
        .map((element) => ({ text: element.textContent ?? '', box: element.getBoundingClientRect() }));
      for (const [index, one] of boxes.entries())
        for (const other of boxes.slice(index + 1)) {
          const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
          const high = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
          if (wide > 1.5 && high > 1.5) overlaps.push(`${one.text} | ${other.text}`);
        }
    }
    return { overflow, overlaps: overlaps.slice(0, 10) };
  }, selector);
  expect(found).toEqual({ overflow: 0, overlaps: [] });
}
