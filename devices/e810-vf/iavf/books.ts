import type { GuestBooks } from 'stopcopy/migrate';
import type { Wire } from '../wire.js';
import type { ControlBlock } from './control-block.js';
import { stateOf } from './states.js';

const sum = <T>(items: readonly T[], count: (item: T, index: number) => number): number =>
  items.reduce((total, item, index) => total + count(item, index), 0);

/**
 * Brings the records of both ends together, flow by flow. A flow keeps its order, so what is missing below the
 * last completed or seen number is lost; what is in a ring at this moment is not.
 * @param waiting flow of each frame that is written back in an Rx ring and not taken by the driver yet
 */
export function makeBooks(block: ControlBlock, waiting: readonly number[], wire: Wire): GuestBooks {
  const { toVf, fromVf, taken, dropped, alien } = wire.state;
  const inRings = new Map<number, number>();
  for (const flow of waiting) inRings.set(flow, (inRings.get(flow) ?? 0) + 1);
  const lostIn = sum(block.flowsIn, ({ seen, corrupted }, flow) =>
    Math.max(0, toVf[flow]!.next - seen - corrupted - (inRings.get(flow) ?? 0)),
  );
  const lostOut = sum(block.flowsOut, ({ completed, discarded }, flow) => {
    const { next, seen, corrupted } = fromVf[flow]!;
    return Math.max(0, Math.max(completed, next) - seen - corrupted - discarded);
  });
  return {
    framesAccepted: taken,
    framesReceived: block.framesReceived,
    framesSent: block.framesSent,
    framesOnWire: sum(fromVf, ({ seen, duplicated, corrupted }) => seen + duplicated + corrupted),
    framesLost: lostIn + lostOut,
    framesDuplicated: sum([...block.flowsIn, ...fromVf], ({ duplicated }) => duplicated),
    framesReordered: sum([...block.flowsIn, ...fromVf], ({ reordered }) => reordered),
    framesCorrupted:
      sum([...block.flowsIn, ...fromVf], ({ corrupted }) => corrupted) + block.framesAlien + alien,
    framesDropped: dropped,
    interruptsMissed: block.interruptsMissed,
    mailboxRequests: block.requests,
    mailboxMisanswered: block.misanswered,
    complaints: [...block.texts, ...deaf(block, wire), ...shutOut(wire)],
  };
}

/** Runs of the driver, and frames of the wire, after which silence is no chance. */
const SILENCE = { runs: 64, frames: 64 } as const;

/** The driver runs, the peer sends, and nothing arrives. */
function deaf(block: ControlBlock, { state }: Wire): string[] {
  if (stateOf(block) !== 'RUNNING' || state.droppedInARow < SILENCE.frames) return [];
  const silent = block.runs - Math.max(block.receivedAt, block.stateSince);
  return silent < SILENCE.runs ? [] : ['the VF does not take any frame'];
}

function shutOut(wire: Wire): string[] {
  const flows = wire.flowsShutOut();
  if (flows.length === 0) return [];
  const named = flows.slice(0, 4).map((flow) => {
    const vlan = wire.traffic.vlanOf('toVf', flow);
    return vlan === null ? `${flow}` : `${flow} (VLAN ${vlan})`;
  });
  const more = flows.length > named.length ? ` and ${flows.length - named.length} more` : '';
  return [`the VF does not take flow ${named.join(', ')}${more} any more`];
}
