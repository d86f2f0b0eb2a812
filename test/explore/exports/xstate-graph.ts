import { getAdjacencyMap } from 'xstate/graph';
import { toXState } from '../../../src/explore/exports/xstate.js';
import type { Model } from '../../../src/explore/model.js';

/** What XState's own exploration counts; edges of enabled events only. */
export function exploreByXState(model: Model): { states: number; edges: number } {
  const machine = toXState(model);
  const map = getAdjacencyMap(machine, {
    // Asked before each step, so that a refused event does not become a loop.
    filterEvents: (snapshot, event) => snapshot.can(event),
  });
  const nodes = Object.values(map);
  return {
    states: nodes.length,
    edges: nodes.reduce((sum, node) => sum + Object.keys(node.transitions).length, 0),
  };
}
