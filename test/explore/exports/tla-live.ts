import {
  holds,
  initialState,
  keyOf,
  readTla,
  type State,
  stateTest,
  stepsOf,
  type TlaModule,
} from './tla-reader.js';

/**
 * Decides `p ~> q` of an exported module as TLA+ means it: a behaviour may stutter for ever, and keeps the weak
 * fairness that its `Spec` names. It reads both texts, and nothing else.
 */

interface Graph {
  states: State[];
  /** For each state: the states after it, and the classes (their indices) that each step belongs to. */
  steps: { to: number; classes: number[] }[][];
}

/** Whether a property of the text `live`, a module that extends `base`, is broken. */
export function brokenAtLast(base: TlaModule, live: string, property: string): boolean {
  const module = readTla(live, base);
  const spec = formula(module, `Spec_${property}`);
  if (!spec.startsWith('LiveSpec') || formula(module, 'LiveSpec') !== LIVE_SPEC)
    throw new Error(`cannot read '${spec}'`);
  const classes = [...spec.matchAll(/ \/\\ WF_lvars\((\w+)\)/g)].map(([, name]) => name!);
  const [from, to] = formula(module, property).split(' ~> ');
  const graph = explore(base, module, classes);
  const open = openStates(graph, stateTest(module, from!), stateTest(module, to!));
  return parts(graph, open).some((part) => isFair(graph, part, classes.length));
}

const LIVE_SPEC = 'Init /\\ tick = 0 /\\ [][LiveNext]_lvars';

function formula(module: TlaModule, name: string): string {
  const text = module.formulas.get(name);
  if (text === undefined) throw new Error(`'${name}' is no formula`);
  return text;
}

function explore(base: TlaModule, module: TlaModule, classes: readonly string[]): Graph {
  const key = (state: State) => `${keyOf(base, state)},${state.get('tick')}`;
  const states: State[] = [new Map([...initialState(base), ['tick', 0]])];
  const numbers = new Map([[key(states[0]!), 0]]);
  const steps: Graph['steps'] = [];
  for (const now of states) {
    const out: Graph['steps'][number] = [];
    for (const next of stepsOf(base, now)) {
      if (!holds(module, 'LiveNext', now, next)) throw new Error('a step of Next is none of LiveNext');
      const name = key(next);
      const known = numbers.get(name) ?? states.push(next) - 1;
      numbers.set(name, known);
      // `<<A>>_lvars`: a step that changes nothing is none of any class.
      const changes = key(next) !== key(now);
      const of = classes.flatMap((each, index) =>
        changes && holds(module, each, now, new Map(next)) ? [index] : [],
      );
      out.push({ to: known, classes: of });
    }
    steps.push(out);
  }
  return { states, steps };
}

/** States in which `from` was true and `to` was not since. */
function openStates(
  { states, steps }: Graph,
  from: (state: State) => boolean,
  to: (state: State) => boolean,
): Set<number> {
  const without = states.map((state) => !to(state));
  const queue = states.flatMap((state, index) => (without[index] && from(state) ? [index] : []));
  const open = new Set(queue);
  for (const at of queue)
    for (const { to: next } of steps[at]!) {
      if (!without[next] || open.has(next)) continue;
      open.add(next);
      queue.push(next);
    }
  return open;
}

/** Strongly connected parts (Kosaraju). */
function parts({ steps }: Graph, open: ReadonlySet<number>): Set<number>[] {
  const back = new Map([...open].map((state) => [state, [] as number[]]));
  for (const state of open) for (const { to } of steps[state]!) back.get(to)?.push(state);
  const order: number[] = [];
  const seen = new Set<number>();
  for (const root of open)
    walk(root, seen, (at) => steps[at]!.map(({ to }) => to).filter((to) => open.has(to)), order);
  const placed = new Set<number>();
  return order.reverse().flatMap((root) => {
    if (placed.has(root)) return [];
    const part: number[] = [];
    walk(root, placed, (at) => back.get(at)!, part);
    return [new Set(part)];
  });
}

/** Depth first; adds each new state to `left` when all behind it have been seen. */
function walk(root: number, seen: Set<number>, next: (state: number) => number[], left: number[]): void {
  if (seen.has(root)) return;
  seen.add(root);
  const stack = [{ state: root, next: next(root) }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const to = top.next.pop();
    if (to === undefined) left.push(stack.pop()!.state);
    else if (!seen.has(to)) {
      seen.add(to);
      stack.push({ state: to, next: next(to) });
    }
  }
}

/** Whether a behaviour that stays in a part can be fair: each class is not enabled somewhere, or taken. */
function isFair({ steps }: Graph, part: ReadonlySet<number>, classes: number): boolean {
  return Array.from({ length: classes }, (_, index) => index).every((index) =>
    [...part].some((state) => {
      const having = steps[state]!.filter((step) => step.classes.includes(index));
      return having.length === 0 || having.some(({ to }) => part.has(to));
    }),
  );
}
