import { type Command, InvalidArgumentError } from 'commander';
import { isTargetPageSize } from '../../uapi/qemu-stream.js';
import { addColorOptions } from '../color.js';

export interface InspectFlags {
  json?: boolean;
  offset: number;
  pageSize?: number;
  color?: boolean;
}

const HELP = `
FILE is what "migrate file:", "migrate exec:" or a snapshot wrote, mapped-ram files too, or what one
multifd channel carried; gzip and zstd are read as well, and - is standard input.

Exit codes: 0 the stream is complete; 1 it is damaged or cut, and what stands before that is
printed; 2 no stream, or not readable; 3 there is nothing behind the header.

Examples:
  stopcopy inspect state.mig
  stopcopy inspect --offset 4096 save.img
  zcat state.mig.gz | stopcopy inspect --json - | jq .vfio`;

/** Adds `stopcopy inspect`. */
export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description('print what a QEMU migration stream consists of')
    .argument('<file>', 'the stream, or - for standard input')
    .option('--json', 'print JSON')
    .option('--offset <n>', 'byte of the file where the stream begins', wholeNumber, 0)
    .option('--page-size <n>', 'target page size (default: what the stream tells, else 4096)', pageSize)
    .addHelpText('after', HELP);
  addColorOptions(command).action(async (file: string, flags: InspectFlags) => {
    const { runInspect } = await import('./inspect-run.js');
    process.exitCode = await runInspect(file, flags);
  });
}

function wholeNumber(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}

function pageSize(value: string): number {
  const size = wholeNumber(value);
  if (!isTargetPageSize(size)) {
    throw new InvalidArgumentError('It must be a power of 2 from 1024 to 65536.');
  }
  return size;
}
