import { type Command, Option } from 'commander';
import { appendNames, count } from '../arguments.js';

export interface GenerateFlags {
  coverage: string[];
  emit: 'json' | 'vitest' | 'c';
  output?: string;
  force?: boolean;
  capabilities?: string;
  lacks: string[];
  scenarios: string[];
  status: boolean;
  extraStates: number;
  method: 'w' | 'wp' | 'hsi';
  budget?: number;
  seed: number;
  only?: string;
  list?: boolean;
  stats?: boolean;
  json?: boolean;
}

const HELP = `
MODEL is vfio-device: the machine that describes a device under test.

Criteria:
  states       every state that requests reach
  arcs         every arc, alone or on the path of a request
  requests     every request in every state, those that are refused as well
  pairs        every two requests in a row (2-switch)
  sessions     what the data stream does in each state
  errors       what has to fail, and how the device goes on
  guest        whole migrations with a guest, those of --scenarios
  m-complete   every device of so many states (--extra-states) that answers otherwise is found
  random       requests drawn at random (--seed), as many as --budget allows

Without -o a suite that is one file is printed. Files that generate wrote itself are overwritten,
others are not, unless --force is given. Without --capabilities the suite is for a device that has
them all, and --stats tells of every capability set.

Examples:
  stopcopy generate vfio-device --coverage requests,sessions -o suite.json
  stopcopy generate vfio-device --coverage requests --emit c -o migration_test.c
  stopcopy generate vfio-device --coverage sessions,errors --emit vitest -o test/generated
  stopcopy generate vfio-device --coverage m-complete --extra-states 1 --stats
  stopcopy generate vfio-device --coverage pairs --budget 500 --capabilities p2p,pre-copy --list`;

/** Adds `stopcopy generate`. */
export function addGenerate(program: Command): void {
  program
    .command('generate')
    .description('make a test suite for a device from its state machine')
    .argument('<model>', 'machine that describes the device: vfio-device')
    .addOption(
      new Option('--coverage <criteria>', 'what the suite has to try, with commas between')
        .argParser(appendNames)
        .default([], 'none'),
    )
    .addOption(
      new Option('--emit <format>', 'form of the suite').choices(['json', 'vitest', 'c']).default('json'),
    )
    .option('-o, --output <file>', 'write the suite there: a file, or a folder')
    .option('--force', 'overwrite files that generate has not written')
    .option('--capabilities <names>', 'capabilities of the device, with commas between')
    .addOption(
      new Option('--lacks <calls>', 'calls that the target has no form for, with commas between')
        .argParser(appendNames)
        .default([], 'none'),
    )
    .addOption(
      new Option('--scenarios <names>', 'migrations for the criterion guest, with commas between')
        .argParser(appendNames)
        .default([], 'none'),
    )
    .option('--no-status', 'never ask for the state (GET of MIG_DEVICE_STATE) between requests')
    .option('--extra-states <n>', 'hidden states that m-complete reckons with', count(0, 8), 0)
    .addOption(
      new Option('--method <method>', 'how m-complete tells states apart')
        .choices(['w', 'wp', 'hsi'])
        .default('hsi'),
    )
    .option('--budget <steps>', 'most steps of the suite: the best beginning of it', count(1, 1e9))
    .option('--seed <n>', 'of what is drawn at random', count(0, 2 ** 32 - 1), 1)
    .option('--only <case>', 'only the case with this id')
    .option('--list', 'list the cases, and write no suite')
    .option('--stats', 'print how large the suite is and what it covers, and write no suite')
    .option('--json', 'with --stats or --list: as JSON')
    .addHelpText('after', HELP)
    .action(async (model: string, flags: GenerateFlags) => {
      const { runGenerate } = await import('./generate-run.js');
      await runGenerate(model, flags);
    });
}
