import { expect, it } from 'vitest';

interface Kernel {
  source: string;
  module: string;
}

const script = new URL('../.ci/assemble.mjs', import.meta.url).href;
const { KERNELS, assemble, stored } = (await import(/* @vite-ignore */ script)) as {
  KERNELS: Kernel[];
  assemble(kernel: Kernel): Promise<string>;
  stored(kernel: Kernel): string;
};

it.each(KERNELS)('$module is what $source gives', async (kernel) => {
  expect(stored(kernel)).toBe(await assemble(kernel));
});
