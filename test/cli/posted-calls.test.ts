import { describe, expect, test } from 'vitest';
import type { Answer, Call } from '../../src/cli/serve/messages.js';
import { PostedCalls } from '../../src/cli/serve/posted-calls.js';

/** Registers that hold their own offset, and what was answered so far. */
function standing() {
  const answers: Answer[] = [];
  const calls = new PostedCalls({
    read: (_region, offset, size) => Uint8Array.from({ length: size }, (_, index) => offset + index),
    say: (answer) => answers.push(answer),
  });
  let id = 0;
  const take = (operation: Call['operation'], ...args: unknown[]) =>
    calls.take({ id: ++id, operation, args });
  return { answers, calls, take };
}

/** What still has to be done, as operation and whether it was answered. */
function due({ calls }: ReturnType<typeof standing>) {
  const all: [string, boolean][] = [];
  for (let next = calls.next(); next !== undefined; next = calls.next())
    all.push([next.call.operation, next.answered]);
  return all;
}

describe('calls that come while a device stands still', () => {
  test('a register is read at once', () => {
    const still = standing();
    still.take('readRegion', 0, 4, 2);
    expect(still.answers).toEqual([{ id: 1, result: Uint8Array.of(4, 5) }]);
    expect(due(still)).toEqual([]);
  });

  test('a write is answered, made later, and seen by reads of the same region', () => {
    const still = standing();
    still.take('writeRegion', 0, 5, Uint8Array.of(0xaa, 0xbb));
    still.take('writeRegion', 1, 4, Uint8Array.of(0xcc));
    still.take('readRegion', 0, 4, 2);
    still.take('readRegion', 0, 6, 3);
    expect(still.answers.slice(2)).toEqual([
      { id: 3, result: Uint8Array.of(4, 0xaa) },
      { id: 4, result: Uint8Array.of(0xbb, 7, 8) },
    ]);
    expect(due(still)).toEqual([
      ['writeRegion', true],
      ['writeRegion', true],
    ]);
  });

  test('anything else waits, and all that comes behind it', () => {
    const still = standing();
    still.take('writeRegion', 0, 0, Uint8Array.of(1));
    still.take('reset');
    still.take('readRegion', 0, 0, 1);
    still.take('writeRegion', 0, 0, Uint8Array.of(2));
    expect(still.answers.map(({ id }) => id)).toEqual([1]);
    expect(due(still)).toEqual([
      ['writeRegion', true],
      ['reset', false],
      ['readRegion', false],
      ['writeRegion', false],
    ]);
  });

  test('a read that fails, or cannot be had at once, waits for its turn', () => {
    const answers: Answer[] = [];
    const say = (answer: Answer) => answers.push(answer);
    const read = { id: 1, operation: 'readRegion', args: [0, 0, 1] } as const;
    for (const late of [() => Promise.resolve(new Uint8Array(1)), () => expect.fail('no such region')]) {
      const calls = new PostedCalls({ read: late, say });
      calls.take(read);
      expect(calls.next()).toEqual({ call: read, answered: false });
    }
    expect(answers).toEqual([]);
  });
});
