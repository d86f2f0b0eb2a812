import type { Command } from 'commander';
import { addColorOptions } from '../color.js';

/** Adds `stopcopy demo`. */
export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('judge two real QEMU migrations, migrate mock devices between two processes, test one')
    .addHelpText('after', '\nExamples:\n  stopcopy demo');
  addColorOptions(command).action(async (flags: { color?: boolean }) => {
    const { runDemo } = await import('./demo-run.js');
    process.exitCode = await runDemo(flags);
  });
}
