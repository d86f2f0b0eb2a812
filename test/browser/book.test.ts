import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stopcopy } from '../support/cli.js';
import { CHROMIUM, closeBrowser, expectAccessible, expectTidy, openPage } from './chromium.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-book-'));
const url = (path: string): string => pathToFileURL(join(folder, path)).href;

/** Pages of each kind. */
const MAIN = [
  'index.html',
  'machines/index.html',
  'machines/vfio-device.html',
  'machines/vhost-user.html',
  'rules/index.html',
  'rules/VFIO-FSM-10.html',
  'migrations/e810-vf-precopy.html',
  'migrations/two-devices.html',
  'formats/vfio.html',
  'formats/e810-image-a.html',
  'formats/e810-image-b.html',
  'implementations.html',
  'guides/index.html',
  'guides/how-migration-works.html',
  'guides/check-your-driver.html',
  'guides/coverage.html',
];

/** A sheet of A4 between its margins. */
const PAPER = { width: 718, height: 1040 };

/** Texts of drawings, of which none may lie on another. */
const DRAWN = 'svg.diagram text';

describe.skipIf(CHROMIUM === undefined)('the book in a browser', () => {
  closeBrowser();
  beforeAll(() => {
    const { code, out } = stopcopy(['document', '-o', folder]);
    expect([code, out]).toEqual([0, expect.stringMatching(/^\d+ pages in /)]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Windows that are opened once: at 1280 pixels, dark on a phone, and a sheet of paper. */
  let windows: { desktop: Page; phone: Page; paper: Page };
  beforeAll(async () => {
    windows = {
      desktop: await openPage(url('index.html'), { width: 1280 }),
      phone: await openPage(url('index.html'), { width: 375, colorScheme: 'dark' }),
      paper: await openPage(url('index.html'), PAPER),
    };
    await windows.paper.emulateMedia({ media: 'print' });
  });

  test.each(MAIN)(
    '%s is tidy at 1280 pixels, on a phone, and on paper; no serious fault of accessibility',
    async (path) => {
      for (const [name, page] of Object.entries(windows)) {
        await page.goto(url(path));
        await expectTidy(page, DRAWN);
        const shot = await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
        expect(shot.length).toBeGreaterThan(5000);
        if (name !== 'paper') await expectAccessible(page);
      }
    },
  );

  test('no drawing of any page has texts that lie on each other', { timeout: 120_000 }, async () => {
    const page = await openPage(url('index.html'));
    for (const part of ['machines', 'migrations', 'formats'])
      for (const file of readdirSync(join(folder, part))) {
        await page.goto(url(`${part}/${file}`));
        await expectTidy(page, DRAWN);
      }
  });

  test('the search finds a rule by its words, from a file', async () => {
    const page = await openPage(url('formats/vfio.html'));
    await page.keyboard.press('/');
    await page.keyboard.type('survive close open');
    await page.waitForSelector('.results li');
    expect(await page.textContent('.results li')).toContain('VFIO-FSM-10');
    await page.keyboard.press('Enter');
    await page.waitForURL(/VFIO-FSM-10/);
    expect(await page.textContent('h1')).toContain('the state does not survive close and open');
  });
});
