#!/usr/bin/env node
import { CommanderError } from 'commander';
import { InputError } from '../trace/reader.js';
import { EXIT, UsageError } from './exit.js';
import { keepHeapSmall } from './heap.js';
import { complain } from './output.js';
import { makeProgram } from './program.js';

/** Tells about an error in one line and returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return reportUsage(error);
  if (error instanceof InputError || error instanceof UsageError) {
    complain(error.message);
    return EXIT.usage;
  }
  if (process.env.STOPCOPY_DEBUG) console.error(error);
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  complain(`unexpected ${message}; please report this, with the output of STOPCOPY_DEBUG=1`);
  return EXIT.usage;
}

/** Commander throws for `--help` and `--version` too; and it has already printed a help text. */
function reportUsage(error: CommanderError): number {
  if (error.exitCode === 0) return EXIT.ok;
  if (error.code !== 'commander.help') {
    complain(`${error.message.replace(/^error: /, '').replace(/\.$/, '')}; see --help`);
  }
  return EXIT.usage;
}

keepHeapSmall();
process.on('uncaughtException', (error) => process.exit(report(error)));
// SIGINT keeps its default action, which works in the middle of a long read too; shells show it as 130.
// Setting the code and returning lets standard output drain; `process.exit` would cut it.
try {
  await makeProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
