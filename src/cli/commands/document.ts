import type { Command } from 'commander';
import { UsageError } from '../exit.js';

export interface DocumentFlags {
  output: string;
}

const HELP = `
Writes a static site: the machines with their diagrams and matrices, the rules with examples, whole
migrations as sequence charts drawn from recorded runs, the formats byte by byte, implementations
beside each other, and the guides. It works from a file, without a network, and can be searched.

Examples:
  stopcopy document -o book
  stopcopy document -o book && xdg-open book/index.html`;

/** Adds `stopcopy document`. */
export function addDocument(program: Command): void {
  program
    .command('document')
    .description('write the protocol book, made from the machines and rules')
    .requiredOption('-o, --output <folder>', 'folder of the site; it is made where there is none')
    .addHelpText('after', HELP)
    .action(async (flags: DocumentFlags) => {
      try {
        const { runDocument } = await import('./document-run.js');
        await runDocument(flags);
      } catch (error) {
        if (!isMissingModule(error)) throw error;
        throw new UsageError(
          'the book needs packages that are not installed: npm install @11ty/eleventy @dagrejs/dagre minisearch',
        );
      }
    });
}

/** Whether a package is not there: those of the book are optional. */
function isMissingModule(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
}
