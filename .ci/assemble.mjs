// Assembles the WebAssembly kernels: each .wat into the bytes beside it. Run it after each change of one:
//   node .ci/assemble.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import wabt from 'wabt';

const ROOT = new URL('../', import.meta.url);

/** The kernels: source, and the module that exports its bytes under a name. */
export const KERNELS = [
  { source: 'src/trace/scan/scan.wat', module: 'src/trace/scan/scan-wasm.ts', name: 'SCAN_WASM' },
  { source: 'src/stream/checksum.wat', module: 'src/stream/checksum-wasm.ts', name: 'CHECKSUM_WASM' },
  { source: 'src/migrate/dirty/bitmap.wat', module: 'src/migrate/dirty/bitmap-wasm.ts', name: 'BITMAP_WASM' },
];

/** What the module of a kernel must contain. */
export async function assemble({ source, name }) {
  const { parseWat } = await wabt();
  const text = readFileSync(new URL(source, ROOT), 'utf8');
  const module = parseWat(source, text, { simd: true, threads: true });
  const { buffer } = module.toBinary({ write_debug_names: false });
  module.destroy();
  const lines = Buffer.from(buffer)
    .toString('base64')
    .match(/.{1,100}/g);
  return [
    `// Made from ${basename(source)} by .ci/assemble.mjs; do not edit.`,
    `export const ${name} = [`,
    ...lines.map((line) => `  '${line}',`),
    "].join('');",
    '',
  ].join('\n');
}

/** What the module of a kernel does contain. */
export const stored = ({ module }) => readFileSync(new URL(module, ROOT), 'utf8');

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const kernel of KERNELS) writeFileSync(new URL(kernel.module, ROOT), await assemble(kernel));
}
