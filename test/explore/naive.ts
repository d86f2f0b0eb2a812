import { evaluate } from '../../src/explore/expression.js';
import { initialState, keyOf, type ModelState, successors, valuation } from '../../src/explore/interpret.js';
import type { Model, Property } from '../../src/explore/model.js';

/**
 * Exploration in the plainest way, on XState's own steps: what the engine is compared with on small models.
 * It knows all properties but `leadsTo`.
 */
export interface NaiveResult {
  states: number;
  edges: number;
  depth: number;
  /** Ids of properties that are broken, each with a shortest path (of a `sometimes`, without one). */
  broken: Map<string, string[] | null>;
  /** Actions that never happened. */
  dead: string[];
}

interface Node {
  state: ModelState;
  from: Node | null;
  action: string;
  depth: number;
}

/** @param most states after which it throws */
export function exploreNaively(model: Model, most = 50_000): NaiveResult {
  const seen = new Map<string, Node>();
  const queue: Node[] = [];
  const broken = new Map<string, string[] | null>();
  const missing = new Set(
    model.properties.filter((each) => each.kind === 'sometimes' && 'of' in each).map((each) => each.id),
  );
  const dead = new Set(model.actions.map((each) => each.name));
  let edges = 0;
  const reach = (node: Node): void => {
    const key = keyOf(model, node.state);
    if (seen.has(key)) return;
    if (seen.size >= most) throw new Error(`more than ${most} states`);
    seen.set(key, node);
    queue.push(node);
    for (const property of model.properties) look(property, node);
  };
  const look = (property: Property, node: Node): void => {
    if (!('of' in property)) return;
    const holds = evaluate(property.of, valuation(model, node.state)) !== 0;
    if (property.kind === 'sometimes') {
      if (holds) missing.delete(property.id);
    } else if (holds === (property.kind === 'never') && !broken.has(property.id))
      broken.set(property.id, pathOf(node));
  };
  reach({ state: initialState(model), from: null, action: '', depth: 0 });
  let depth = 0;
  for (const node of queue) {
    depth = node.depth;
    const next = successors(model, node.state);
    edges += next.length;
    for (const property of model.properties) {
      if (broken.has(property.id)) continue;
      const sees = valuation(model, node.state);
      if ('deadlockUnless' in property && next.length === 0 && !evaluate(property.deadlockUnless, sees))
        broken.set(property.id, pathOf(node));
      if ('step' in property && evaluate(property.when, sees)) {
        const bad = next.find(({ action }) => action.labels.includes(property.step));
        if (bad) broken.set(property.id, [...pathOf(node), bad.action.name]);
      }
    }
    for (const { action, to } of next) {
      dead.delete(action.name);
      reach({ state: to, from: node, action: action.name, depth: node.depth + 1 });
    }
  }
  for (const id of missing) broken.set(id, null);
  const everyAction = model.properties.find((each) => 'everyAction' in each);
  if (everyAction && dead.size > 0) broken.set(everyAction.id, null);
  return { states: seen.size, edges, depth, broken, dead: [...dead] };
}

function pathOf(node: Node): string[] {
  const path: string[] = [];
  for (let at = node; at.from; at = at.from) path.unshift(at.action);
  return path;
}
