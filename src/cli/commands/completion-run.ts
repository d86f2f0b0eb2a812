import type { Command } from 'commander';
import { DEVICE_MODELS, FAULTS } from 'stopcopy/devices';
import { CRITERION_NAMES, MODEL } from '../../generate/index.js';
import { MACHINES } from '../../machines/index.js';
import { RULES } from '../../rules/index.js';
import { READERS } from '../../trace/readers/index.js';
import { REPORTERS } from '../../validate/reporters/index.js';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { commandWords } from '../completion/words.js';
import { zshScript } from '../completion/zsh.js';
import { print } from '../output.js';

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** Prints the completion script of a shell. */
export async function runCompletion(shell: keyof typeof SCRIPTS, program: Command): Promise<void> {
  const commands = commandWords(program, {
    machine: [...MACHINES.map(({ name }) => name), 'events'],
    model: [MODEL],
    rule: RULES.map(({ id }) => id),
    '--format': READERS.map(({ format }) => format),
    '--reporter': REPORTERS.map(({ name }) => name),
    '--coverage': CRITERION_NAMES,
    '--device': [...DEVICE_MODELS, 'none'],
    '--fault': ['list', ...FAULTS.map(({ name }) => name)],
  });
  await print(SCRIPTS[shell](program.name(), commands));
}
