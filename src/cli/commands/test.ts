import { type Command, Option } from 'commander';
import { appendNames, count } from '../arguments.js';
import { addColorOptions } from '../color.js';

export interface TestFlags {
  target: string;
  suite?: string;
  coverage: string[];
  only?: string;
  profile?: string;
  timeout: number;
  record?: string;
  html?: string;
  json?: boolean;
  format: 'people' | 'json' | 'junit' | 'tap' | 'sarif' | 'github';
  output?: string;
  maxFailures: number;
  shrink: boolean;
  seed: number;
  color?: boolean;
}

const HELP = `
Targets:
  mock:DEVICE                   a model of this package: mock:uart, mock:dma,
                                mock:e810-vf?generation=a&precopy&dma-logging&fault=NAME
  vfio-user:/path.sock          a vfio-user server (?dialect=libvfio-user for libvfio-user and SPDK)
  vfio:/dev/vfio/devices/vfioN  a device of this host's kernel; vfio:BDF, and vfio:UUID of an mdev
  exec:COMMAND                  a command that speaks JSON lines
  vhost-user:/path.sock         a vhost-user back end
  vhost:/dev/vhost-net          vhost-net of this host's kernel, with a tap device of its own
  vhost-vdpa:/dev/vhost-vdpa-N  a vDPA device of this host
  mock:virtio-net:FACE          a mock vhost back end: vhost, vhost-user or vdpa
  kvm:                          the dirty log of this host's KVM (kvm:?sequences=200)

Without --suite one is made for what the device offers: requests, sessions, errors and m-complete,
and whole migrations where the target has a guest; --coverage says otherwise. Each run is recorded
and judged by the validator too, and what fails is shrunk to the shortest sequence that still does.

A device under test is stopped, reset and loaded over and over: give it no work that matters. Every
call of a test has --timeout to come back; one that does not ends the run.

A vhost back end is driven as a VMM and a guest do: negotiation, rings, frames, dirty logging, stop
and start, device state; each case on a connection of its own. KVM is held against the machines of
its dirty log over random sequences.

A report of --json on a VFIO device is a suite of its shrunk sequences: --suite report.json runs
them again.

Exit codes: 0 pass; 1 fail; 2 bad usage, or the target cannot be used; 3 nothing could be judged.

Examples:
  stopcopy test --target mock:uart
  stopcopy test --target 'mock:e810-vf?precopy&fault=late-load'
  stopcopy test --target vfio:0000:3b:00.1 --profile mlx5 --record run.ndjson
  stopcopy test --target vhost-user:/run/vhost.sock --json
  stopcopy test --target vfio-user:/run/vf.sock --suite suite.json --format junit -o report.xml
  stopcopy generate vfio-device --coverage pairs | stopcopy test --target mock:dma --suite -`;

/** Adds `stopcopy test`. */
export function addTest(program: Command): void {
  const command = program
    .command('test')
    .description('run a test suite on a live device, and judge what it does')
    .requiredOption('--target <uri>', 'the device')
    .option('--suite <file>', 'suite of generate, or a report of test; - is standard input')
    .addOption(
      new Option('--coverage <criteria>', 'criteria of the suite that is made here, with commas between')
        .argParser(appendNames)
        .default([], 'see below'),
    )
    .option('--only <case>', 'only the case with this id')
    .option(
      '--profile <name>',
      "implementation whose known deviations are no failures (default: the target's)",
    )
    .option('--timeout <ms>', 'how long a call may take', count(1, 1e7), 30_000)
    .option('--record <file>', 'write what happened as canonical events')
    .option('--html <file>', 'judge what happened, and write it as a page with a timeline')
    .addOption(
      new Option('--format <name>', 'form of the report')
        .choices(['people', 'json', 'junit', 'tap', 'sarif', 'github'])
        .default('people'),
    )
    .option('--json', 'the same as --format json')
    .option('-o, --output <file>', 'write the report to a file')
    .option('--max-failures <n>', 'end after so many different failures', count(1, 1e6), 20)
    .option('--no-shrink', 'leave failing cases as they are')
    .option('--seed <n>', 'seed of the suite, of a mock device and of its faults', count(0, 0xffff_ffff), 1)
    .addHelpText('after', HELP);
  addColorOptions(command).action(async (flags: TestFlags) => {
    const { runTest } = await import('./test-run.js');
    process.exitCode = await runTest(flags);
  });
}
