import { type Command, Option } from 'commander';
import { appendNames, count, size } from '../arguments.js';
import { addColorOptions } from '../color.js';

export interface ExploreFlags {
  devices?: number;
  pages?: number;
  faults?: number;
  caps?: string;
  variant?: string;
  property: string[];
  maxMemory: number;
  maxStates?: number;
  maxDepth?: number;
  maxTime?: number;
  symmetry: boolean;
  checkpoint?: string;
  checkpointEvery: number;
  resume?: string;
  export?: 'promela' | 'tla' | 'c';
  chart: 'text' | 'mermaid';
  changes?: boolean;
  witnesses?: boolean;
  trace?: string;
  vitest?: string;
  output?: string;
  list?: boolean;
  json?: boolean;
  color?: boolean;
}

const HELP = `
A model is machines of the protocol side by side, with pages, messages and faults between them. Each
state that it can reach is looked at, shortest ways first, and each property is held against it:
always and never (in each state), sometimes (there is a run), leadsTo (in each fair run). A verdict
says how complete it is: a search that a bound has ended says unknown, never holds.

A variant is the model with one thing done wrongly (a mutant), or as a published implementation
behaves; --list shows the properties and variants of a model. What is violated is shown by a
shortest run, which was replayed on the XState machines; --trace writes it as canonical events for
validate, --vitest as a test.

With --checkpoint FILE the search can be killed, and go on with --resume FILE.

--export prints the same model for Spin (promela) or TLC (tla), or as a search in C; docs/explore.md
tells how to run them, on one machine and on many.

Exit codes: 0 all properties hold; 1 one is violated; 2 bad usage; 3 unknown: a bound was hit.

Examples:
  stopcopy explore                                   list the models
  stopcopy explore precopy --list                    its properties and variants
  stopcopy explore precopy --devices 2 --faults 1
  stopcopy explore two-phase-stop --variant skip-p2p --trace run.ndjson
  stopcopy explore precopy --devices 3 --checkpoint precopy.state --max-memory 4G
  stopcopy explore svq-switch --export promela -o svq.pml`;

/** Adds `stopcopy explore`. */
export function addExplore(program: Command): void {
  const command = program
    .command('explore')
    .description('prove properties of whole migrations, or show the shortest way to break one')
    .argument('[scenario]', 'what is explored; left out: list the models')
    .option('--devices <n>', 'devices, rings or requests, as the model says', count(0, 16))
    .option('--pages <n>', 'pages of guest memory', count(0, 16))
    .option('--faults <n>', 'most faults in one run: errors, cuts, deaths', count(0, 16))
    .option('--caps <sets>', 'capabilities of the devices: p2p,pre-copy; / between devices')
    .option('--variant <name>', 'a mutant, or a published implementation')
    .addOption(
      new Option('--property <ids>', 'only these properties, with commas between')
        .argParser(appendNames)
        .default([], 'all'),
    )
    .addOption(
      new Option('--max-memory <size>', 'for states and their table: 512M, 4G')
        .argParser(size)
        .default(2 * 2 ** 30, '2G'),
    )
    .option('--max-states <n>', 'end after so many states', count(1, 4e9))
    .option('--max-depth <n>', 'look no further than so many actions', count(0, 1e9))
    .option('--max-time <seconds>', 'end after so long', count(1, 1e9))
    .option('--no-symmetry', 'count states that differ in the order of equal members one by one')
    .option('--checkpoint <file>', 'keep the state of the search there')
    .option('--checkpoint-every <seconds>', 'how often', count(1, 1e6), 30)
    .option('--resume <file>', 'go on from a checkpoint')
    .addOption(
      new Option('--export <form>', 'print the model, and explore nothing').choices(['promela', 'tla', 'c']),
    )
    .addOption(
      new Option('--chart <form>', 'form of sequence charts').choices(['text', 'mermaid']).default('text'),
    )
    .option('--witnesses', 'show a run for each sometimes')
    .option('--changes', 'say in the charts what each step changes')
    .option('--trace <file>', 'write the first counterexample as canonical events')
    .option('--vitest <file>', 'write the first counterexample as a test')
    .option('-o, --output <file>', 'write the report or the export to a file')
    .option('--list', 'list the properties and variants of the model')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP);
  addColorOptions(command).action(async (model: string | undefined, flags: ExploreFlags) => {
    const { runExplore } = await import('./explore-run.js');
    process.exitCode = await runExplore(model, flags);
  });
}
