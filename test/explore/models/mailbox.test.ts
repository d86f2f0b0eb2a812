import { describe, expect, test } from 'vitest';
import { explore } from '../../../src/explore/engine/explore.js';
import type { ModelOptions } from '../../../src/explore/model.js';
import { mailbox } from '../../../src/explore/models/mailbox.js';
import { counts, holdsConformant, make, resultOf } from './runs.js';

/** A shortest run to what a `sometimes` asks for. */
async function witness(given: Partial<ModelOptions>, id: string): Promise<readonly string[]> {
  const { properties } = await explore(make(mailbox, given), { properties: [id] });
  return properties[0]!.witness!.actions;
}

describe('mailbox', () => {
  test.each([
    [{ pages: 2, faults: 0 }, [739, 1158, 25]],
    [{ pages: 4, faults: 2 }, [8423, 14405, 34]],
    [{ devices: 2, pages: 2, faults: 0 }, [30118, 69387, 42]],
    [{ devices: 2, pages: 2, faults: 1 }, [232520, 529841, 44]],
  ])('holds with %j, in as many states as ever', async (options, expected) => {
    expect(await counts(mailbox, options)).toEqual(expected);
  });

  test('two VFs of one VM count as one', async () => {
    const model = make(mailbox, { devices: 2, pages: 2, faults: 0 });
    const [reduced, whole] = [await explore(model), await explore(model, { symmetry: false })];
    expect(reduced.bounds.symmetry).toBe(true);
    expect([reduced.verdict, whole.verdict]).toEqual(['holds', 'holds']);
    expect(whole.states / reduced.states).toBeGreaterThan(1.9);
    expect(whole.states / reduced.states).toBeLessThanOrEqual(2);
  });

  test('its runs are conformant', () => {
    holdsConformant(make(mailbox), 200, [
      'vf0: PF there replays request 1',
      'vf0: PF there loads the records',
      'vf0: the image is refused, it is of the other generation',
      'VMM: the VM goes on',
      'VMM there: the VM starts',
    ]);
  });

  test('a larger log is full later', async () => {
    const lengths = await Promise.all(
      [2, 3, 4].map(async (pages) => (await witness({ pages }, 'log-full')).length),
    );
    expect(lengths.map((length) => length - lengths[0]!)).toEqual([0, 3, 6]);
  });

  test('requests are replayed in their order, before the VF runs', async () => {
    const actions = await witness({}, 'moved-by-replay');
    const replays = actions.filter((name) => name.includes('replays'));
    expect(replays).toEqual(['vf0: PF there replays request 1', 'vf0: PF there replays request 2']);
    expect(actions.at(-1)).toBe('vf0: destination SET_STATE RUNNING_P2P from RESUMING');
  });

  test('as posted, generation A loses a request in flight, and B does not', async () => {
    const { result } = await resultOf(mailbox, 'published-a', 'request-not-lost');
    const { actions } = result.counterexample!;
    expect(actions.at(-1)).toBe('vf0: destination SET_STATE RUNNING_P2P from RESUMING');
    expect(actions.filter((name) => name.includes('PF there answers'))).toEqual([]);
    expect((await resultOf(mailbox, 'published-b', 'request-not-lost')).result.verdict).toBe('holds');
  });

  test.each(['published-a', 'published-b'])(
    'as %s a source does not go back, and an image that does not fit leaves nobody with the VM',
    async (variant) => {
      const back = await resultOf(mailbox, variant, 'configured-as-seen');
      expect(back.result.counterexample!.actions.at(-1)).toBe('VMM: the VM goes on');
      const lost = await resultOf(mailbox, variant, 'no-deadlock');
      expect(lost.result.counterexample!.actions.at(-1)).toMatch(
        /RUNNING_P2P fails, the image is of the other/,
      );
    },
  );
});
