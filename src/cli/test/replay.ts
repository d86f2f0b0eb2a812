import { shellWord } from '../../text/words.js';
import type { TestFlags } from '../commands/test.js';

/** The command line that runs one case again, as this run has it. */
export function replayCommand(flags: TestFlags, id: string): string {
  const words = [
    'stopcopy test --target',
    shellWord(flags.target),
    ...(flags.suite === undefined ? [] : ['--suite', shellWord(flags.suite)]),
    ...(flags.coverage.length > 0 ? ['--coverage', shellWord(flags.coverage.join(','))] : []),
    ...(flags.profile === undefined ? [] : ['--profile', shellWord(flags.profile)]),
    ...(flags.seed === 1 ? [] : ['--seed', String(flags.seed)]),
    '--only',
    shellWord(id),
  ];
  return words.join(' ');
}
