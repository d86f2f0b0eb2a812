import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MigrationError } from '../../src/migrate/error.js';
import { compareRequirements, RequirementsState, readPrerequisites } from '../../src/migrate/requirements.js';
import { parseWhole } from '../../src/stream/index.js';
import { loadVmState, saveVmState } from '../../src/vmstate/index.js';

const requirements = fc.dictionary(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), {
  noNullPrototype: true,
});

describe('requirements', () => {
  test('cross as they are', () => {
    fc.assert(
      fc.property(requirements, fc.array(fc.string()), (wanted, capabilities) => {
        const sent = new RequirementsState(wanted, capabilities).entry;
        const there = new RequirementsState();
        const { description } = there.entry;
        parseWhole(saveVmState(sent.description, sent.target), loadVmState(description, there.target, 1));
        expect(there.read()).toEqual({ requirements: wanted, capabilities });
      }),
    );
  });

  test('of any text are read, or refused in words', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.json(), fc.string(), fc.constantFrom('null', '{}', '[]', '{"requirements":null}')),
        (text) => {
          const state = new RequirementsState();
          state.target.text = new TextEncoder().encode(text);
          try {
            state.read();
          } catch (error) {
            expect(error).toBeInstanceOf(MigrationError);
            expect((error as Error).message).toMatch(/of the source are not readable$/);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('that are not the same are named, with both sides', () => {
    expect(
      compareRequirements({ 'RAM size': '1', devices: 'a' }, { 'RAM size': '2', generation: 'b' }),
    ).toEqual([
      { what: 'RAM size', ok: false, found: 'the source has 1, the destination has 2' },
      { what: 'devices', ok: false, found: 'the source has a, the destination has nothing' },
      { what: 'generation', ok: false, found: 'the source has nothing, the destination has b' },
    ]);
    expect(compareRequirements({ devices: 'a' }, { devices: 'a' })).toEqual([
      { what: 'devices', ok: true, found: 'a' },
    ]);
  });

  test('agree exactly when they are equal', () => {
    fc.assert(
      fc.property(requirements, requirements, (one, other) => {
        const agree = (a: typeof one, b: typeof one) => compareRequirements(a, b).every(({ ok }) => ok);
        expect(agree(one, one)).toBe(true);
        expect(agree(one, other)).toBe(agree(other, one));
      }),
    );
  });
});

test('prerequisites of any text are read, or refused in words', () => {
  const good = [{ what: 'RAM size', ok: true, found: '1' }];
  expect(readPrerequisites(JSON.stringify(good))).toEqual(good);
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      try {
        readPrerequisites(text);
      } catch (error) {
        expect(error).toBeInstanceOf(MigrationError);
      }
    }),
  );
});
