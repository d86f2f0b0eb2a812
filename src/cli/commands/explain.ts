import type { Command } from 'commander';
import { addColorOptions } from '../color.js';

export interface ExplainFlags {
  json?: boolean;
  color?: boolean;
}

const HELP = `
Without RULE it lists all rules by group.

Examples:
  stopcopy explain
  stopcopy explain --json`;

/** Adds `stopcopy explain`. */
export function addExplain(program: Command): void {
  const command = program
    .command('explain')
    .description('print what a rule asks for, where that stands, and traces that keep and break it')
    .argument('[rule]', 'id of a rule, as findings name it')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP);
  addColorOptions(command).action(async (rule: string | undefined, flags: ExplainFlags) => {
    const { runExplain } = await import('./explain-run.js');
    await runExplain(rule, flags);
  });
}
