import { describeMachine } from '../../document/describe.js';
import type { MachineDescription } from '../../document/description.js';
import { table } from '../../document/table.js';
import { MACHINES, type Machine, machineNamed } from '../../machines/index.js';
import { jsonText } from '../../text/json.js';
import { appendNames } from '../arguments.js';
import { capabilitiesNamed } from '../capabilities.js';
import { UsageError } from '../exit.js';
import { print } from '../output.js';
import { didYouMean } from '../suggest.js';
import type { DescribeFlags } from './describe.js';

/** Name that stands for the vocabulary of traces among the machines. */
const EVENTS = 'events';
const LIST_SCHEMA = 'stopcopy-machines-1';
const ALL_CAPABILITIES = 'stop-copy,p2p,pre-copy';
/** Machines that are the arc view of another. */
const ARC_VIEWS: Readonly<Record<string, string>> = { 'vfio-device': 'vfio-driver' };

/** Runs `stopcopy describe`. */
export async function runDescribe(name: string | undefined, flags: DescribeFlags): Promise<void> {
  const format = flags.json ? 'json' : flags.format;
  if (name === EVENTS) return describeEvents(format);
  if (format === 'json-schema') {
    throw new UsageError(
      'the format json-schema is for events: stopcopy describe events --format json-schema',
    );
  }
  if (name === undefined) return listMachines(format);
  const names = [...MACHINES.map((machine) => machine.name), EVENTS];
  if (!names.includes(name)) {
    throw new UsageError(
      `unknown machine '${name}'${didYouMean(name, names)}; there are ${names.join(', ')}`,
    );
  }
  const caps = capabilitiesNamed(appendNames(flags.caps ?? ALL_CAPABILITIES, []));
  const view = viewed(name, flags.view);
  await print(await drawn(describeMachine(view, caps), machineNamed(view)!.make(caps), format));
}

function viewed(name: string, view: DescribeFlags['view']): string {
  if (view === 'requested' || Object.values(ARC_VIEWS).includes(name)) return name;
  const arcs = ARC_VIEWS[name];
  if (arcs === undefined)
    throw new UsageError(`${name} has no arc view; ${Object.keys(ARC_VIEWS).join(', ')} has`);
  return arcs;
}

async function drawn(
  machine: MachineDescription,
  chart: Machine,
  format: DescribeFlags['format'],
): Promise<Iterable<string> | string> {
  switch (format) {
    case 'json':
      return jsonText(machine);
    case 'mermaid':
      return (await import('../../document/mermaid.js')).machineMermaid(machine);
    case 'dot':
      return (await import('../../document/dot.js')).machineDot(machine);
    case 'plantuml':
      return (await import('../../document/plantuml.js')).machinePlantUml(machine);
    case 'stately':
      return (await import('../../document/stately.js')).machineStately(chart);
    case 'c-header':
      return (await import('../../document/c-header.js')).machineCHeader(chart, machine);
    case 'rvgen':
      return (await import('../../document/rvgen.js')).machineRvgen(chart);
    case 'csv':
      return (await import('../../document/csv.js')).machineCsv(machine);
    case 'scxml':
      return (await import('../../document/scxml.js')).machineScxml(machine);
    default:
      return (await import('../../document/text.js')).machineText(machine);
  }
}

async function listMachines(format: DescribeFlags['format']): Promise<void> {
  const machines = MACHINES.map(({ name, title, party }) => ({ name, title, party }));
  if (format === 'json') return print(jsonText({ schema: LIST_SCHEMA, machines }));
  if (format !== 'text')
    throw new UsageError(`name a machine: the list has the formats text and json, not ${format}`);
  await print(
    `${table(
      machines.map(({ name, party, title }) => [name, party, title]),
      '',
    ).join('\n')}\n`,
  );
}

async function describeEvents(format: DescribeFlags['format']): Promise<void> {
  if (format !== 'json-schema' && format !== 'json') {
    throw new UsageError('events have one format: stopcopy describe events --format json-schema');
  }
  const { traceEventJsonSchema } = await import('../../trace/json-schema.js');
  await print(`${JSON.stringify(traceEventJsonSchema(), null, 2)}\n`);
}
