import { describe, expect, test } from 'vitest';
import { multifd } from '../../../src/explore/models/multifd.js';
import { counts, holdsConformant, judged, judgedInSome, make, resultOf } from './runs.js';

describe('multifd', () => {
  test.each([
    [{ devices: 1, pages: 1 }, [9386, 20931, 45]],
    [{ devices: 1, pages: 1, faults: 2 }, [12612, 28358, 46]],
    [{ devices: 2, pages: 1 }, [122193, 312744, 58]],
    [{ devices: 1, pages: 2 }, [88008, 230196, 56]],
  ])('holds with %j, in as many states as ever', async (options, expected) => {
    expect(await counts(multifd, options)).toEqual(expected);
  });

  test('its runs are conformant', () => {
    holdsConformant(make(multifd), 200, ['source: takes SHUT, completed', 'source: failed']);
  });

  test('without SYNC a page of the round before comes last, over another channel', async () => {
    const { result } = await resultOf(multifd, 'no-sync', 'no-older-page');
    const pages = result.counterexample!.actions.filter((each) => each.startsWith('destination: page'));
    expect(pages).toEqual([
      'destination: page 0 in version 1 comes on channel 1',
      'destination: page 0 in version 0 comes on channel 0',
    ]);
  });

  test.each([
    ['takes-what-is-there', 'in-order', ['VMM-MFD-01']],
    ['written-twice', 'once', ['VMM-MFD-01']],
    ['setup-not-awaited', 'written-in-resuming', ['VFIO-SES-14']],
    ['closed-is-end', 'one-vm', ['VMM-MIG-01']],
  ])('the validator judges %s by the counterexample of %s', async (variant, property, rules) => {
    expect(await judged(multifd, variant, property)).toEqual(rules);
  });

  test.each([
    ['config-when-it-comes', 'VMM-MFD-05'],
    ['thread-early', 'VMM-MFD-04'],
    ['runs-before-loaded', 'VMM-DST-02'],
  ])('the validator judges runs of %s', (variant, rule) => {
    expect(judgedInSome(make(multifd, { variant }), 100)).toContain(rule);
  });
});
