import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { generateSuite } from '../../../src/generate/index.js';
import { runSuite } from '../../../src/run/index.js';
import { execTarget } from '../../../src/target/index.js';

const EXAMPLE = fileURLToPath(new URL('../../../docs/examples/exec-device.py', import.meta.url));
const GUIDE = new URL('../../../docs/exec-target.md', import.meta.url);

const hasPython = (() => {
  try {
    execFileSync('python3', ['-c', 'pass'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** Runs the suite that fits the device of a command. */
async function run(command: string) {
  const target = execTarget(`exec:${command}`);
  const { report } = await runSuite({
    target,
    suite: ({ capabilities, lacks }) =>
      generateSuite({ capabilities, lacks, coverage: ['requests', 'sessions', 'errors'] }),
    shrinkTries: 0,
  });
  return report;
}

// Without python3 these are skipped, and vitest says so.
describe.skipIf(!hasPython)('the device of docs/examples/exec-device.py', () => {
  it('passes a suite', async () => {
    const report = await run(`exec python3 '${EXAMPLE}'`);
    expect(report.failures).toEqual([]);
    expect(report).toMatchObject({ verdict: 'pass', device: 'pair0', capabilities: ['stop-copy'] });
    expect(report.passed).toBeGreaterThan(50);
  });

  it('fails one when its loader takes whatever comes', async () => {
    const source = readFileSync(EXAMPLE, 'utf8').replace(
      'def check(self, stream, whole):',
      '$&\n        return',
    );
    const file = join(mkdtempSync(join(tmpdir(), 'stopcopy-exec-')), 'device.py');
    writeFileSync(file, source);
    const report = await run(`exec python3 '${file}'`);
    rmSync(dirname(file), { recursive: true });
    expect(report.verdict).toBe('fail');
    expect(report.failures.map(({ rule }) => rule).join(' ')).toMatch(/VFIO-SES-1\d/);
  });
});

describe('the guide', () => {
  it('has the example as it is, short enough to be read', () => {
    expect(readFileSync(EXAMPLE, 'utf8').split('\n').length).toBeLessThan(151);
    expect(readFileSync(GUIDE, 'utf8')).toContain('docs/examples/exec-device.py');
  });
});
