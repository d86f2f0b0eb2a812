import { expect, test } from 'vitest';
import { complaints, type Disaster, disaster } from '../support/chaos.js';

const OPTIONS = ['--device', 'e810-vf', '--ram', '64M', '--working-set', '8M', '--run-for', '100'];
const ROUNDS = Number(process.env.STOPCOPY_CHAOS_ROUNDS ?? 50);
const TIMEOUT = 3_600_000;

/** Numbers from 0 to 1, the same in each run (mulberry32). */
function random(seed: number): number {
  let mixed = (seed + 0x6d2b79f5) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

async function all(makes: (round: number) => Disaster): Promise<Record<string, number>> {
  const outcomes: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round++) {
    const aftermath = await disaster(makes(round));
    expect(complaints(aftermath), `round ${round}: ${JSON.stringify(aftermath)}`).toEqual([]);
    const outcome = aftermath.report?.outcome ?? 'source killed';
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  return outcomes;
}

/** Bytes that such a migration sends, about, and those of the answers up to the last. */
const BYTES = 12e6;
const ANSWERS = 900;

test('a side is killed at any moment', { timeout: TIMEOUT }, async () => {
  const outcomes = await all((round) => ({
    options: [...OPTIONS, '--seed', `${round}`],
    kill: { side: round % 2 === 0 ? 'source' : 'destination', after: random(round) * 900 },
  }));
  console.log('killed', outcomes);
});

test('the channel is cut at any byte', { timeout: TIMEOUT }, async () => {
  const outcomes = await all((round) => ({
    options: [...OPTIONS, '--seed', `${round}`],
    faults:
      round % 5 === 4
        ? { back: { cutAfter: Math.floor(random(round) * ANSWERS) } }
        : { forward: { cutAfter: Math.floor(random(round) * BYTES) } },
  }));
  console.log('cut', outcomes);
});

test('a byte of the stream is changed', { timeout: TIMEOUT }, async () => {
  const outcomes = await all((round) => ({
    options: [...OPTIONS, '--seed', `${round}`],
    faults: {
      forward: {
        corrupt: { at: Math.floor(random(round) * (round % 2 === 0 ? 2000 : BYTES)), mask: 1 << (round % 8) },
      },
    },
  }));
  console.log('corrupted', outcomes);
});
