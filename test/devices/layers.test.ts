import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const ROOT = new URL('../../devices/', import.meta.url);
const FILES = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));

/** What a file imports: the keyword behind `import` or `export` when it is `type`, and from where. */
function imports(file: string): { type: boolean; from: string }[] {
  const text = readFileSync(new URL(file, ROOT), 'utf8');
  const found = text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)';$|\bimport\('([^']+)'\)/gms);
  return [...found].map(([, type, from, dynamic]) => ({ type: type !== undefined, from: from ?? dynamic! }));
}

/** A device is built as a vendor's is: of the public entry points, and of its own files. */
test.each(FILES)('devices/%s imports what is below it', (file) => {
  for (const { type, from } of imports(file)) {
    const entry = /^stopcopy\/(machines|uapi|stream|vmstate|target|virtio|vhost)$/.test(from);
    const vocabulary = /^stopcopy\/(trace|migrate)$/.test(from) && type;
    // A lab is a VMM: it has slots.
    const slots = file.startsWith('lab/') && from === 'stopcopy/migrate';
    const own = from.startsWith('.') && !new URL(from, new URL(file, ROOT)).href.includes('/src/');
    const pure = ['node:zlib', 'node:crypto'].includes(from);
    expect(entry || vocabulary || slots || own || pure, from).toBe(true);
  }
});
