import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Devices import the package by its name, as a vendor's do; tests run the sources and not the build. */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^stopcopy$/, replacement: file('src/index.ts') },
      { find: /^stopcopy\/devices$/, replacement: file('devices/index.ts') },
      { find: /^stopcopy\/(\w+)$/, replacement: file('src/$1/index.ts') },
    ],
  },
});
