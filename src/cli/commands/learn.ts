import { type Command, Option } from 'commander';
import { count } from '../arguments.js';
import { addColorOptions } from '../color.js';
import { UsageError } from '../exit.js';

export interface LearnFlags {
  target?: string;
  from?: string[];
  device?: string;
  diff?: string;
  caps?: string;
  level: keyof typeof LEVELS;
  damaged?: boolean;
  get: boolean;
  fresh?: 'reset' | 'open';
  extraStates: number;
  budget: number;
  maxTime?: number;
  timeout: number;
  seed: number;
  format: 'text' | 'json' | 'mermaid' | 'dot';
  json?: boolean;
  output?: string;
  color?: boolean;
}

/** What the inputs are about. */
export const LEVELS = {
  requests: ['request'],
  session: ['request', 'session'],
  all: ['request', 'session', 'logging'],
} as const;

const HELP = `
Learns the state machine of a VFIO device by asking: it puts words of requests to it, each from a
fresh start, until no shorter explanation is left, and then examines the machine with a complete
suite. The result says for which devices it is exact (--extra-states: how many may be hidden).

With --diff vfio-device the machine is compared with the protocol, for the capabilities that the
device offers, or --caps; each transition that the protocol does not allow is named. Choices that it
leaves are no difference.

With --from nothing is asked: the machine is made of what traces show (any format of validate), by
merging states whose answers agree. It is as far as the traces go, and so is the comparison; what
differs was seen at the line that is named.

A device that is learned is stopped, reset and loaded over and over: give it no work that matters.

Targets: mock:DEVICE, vfio-user:/path.sock, vfio:BDF, exec:COMMAND; see stopcopy test --help.

Exit codes: 0 no difference, or nothing to compare with; 1 differences; 2 bad usage, or the target
or a trace cannot be used; 3 the budget was used up, the device answers differently each time, or
the traces hold no call of a device.

Examples:
  stopcopy learn --target mock:uart
  stopcopy learn --target mock:e810-vf --diff vfio-device --level session
  stopcopy learn --target vfio-user:/run/vf.sock --diff vfio-device --format mermaid -o vf.mmd
  stopcopy learn --from src.trace.log dst.trace.log --diff vfio-device`;

/** Adds `stopcopy learn`. */
export function addLearn(program: Command): void {
  const command = program
    .command('learn')
    .description(
      'learn the state machine of a device, live or from traces, and how it differs from the protocol',
    )
    .option('--target <uri>', 'the device')
    .option('--from <trace...>', 'learn from what traces show; - for standard input')
    .option('--device <name>', 'with --from: this device only, as DEVICE or HOST/DEVICE')
    .addOption(new Option('--diff <machine>', 'compare with this machine').choices(['vfio-device']))
    .option('--caps <names>', 'capabilities to compare with: p2p,pre-copy (default: what it offers)')
    .addOption(
      new Option('--level <level>', 'requests; the data transfer session too; DMA logging too')
        .choices(Object.keys(LEVELS))
        .default('requests'),
    )
    .option('--damaged', 'with --level session and all: write damaged and half images too')
    .option('--no-get', 'never ask for the state (GET of MIG_DEVICE_STATE)')
    .addOption(new Option('--fresh <way>', 'how words begin').choices(['reset', 'open']))
    .option('--extra-states <n>', 'hidden states that the examination reckons with', count(0, 4), 1)
    .option('--budget <requests>', 'most calls to the device', count(1, 1e9), 1_000_000)
    .option('--max-time <seconds>', 'end after so long', count(1, 1e9))
    .option('--timeout <ms>', 'how long a call may take', count(1, 1e7), 30_000)
    .option('--seed <n>', 'of random words, and of a mock device', count(0, 0xffff_ffff), 1)
    .addOption(
      new Option('--format <name>', 'form of the result')
        .choices(['text', 'json', 'mermaid', 'dot'])
        .default('text'),
    )
    .option('--json', 'the same as --format json')
    .option('-o, --output <file>', 'write the result to a file')
    .addHelpText('after', HELP);
  addColorOptions(command).action(async (flags: LearnFlags) => {
    checkSource(command, flags);
    const { runLearn } = await import('./learn-run.js');
    process.exitCode = await runLearn(flags);
  });
}

/** Options of asking, which mean nothing for what was recorded. */
const ASKING = [
  'level',
  'damaged',
  'get',
  'fresh',
  'extraStates',
  'budget',
  'maxTime',
  'timeout',
  'seed',
] as const;

/** A machine is learned from a target or from traces. */
function checkSource(command: Command, { target, from, device }: LearnFlags): void {
  if ((target === undefined) === (from === undefined))
    throw new UsageError('name a device (--target) or traces (--from), one of the two');
  if (from === undefined && device !== undefined)
    throw new UsageError('--device goes with --from: a target is one device');
  const asking = ASKING.find((name) => command.getOptionValueSource(name) === 'cli');
  if (from !== undefined && asking !== undefined)
    throw new UsageError(
      `${command.options.find((each) => each.attributeName() === asking)?.long} is of no use with --from: nothing is asked`,
    );
}
