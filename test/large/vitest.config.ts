import { defineConfig } from 'vitest/config';

/** Slow tests on inputs of 1 GB: `npm run test:large`. They are no part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/large/*.rig.ts'],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // Peak memory and time are told; one process after another.
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
