// Assembles scan.wat into scan-wasm.ts. Run it after each change of scan.wat: node src/trace/scan/assemble.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import wabt from 'wabt';

/** The content that scan-wasm.ts must have for the scan.wat beside this file. */
export async function assemble() {
  const { parseWat } = await wabt();
  const source = readFileSync(new URL('scan.wat', import.meta.url), 'utf8');
  const module = parseWat('scan.wat', source, { simd: true });
  const { buffer } = module.toBinary({ write_debug_names: false });
  module.destroy();
  const lines = Buffer.from(buffer)
    .toString('base64')
    .match(/.{1,100}/g);
  return [
    '// Made from scan.wat by assemble.mjs; do not edit.',
    'export const SCAN_WASM = [',
    ...lines.map((line) => `  '${line}',`),
    "].join('');",
    '',
  ].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(new URL('scan-wasm.ts', import.meta.url), await assemble());
}
