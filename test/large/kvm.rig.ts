import { expect, test } from 'vitest';
import { runKvmDirtyLog } from '../../src/target/kvm/index.js';
import { whyNoKvm } from '../target/kvm-live.js';

const why = await whyNoKvm();
/** Number of sequences. */
const COUNT = Number(process.env.STOPCOPY_LARGE_KVM ?? 1000);

test.skipIf(why !== null)(
  `the machines of the dirty log agree with this host's KVM over ${COUNT} random sequences${why === null ? '' : ` (${why})`}`,
  { timeout: 3_600_000 },
  async () => {
    const begun = performance.now();
    const { disagreements, ...result } = await runKvmDirtyLog({ seed: 2, sequences: COUNT });
    console.log({ ...result, seconds: Math.round((performance.now() - begun) / 100) / 10 });
    expect(disagreements).toEqual([]);
    expect(result).toMatchObject({ skipped: null, sequences: COUNT });
    expect(result.ringFull).toBeGreaterThan(0);
  },
);
