import type { Command } from 'commander';

export interface ConvertFlags {
  format?: string;
  output?: string;
}

const HELP = `
Examples:
  stopcopy convert src.trace.log > src.ndjson
  stopcopy convert source=a.log target=b.log -o run.ndjson`;

/** Adds `stopcopy convert`. */
export function addConvert(program: Command): void {
  program
    .command('convert')
    .description('rewrite readable traces as canonical events, one JSON object a line')
    .argument('[file...]', 'traces, in the order in which they are written')
    .option('--format <name>', 'format of the inputs (default: found out)')
    .option('-o, --output <file>', 'write to a file instead of standard output')
    .addHelpText('after', HELP)
    .action(async (files: string[], flags: ConvertFlags) => {
      const { runConvert } = await import('./convert-run.js');
      process.exitCode = await runConvert(files, flags);
    });
}
