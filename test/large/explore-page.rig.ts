import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { explore } from '../../src/explore/engine/explore.js';
import { promelaProperties, toPromela } from '../../src/explore/exports/promela.js';
import type { ModelEntry } from '../../src/explore/model.js';
import { modelNamed } from '../../src/explore/models/index.js';
import { modelOptions } from '../../src/explore/models/options.js';
import { page, quotes } from '../docs/quotes.js';
import { inFolder, whyNot } from '../explore/exports/spin.js';

/** The commands of docs/explore.md with Spin in them, as they stand there. */

const BLOCKS = quotes(page('docs/explore.md')).filter(({ source }) => source.startsWith('run: '));
const NAMES = [...new Set(BLOCKS.map(({ source }) => source.slice('run: '.length)))];
const why = await whyNot('spin', 'cc');

test('the page has commands', () => {
  expect(BLOCKS.length).toBeGreaterThan(3);
});

describe.each(NAMES)('%s', (name) => {
  const entry = modelNamed(name);
  const reason = why ?? (entry === undefined ? `skipped: there is no model ${name}` : null);
  const blocks = BLOCKS.filter(({ source }) => source === `run: ${name}`).map(({ block }) => block);

  test.skipIf(reason !== null)(`the blocks run ${reason ?? ''}`, { timeout: 300_000 }, async () => {
    const model = smallest(entry!);
    const { states } = await explore(model, { symmetry: false, properties: [] });
    const defines = promelaProperties(model).map(({ define }) => define);
    for (const block of blocks) {
      const [first, ...commands] = block.trim().split('\n');
      expect(first).toBe(`stopcopy explore ${name} --export promela -o ${name}.pml`);
      for (const [, define] of block.matchAll(/-D(PROPERTY_\w+)/g)) expect(defines).toContain(define);
      const out = await inFolder(async (cwd) => {
        await writeFile(join(cwd, `${name}.pml`), toPromela(model));
        const options = { cwd, maxBuffer: 1 << 26 };
        return (await promisify(execFile)('bash', ['-ec', commands.join('\n')], options)).stdout;
      });
      expect(out).toContain('errors: 0');
      // Bit tables miss states, and properties may add some.
      if (/PROPERTY|swarm/.test(block)) continue;
      expect(Number(/(\S+) states, stored/.exec(out)?.[1])).toBe(states);
    }
  });
});

/** The page shows the usual size; for its commands the least one will do. */
function smallest(entry: ModelEntry) {
  const least = Object.entries(entry.ranges).map(([option, range]) => [option, range.least]);
  return entry.make(modelOptions(entry, Object.fromEntries(least)));
}
