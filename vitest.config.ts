import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Devices import the package by its name, as a vendor's do; tests run the sources and not the build. */
export default defineConfig({
  // On two cores vitest would leave one to itself, which hardly needs it.
  // And no test is there to measure: a busy machine must not fail one.
  test: {
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    setupFiles: ['test/support/setup.ts'],
  },
  resolve: {
    alias: [
      { find: /^stopcopy$/, replacement: file('src/index.ts') },
      { find: /^stopcopy\/devices$/, replacement: file('devices/index.ts') },
      { find: /^stopcopy\/([\w-]+)$/, replacement: file('src/$1/index.ts') },
    ],
  },
});
