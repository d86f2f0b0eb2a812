import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { CAPABILITY_NAMES, type CapabilityName } from '../../migrate/parameters.js';
import { CPU_TRACKERS, DEVICE_TRACKERS } from '../../migrate/tracker-names.js';
import { count, size } from '../arguments.js';
import { addColorOptions } from '../color.js';
import { CONTROL_WORDS } from '../migrate/control-words.js';

export interface MigrateFlags {
  device: string[];
  vfs: number;
  generation: 'a' | 'b';
  personality: 'published' | 'uapi';
  queues: number;
  precopy?: boolean;
  dmaLogging?: boolean;
  fault?: string;
  faultOn: 'source' | 'destination' | 'both';
  ram: number;
  prealloc?: boolean;
  machine: string;
  to?: string;
  incoming?: string;
  cpuDirty: string;
  deviceDirty: string;
  dirtyRate: number;
  workingSet: number;
  downtimeLimit: number;
  maxBandwidth: number;
  availSwitchoverBandwidth: number;
  capability: CapabilityName[];
  returnPath: boolean;
  multifdChannels: number;
  seed: number;
  runFor: number;
  cancelAfter?: number;
  patience: number;
  answerTimeout: number;
  control?: string;
  record?: string;
  html?: string;
  json?: boolean;
  color?: boolean;
}

const HELP = `
Without --to and --incoming both sides are started here, each in a process of its own, and compared
afterwards. With one of them this is one side; give the same device and machine options to both.

A DEVICE is a model with options of its own: e810-vf?generation=b&personality=published&queues=4
(and vsi=N, precopy, dma-logging, fault=NAME), uart, or none. A URI is tcp:HOST:PORT, unix:PATH,
exec:COMMAND, fd:N or file:PATH[,offset=N]. Sizes take K, M, G. A running side with --control takes
a command by --control PATH and the word cancel, continue (from pre-switchover), cont (run a stopped
VM), quit or status.

Exit codes: 0 completed, and both sides equal; 1 failed, cancelled or not equal; 2 bad usage, or no
connection; 3 nobody can tell from here on which side the VM runs.

Examples:
  stopcopy migrate --device e810-vf --vfs 2 --ram 1G
  stopcopy migrate --capability multifd --record run.ndjson && stopcopy validate run.ndjson
  stopcopy migrate --vfs 2 --precopy --html run.html
  stopcopy migrate --incoming unix:/run/m.sock &  stopcopy migrate --to unix:/run/m.sock
  stopcopy migrate --to file:vm.mig; stopcopy inspect vm.mig
  stopcopy migrate --incoming file:vm.mig`;

/** Adds `stopcopy migrate`. */
export function addMigrate(program: Command): void {
  const command = addOptions(program.command('migrate'))
    .description('migrate a mock VM with mock devices between two processes')
    .addHelpText('after', HELP);
  command.action(async (word: string | undefined, flags: MigrateFlags) => {
    const { runMigrate } = await import('./migrate-run.js');
    process.exitCode = await runMigrate(word, flags);
  });
}

/** The flags that these words behind `stopcopy migrate` give. @throws CommanderError when they are no such words */
export function migrateFlags(words: readonly string[]): MigrateFlags {
  return addOptions(new Command().exitOverride()).parse(words, { from: 'user' }).opts<MigrateFlags>();
}

function addOptions(command: Command): Command {
  command
    .addArgument(new Argument('[command]', 'for a running side, with --control').choices(CONTROL_WORDS))
    .addOption(
      option('--device <device>', 'a device; may be given several times', append).default([], 'e810-vf'),
    )
    .option('--vfs <n>', 'how many of each device', count(1, 16), 1)
    .addOption(new Option('--generation <gen>', 'device state of the E810').choices(['a', 'b']).default('b'))
    .addOption(
      new Option('--personality <kind>', 'E810 driver as published, or as the uAPI wants it')
        .choices(['published', 'uapi'])
        .default('uapi'),
    )
    .option('--queues <n>', 'queue pairs of a VF', count(1, 16), 4)
    .option('--precopy', 'devices offer PRE_COPY')
    .option('--dma-logging', 'devices offer DMA logging')
    .option('--fault <name>', 'wrap the devices in a named fault; --fault list prints them')
    .addOption(
      new Option('--fault-on <side>', 'side that has the fault')
        .choices(['source', 'destination', 'both'])
        .default('both'),
    )
    .addOption(option('--ram <size>', 'guest RAM', size).default(256 << 20, '256M'))
    .option('--prealloc', 'take all guest RAM from the system at once')
    .option('--machine <type>', 'machine type', 'stopcopy-pc-1')
    .option('--to <uri>', 'be the source, and migrate to URI')
    .option('--incoming <uri>', 'be the destination, and wait at URI')
    .addOption(
      new Option('--cpu-dirty <tracker>', 'how writes of vCPUs are tracked')
        .choices(CPU_TRACKERS)
        .default('kvm-auto'),
    )
    .addOption(
      new Option('--device-dirty <tracker>', 'how writes of devices are tracked')
        .choices(DEVICE_TRACKERS)
        .default('iommu'),
    )
    .option('--dirty-rate <pages>', 'pages that the guest writes per second', count(0, 1e7), 2000)
    .addOption(option('--working-set <size>', 'RAM that the guest writes', size).default(32 << 20, '32M'))
    .option('--downtime-limit <ms>', 'longest downtime that is aimed at', count(1, 2e6), 300)
    .addOption(option('--max-bandwidth <size>', 'bytes per second; 0: no limit', size).default(0))
    .addOption(
      option(
        '--avail-switchover-bandwidth <size>',
        'bytes per second that a switchover counts with',
        size,
      ).default(0),
    )
    .addOption(
      new Option('--capability <name>', 'switch a capability on; may be given several times')
        .choices(CAPABILITY_NAMES)
        .argParser(appendCapability)
        .default([]),
    )
    .option('--no-return-path', 'switch the capability return-path off')
    .option('--multifd-channels <n>', 'channels of multifd', count(1, 255), 2)
    .option('--seed <n>', 'seed of traffic and workload', count(0, 0xffff_ffff), 1)
    .option('--run-for <ms>', 'let the guest run before the migration', count(0, 1e7), 300)
    .option('--cancel-after <ms>', 'cancel so long after the migration began', count(0, 1e7))
    .option('--patience <ms>', 'how long the guest may take to show that it runs on', count(0, 1e7), 3000)
    .option(
      '--answer-timeout <ms>',
      'how long an answer of the other side is waited for',
      count(1, 1e7),
      30_000,
    )
    .option('--control <path>', 'unix socket for commands to this side')
    .option('--record <file>', 'write what happened as canonical events')
    .option('--html <file>', 'judge what happened, and write it as a page with a timeline')
    .option('--json', 'print the report as JSON');
  return addColorOptions(command);
}

function option<T>(flags: string, words: string, parse: (value: string, before: T) => T): Option {
  return new Option(flags, words).argParser(parse);
}

function append(value: string, before: string[]): string[] {
  return [...before, value];
}

function appendCapability(value: string, before: CapabilityName[]): CapabilityName[] {
  const name = CAPABILITY_NAMES.find((each) => each === value);
  if (name === undefined) throw new InvalidArgumentError(`Known are ${CAPABILITY_NAMES.join(', ')}.`);
  return [...before, name];
}
