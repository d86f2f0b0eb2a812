import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type ExploreOptions, explore } from '../../src/explore/engine/explore.js';
import { MODELS, modelNamed } from '../../src/explore/models/index.js';
import { modelOptions } from '../../src/explore/models/options.js';
import { exploreText, type PeopleOptions } from '../../src/explore/people.js';
import { exploreReport } from '../../src/explore/report.js';
import { painter } from '../../src/text/words.js';

const PLAIN: PeopleOptions = { paint: painter(false), chart: 'text', witnesses: false };
const entry = modelNamed('two-phase-stop')!;

async function linesOf(
  variant: string | null,
  options: Partial<ExploreOptions> = {},
  people: Partial<PeopleOptions> = {},
): Promise<string[]> {
  const model = entry.make(modelOptions(entry, { variant }));
  const report = exploreReport(model, await explore(model, options));
  return [...exploreText(model, report, { ...PLAIN, ...people })];
}

const at = (lines: readonly string[], start: string): string[] =>
  lines.filter((line) => line.startsWith(start));

test('that all holds is said with what was seen', async () => {
  const lines = await linesOf(null);
  expect(at(lines, 'explored: ')[0]).toMatch(
    /^explored: \d+ states, \d+ edges, depth \d+ \(complete, exact keys/,
  );
  expect(at(lines, 'verdict: ')[0]).toMatch(/^verdict: HOLDS {2}\d+ properties hold$/);
  expect(at(lines, 'holds    ').length).toBe(Number(/\d+/.exec(at(lines, 'verdict: ')[0]!)![0]));
  expect(lines.join('\n')).not.toMatch(/--trace|VMM {5}/);
});

test('what a bound has ended is not said to hold', async () => {
  const lines = await linesOf(null, { depth: 3, properties: ['no-p2p-to-stopped', 'all-in-p2p'] });
  expect(at(lines, 'explored: ')[0]).toContain('not complete: the bound of depth was hit (--max-depth)');
  expect(at(lines, 'verdict: ')).toEqual(['verdict: UNKNOWN  1 property is not decided']);
  expect(at(lines, 'unknown  ').length).toBe(1);
  expect(lines).toContain('           not decided: the bound of depth ended the search early');
  // The witness is there already, and still not all was seen.
  const witness = await linesOf(null, { depth: 3, properties: ['all-in-p2p'] });
  expect(at(witness, 'verdict: ')).toEqual(['verdict: UNKNOWN  not every state was seen']);
});

describe('what is violated', () => {
  test('is shown, and it is said what can be done with it', async () => {
    const lines = await linesOf('qemu-11.1', { properties: ['no-p2p-to-stopped'] });
    expect(at(lines, 'violated no-p2p-to-stopped (never): ').length).toBe(1);
    expect(lines.filter((line) => /^17 .*-- peer-to-peer write ->\|$/.test(line)).length).toBe(1);
    expect(at(lines, 'verdict: ')).toEqual(['verdict: VIOLATED  1 property is violated']);
    expect(lines.slice(-4)).toEqual([
      'with the same options:',
      '  --trace two-phase-stop.ndjson           the first run as events, for stopcopy validate',
      '  --vitest two-phase-stop.test.ts         the first run as a test',
      '  --export promela -o two-phase-stop.pml  the model, for Spin',
    ]);
  });

  test('with what each step changes, or as Mermaid', async () => {
    const only = { properties: ['no-p2p-to-stopped'] };
    const lines = await linesOf('qemu-11.1', only, { changes: true });
    expect(lines.at(lines.findIndex((line) => /^17 /.test(line)) + 1)).toBe('      hurt = 1');
    expect(await linesOf('qemu-11.1', only, { chart: 'mermaid' })).toContain('sequenceDiagram');
  });

  test('may be that something never happens, which no run shows', async () => {
    const lines = await linesOf('never-completes', { properties: ['migrated'] });
    expect(lines).toContain('           no run comes there');
    expect(lines.at(-1)).toBe('verdict: VIOLATED  1 property is violated');
  });
});

test('colour only adds colour', async () => {
  // The text has times, so both are of one report.
  const model = entry.make(modelOptions(entry, { variant: 'qemu-11.1' }));
  const report = exploreReport(model, await explore(model));
  const plain = [...exploreText(model, report, PLAIN)];
  const coloured = [...exploreText(model, report, { ...PLAIN, paint: painter(true) })];
  expect(coloured).not.toEqual(plain);
  expect(coloured.map(stripVTControlCharacters)).toEqual(plain);
});

test.each(MODELS.map((each) => ({ name: each.name, each })))(
  'no line of $name is wider than 100 columns',
  async ({ each }) => {
    // In the usual size a bound is soon hit, so both of complete and incomplete are among the models.
    for (const variant of [null, each.variants[0]!.name]) {
      const model = each.make(modelOptions(each, { variant }));
      const report = exploreReport(model, await explore(model, { states: 50_000 }));
      const options = { ...PLAIN, witnesses: true, changes: true };
      const wide = [...exploreText(model, report, options)].filter((line) => line.length > 100);
      expect(wide).toEqual([]);
    }
  },
);
