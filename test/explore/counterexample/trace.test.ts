import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { kindsOf, traceOf } from '../../../src/explore/counterexample/trace.js';
import { explore } from '../../../src/explore/engine/explore.js';
import { modelNamed } from '../../../src/explore/models/index.js';
import { modelOptions } from '../../../src/explore/models/options.js';
import { traceEventSchema } from '../../../src/trace/event-schema.js';
import { ndjsonHead, ndjsonLine } from '../../../src/trace/writer.js';
import { validateInputs } from '../../../src/validate/index.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-explored-'));
afterAll(() => rmSync(folder, { recursive: true }));

const entry = modelNamed('two-phase-stop')!;
const modelOf = (variant: string | null) => entry.make(modelOptions(entry, { variant }));

/** What `stopcopy validate` says of the file that `explore --trace` writes. */
async function validated(variant: string | null, property: string) {
  const model = modelOf(variant);
  const { properties } = await explore(model, { properties: [property] });
  const path = properties[0]!.counterexample ?? properties[0]!.witness!;
  const file = join(folder, `${variant}-${property}.ndjson`);
  const lines = traceOf(model, path).map((event) => ndjsonLine(event));
  writeFileSync(file, ndjsonHead({ shows: kindsOf(model) }) + lines.join(''));
  return validateInputs([{ file }]);
}

test('validate finds in the trace of a counterexample what it would find in a recording', async () => {
  const { verdict, violations, events, inputs } = await validated('qemu-11.1', 'no-p2p-to-stopped');
  expect(verdict).toBe('violation');
  const musts = violations.filter(({ level }) => level !== 'note');
  // It is the last thing that happens.
  expect(musts).toMatchObject([{ rule: 'VMM-MIG-07', device: 'vf0', line: events.lines }]);
  expect(inputs[0]).toMatchObject({ format: 'ndjson', cut: false, remarks: [] });
  // The head is no event.
  expect(events).toMatchObject({ decoded: events.lines - 1, ignored: 1, malformed: 0, unknown: {} });
});

test('a witness of the right model is conformant, and what it cannot show is said', async () => {
  const { verdict, violations, rules } = await validated(null, 'migrated');
  expect([verdict, violations]).toEqual(['conformant', []]);
  // No channel is in this model, so nothing is known of messages.
  expect(rules.notObservable.length).toBeGreaterThan(0);
  expect(rules.checked).toContain('VFIO-FSM-01');
});

test('events come in the order of the actions, later from each to the next', async () => {
  const model = modelOf(null);
  const { properties } = await explore(model);
  const witness = properties.find(({ id }) => id === 'rolled-back')!.witness!;
  const events = traceOf(model, witness);
  const bare = events.map(({ t: _, ...event }) => event);
  const expected = witness.actions.flatMap(
    (name) => model.actions.find((each) => each.name === name)!.events,
  );
  expect(bare).toEqual(expected);
  expect(events.every(({ t = 0 }, at) => t > (events[at - 1]?.t ?? 0))).toBe(true);
  for (const event of events) expect(traceEventSchema.parse(event)).toEqual(event);
  const kinds = kindsOf(model);
  expect(events.every(({ kind }) => kinds.has(kind))).toBe(true);
});
