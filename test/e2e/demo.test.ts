import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stopcopy } from '../support/cli.js';

test('the demo judges real traces, migrates, and judges what it did', { timeout: 120_000 }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'stopcopy-test-'));
  try {
    const { code, out, err } = stopcopy(['demo'], { env: { TMPDIR: scratch } });
    expect(code, out + err).toBe(0);
    expect(out).not.toContain('unexpected');
    const verdicts = [...out.matchAll(/^verdict: (\w+) {2}.*\d+ rules$/gm)].map(([, verdict]) => verdict);
    expect(verdicts).toEqual(['CONFORMANT', 'VIOLATED', 'CONFORMANT', 'VIOLATED']);
    const found = out.match(/^(?:error|warning)\[[\w-]+\]/gm);
    expect(found).toEqual(['warning[VMM-MIG-07]', 'error[VFIO-OUT-01]']);
    expect(out).toMatch(/^failure\[VFIO-SES-15\]: .*\n {2}--> case sessions\/loads\//m);
    expect(out).toContain('guest continued on destination, 0 frames lost');
    expect(out).toContain('guest continues on source');
    expect(err).toMatch(/^ok {3}0000:00:05\.0 has P2P/m);
    expect(err).toMatch(/pre-switchover/);
    expect(readdirSync(scratch)).toEqual([]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
