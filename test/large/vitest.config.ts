import { defineConfig } from 'vitest/config';
import quick from '../../vitest.config.js';

/** Slow tests, on inputs of 1 GB, many disasters and many mutants: `npm run test:large`. No part of `npm test`. */
export default defineConfig({
  // Devices and tests share one copy of the package, as in the quick suite.
  resolve: quick.resolve ?? {},
  test: {
    include: ['test/large/*.rig.ts', 'test/browser/*.rig.ts', 'test/conformance/mutation/*.test.ts'],
    env: { STOPCOPY_MUTANTS: '500' },
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // Peak memory and time are told; one process after another.
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
