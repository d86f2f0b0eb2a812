import { defineConfig } from 'vitest/config';

/** Slow tests, on inputs of 1 GB, many disasters and many mutants: `npm run test:large`. No part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/large/*.rig.ts', 'test/conformance/mutation/*.test.ts'],
    env: { STOPCOPY_MUTANTS: '500' },
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // Peak memory and time are told; one process after another.
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
