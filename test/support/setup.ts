import fc from 'fast-check';

/**
 * Properties are tried with the same examples in each run, so that a run can be repeated and a change is what makes
 * a test fail. `STOPCOPY_SEED=random` draws new ones; `npm run test:large` does so always.
 */
const { STOPCOPY_SEED: seed = '20261125' } = process.env;
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });
