import { type CapabilitySet, capabilityNames } from '../machines/capabilities.js';
import { CLAUSES, type ClauseId, type MachineEntry, machineNamed } from '../machines/index.js';
import { allPaths, arcsOf } from '../machines/vfio-arcs.js';
import { type ChartRegion, type ChartTransition, regionsOf } from '../machines/xstate.js';
import {
  type ArcDescription,
  DESCRIPTION_SCHEMA,
  type MachineDescription,
  type StateDescription,
} from './description.js';

/**
 * A machine as plain data. States of a machine with several regions are named `region.state`, but for
 * vfio-device: its states and arcs are those of the device FSM, and the regions stand beside them.
 * @param name a name of `MACHINES`
 * @throws RangeError when there is no such machine
 */
export function describeMachine(name: string, caps: CapabilitySet): MachineDescription {
  const entry = machineNamed(name);
  if (!entry) throw new RangeError(`there is no machine '${name}'`);
  return describeEntry(entry, caps);
}

/** As `describeMachine`, of an entry that need not be in `MACHINES`. */
export function describeEntry(entry: MachineEntry, caps: CapabilitySet): MachineDescription {
  const { name } = entry;
  const regions = regionsOf(entry.make(caps));
  const head = {
    schema: DESCRIPTION_SCHEMA,
    machine: name,
    title: entry.title,
    party: entry.party,
    capabilities: capabilityNames(caps),
  } as const;
  if (name === 'vfio-device') return { ...head, ...deviceFsm(regions, caps) };
  const prefix = regions.length > 1;
  return {
    ...head,
    states: regions.flatMap((region) => statesOf(region, prefix)),
    arcs: regions.flatMap((region) => arcsOfRegion(region, prefix)),
    ...(name === 'vfio-driver' ? { paths: allPaths(caps) } : {}),
  };
}

/** The eight-state FSM of the uAPI: what people mean by the device's states and arcs. */
function deviceFsm(regions: ChartRegion[], caps: CapabilitySet) {
  return {
    states: statesOf(regions[0]!, false),
    arcs: arcsOf(caps).map(({ from, to, clause }) => ({ from, to, event: `SET.${to}`, clause })),
    paths: allPaths(caps),
    regions: regions.map((region) => ({
      name: region.name,
      states: statesOf(region, false),
      arcs: arcsOfRegion(region, false),
    })),
  };
}

function statesOf(region: ChartRegion, prefix: boolean): StateDescription[] {
  return region.states.map(({ name, description, clause }) => ({
    name: named(region, name, prefix),
    initial: name === region.initial,
    description: description || CLAUSES[clause as ClauseId]?.text || '',
    clause: clause ?? '',
  }));
}

function arcsOfRegion(region: ChartRegion, prefix: boolean): ArcDescription[] {
  return region.transitions.map((each: ChartTransition) => ({
    from: named(region, each.from, prefix),
    to: named(region, each.to, prefix),
    event: each.event,
    clause: each.clause ?? '',
    ...(each.guard ? { when: `${each.guard.region}.${each.guard.state}` } : {}),
  }));
}

const named = (region: ChartRegion, state: string, prefix: boolean): string =>
  prefix ? `${region.name}.${state}` : state;
