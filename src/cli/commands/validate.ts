import { type Command, InvalidArgumentError, Option } from 'commander';
import { addColorOptions } from '../color.js';

export interface ValidateFlags {
  format?: string;
  reporter: string[];
  json?: boolean;
  output?: string;
  profile?: string;
  failOn: 'must' | 'should' | 'note';
  maxFindings: number;
  quiet?: boolean;
  color?: boolean;
}

const HELP = `
FILE is a log or recording of any format that can be read (gzip and zstd too); - is standard input.
HOST=FILE names the host that a file belongs to; else it is the file's name up to its first dot.

Reporters: people, html (a page with the timeline), json, sarif, junit, github, tap, perfetto. NAME
prints to standard output (or to the file of -o), NAME=FILE writes a file; people is printed when no
other prints.

Examples:
  stopcopy validate src.trace.log dst.trace.log
  stopcopy validate source=/var/log/a.log target=/var/log/b.log.gz
  stopcopy validate --reporter sarif=out.sarif --reporter github *.log
  stopcopy validate --reporter html -o report.html src.trace.log dst.trace.log
  stopcopy validate --reporter perfetto -o timeline.json run.ndjson
  zcat old.log.gz | stopcopy validate --fail-on must -`;

/** Adds `stopcopy validate`. */
export function addValidate(program: Command): void {
  const command = program
    .command('validate')
    .description('judge recorded migrations by the machines and rules')
    .argument('[file...]', 'traces of one run: source and destination, several devices')
    .option('--format <name>', 'format of the inputs (default: found out)')
    .addOption(
      new Option('--reporter <name[=file]>', 'form of the report; may be given several times')
        .argParser(append)
        .default([], 'people'),
    )
    .option('--json', 'the same as --reporter json')
    .option('-o, --output <file>', 'write what would be printed to a file')
    .option('--profile <name>', 'implementation whose known deviations are named as such')
    .addOption(
      new Option('--fail-on <level>', 'lowest level that makes a violation')
        .choices(['must', 'should', 'note'])
        .default('should'),
    )
    .option('--max-findings <n>', 'findings to list; the others are counted', wholeNumber, 100)
    .option('-q, --quiet', 'print the verdict line only')
    .addHelpText('after', HELP);
  addColorOptions(command).action(async (files: string[], flags: ValidateFlags) => {
    const { runValidate } = await import('./validate-run.js');
    process.exitCode = await runValidate(files, flags);
  });
}

function append(value: string, before: string[]): string[] {
  return [...before, value];
}

function wholeNumber(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}
