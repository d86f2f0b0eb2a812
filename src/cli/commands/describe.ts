import { type Command, Option } from 'commander';

export const FORMATS = [
  'text',
  'json',
  'mermaid',
  'dot',
  'plantuml',
  'scxml',
  'stately',
  'c-header',
  'rvgen',
  'csv',
  'json-schema',
] as const;

export interface DescribeFlags {
  format: (typeof FORMATS)[number];
  json?: boolean;
  caps?: string;
  view: 'requested' | 'arcs';
}

const HELP = `
Without MACHINE it lists the machines. "events" stands for the vocabulary of traces, which has the
one format json-schema.

Formats: text, json (data of our own), mermaid, dot (Graphviz), plantuml, scxml (W3C), stately (JSON
that Stately's editor and createMachine of XState take), c-header (the table of next states), rvgen
(DOT as the kernel's runtime verification reads it), csv (the matrix of requests, or the arcs).

Capabilities: stop-copy (always there), p2p, pre-copy. The default is all of them.

Examples:
  stopcopy describe
  stopcopy describe vfio-device --caps p2p,pre-copy --format json
  stopcopy describe vfio-device --view arcs --format mermaid
  stopcopy describe vfio-device --format dot | dot -Tsvg > device.svg
  stopcopy describe dma-logging --format c-header > dma_logging.h
  stopcopy describe events --format json-schema`;

/** Adds `stopcopy describe`. */
export function addDescribe(program: Command): void {
  program
    .command('describe')
    .description('print a state machine of the protocol as a table, diagram or data')
    .argument('[machine]', 'name of the machine, or events')
    .addOption(new Option('--format <format>', 'form of the description').choices(FORMATS).default('text'))
    .option('--json', 'the same as --format json')
    .option('--caps <names>', 'capabilities of the device, with commas between')
    .addOption(
      new Option('--view <view>', 'requests as user space makes them, or arcs as a driver has them')
        .choices(['requested', 'arcs'])
        .default('requested'),
    )
    .addHelpText('after', HELP)
    .action(async (machine: string | undefined, flags: DescribeFlags) => {
      const { runDescribe } = await import('./describe-run.js');
      await runDescribe(machine, flags);
    });
}
