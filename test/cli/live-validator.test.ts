import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CaptureFile } from '../../src/cli/proxy/capture-file.js';
import { LiveValidator } from '../../src/cli/proxy/live-validator.js';

const LINE = `{"t":1,"dir":"f2b","hex":"${'00'.repeat(12)}","fds":0}\n`;

describe('a validator beside a connection', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'stopcopy-live-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function validator(text: string, options: { mostWaiting?: number; patience?: number } = {}) {
    const file = join(folder, `${Math.random()}.mjs`);
    writeFileSync(file, text);
    const troubles: string[] = [];
    const findings: unknown[] = [];
    const it = new LiveValidator({
      program: pathToFileURL(file),
      trouble: (message) => troubles.push(message),
      finding: (finding) => findings.push(finding),
      ...options,
    });
    return { it, troubles, findings };
  }

  it('is told of as it speaks', async () => {
    const { it, troubles, findings } = validator(
      `console.log('{"finding":{"rule":"A"}}'); process.stdin.on('data', () => {}).on('end', () => console.log('{"report":{"verdict":"violation"}}'));`,
    );
    it.feed(LINE);
    await expect.poll(() => findings, { timeout: 10_000 }).toEqual([{ rule: 'A' }]);
    expect(await it.end()).toEqual({ report: { verdict: 'violation' }, missed: 0 });
    expect(troubles).toEqual([]);
  });

  it.each([
    ['that crashes', 'process.exit(7)', /has ended \(exit code 7\)/],
    ['that is killed', "process.kill(process.pid, 'SIGKILL')", /has ended \(SIGKILL\)/],
    ['that just ends', 'process.exit(0)', /has ended \(exit code 0\)/],
    ['that talks nonsense', "console.log('{'); setInterval(() => {}, 1000)", /cannot be understood/],
  ])('%s is told of once, and what it did not judge is counted', async (_name, text, words) => {
    const { it, troubles } = validator(text, { patience: 200 });
    await expect.poll(() => troubles, { timeout: 10_000 }).toEqual([expect.stringMatching(words)]);
    for (let count = 0; count < 10; count++) it.feed(LINE);
    expect(await it.end()).toEqual({ report: null, missed: 10 });
    expect(troubles).toHaveLength(1);
  });

  it('that hangs holds nobody up: what waits for it is bounded, and so is the end', async () => {
    const { it, troubles } = validator('for (;;);', { mostWaiting: 1 << 20, patience: 300 });
    const lines = 50_000;
    const begun = performance.now();
    for (let count = 0; count < lines; count++) {
      it.feed(LINE);
      if (count % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const { report, missed } = await it.end();
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(report).toBeNull();
    expect(missed).toBeGreaterThan(lines - (2 << 20) / LINE.length);
    expect(missed).toBeLessThan(lines);
    expect(troubles).toEqual([expect.stringMatching(/too slow: messages from here on are not judged/)]);
  });
});

describe('a capture file', () => {
  it('leaves out what the disk does not take, and counts it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-capture-'));
    const small = new CaptureFile(join(folder, 'a'), LINE.length * 10);
    for (let count = 0; count < 100; count++) small.add(LINE);
    const { missed, failure } = await small.close();
    expect(failure).toBeNull();
    expect(missed).toBeGreaterThan(80);
    const full = new CaptureFile('/dev/full');
    full.add(LINE);
    expect(await full.close()).toMatchObject({ failure: expect.stringMatching(/ENOSPC/) });
    rmSync(folder, { recursive: true });
  });
});
