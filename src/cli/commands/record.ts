import { type Command, InvalidArgumentError } from 'commander';

export interface RecordFlags {
  print?: boolean;
  kprobes?: boolean;
  pid?: number;
  driver?: string;
  arch?: string;
  output?: string;
}

const HELP = `
Records what user space asks a VFIO device for and what the kernel answers, at the ioctl boundary.
--print and --kprobes only print; --pid needs root and bpftrace, and records until SIGINT.

Examples:
  stopcopy record --print > vfio.bt             the bpftrace program, to run on a test host
  sudo stopcopy record --pid 4711 -o r.ndjson   record the process with this id
  stopcopy record --kprobes --driver mlx5vf_pci_set_device_state
                                                kprobes for tracefs, where bpftrace is missing`;

/** Adds `stopcopy record`. */
export function addRecord(program: Command): void {
  program
    .command('record')
    .description('record the VFIO migration uAPI of a running process, or print the programs that do')
    .option('--print', 'print the bpftrace program')
    .option('--kprobes', 'print kprobe definitions for tracefs')
    .option('--pid <n>', 'process to record', processId)
    .option('--driver <symbol>', "a variant driver's set-state function, for --kprobes")
    .option('--arch <name>', 'machine that the kprobes are for, for --kprobes')
    .option('-o, --output <file>', 'write the recording to a file instead of standard output')
    .addHelpText('after', HELP)
    .action(async (flags: RecordFlags) => {
      const { runRecord } = await import('./record-run.js');
      await runRecord(flags);
    });
}

function processId(value: string): number {
  if (!/^[1-9]\d{0,9}$/.test(value)) throw new InvalidArgumentError('It must be a process id.');
  return Number(value);
}
