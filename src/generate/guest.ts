import type { Case, Step } from '../suite/index.js';
import { makeCase } from './case.js';
import type { GenerateContext } from './context.js';

/** The criterion `guest`: whole migrations of a VM whose guest uses the device, one case each. */
export function guestCases({ scenarios }: Pick<GenerateContext, 'scenarios'>): Case[] {
  return scenarios.map((name) => {
    const step: Step = {
      do: 'scenario',
      name,
      expect: ['SCENARIO.ok'],
      // What is wrong in a migration the validator knows best; this is for one that breaks off.
      rule: 'VFIO-OUT-02',
      at: 'RUNNING',
    };
    return makeCase('guest', name, `a migration with a guest: ${name.replaceAll('-', ' ')}`, [step]);
  });
}
