import type { Mealy } from '../automaton/index.js';
import { dotQuoted, mermaidText } from '../text/diagram.js';
import { STATUS_INPUT } from './alphabet.js';
import type { Difference } from './difference.js';
import { NOT_ASKED } from './result.js';

/** One arrow of a diagram: all inputs that lead from one state to another. */
interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly labels: string[];
  /** One of them is what the protocol does not allow. */
  wrong: boolean;
}

/** Arrows that change the state, or that are wrong: the rest would hide them. */
function arrowsOf(machine: Mealy, wrong: ReadonlySet<number>): Arrow[] {
  const arrows = new Map<string, Arrow>();
  const width = machine.inputs.length;
  for (let from = 0; from < machine.states.length; from++)
    for (const [index, input] of machine.inputs.entries()) {
      const place = from * width + index;
      const output = machine.outputs[machine.output[place]!]!;
      if (input === STATUS_INPUT || output === NOT_ASKED) continue;
      const to = machine.next[place]!;
      const bad = wrong.has(place);
      if (to === from && !bad) continue;
      const key = `${from} ${to} ${bad}`;
      const arrow = arrows.get(key) ?? { from, to, labels: [], wrong: bad };
      arrow.labels.push(output === 'ok' && !bad ? input : `${input}: ${output}`);
      arrows.set(key, arrow);
    }
  return [...arrows.values()];
}

/** Where the tables of a learned machine have what differs: the last step of each word that shows it. */
export function placesOf(machine: Mealy, different: readonly Difference[]): Set<number> {
  return new Set(different.map(({ word }) => lastStep(machine, word)));
}

/** The place in the tables of the last step of a word. */
function lastStep(machine: Mealy, word: readonly string[]): number {
  const width = machine.inputs.length;
  let state = 0;
  let place = 0;
  for (const input of word) {
    place = state * width + machine.inputs.indexOf(input);
    state = machine.next[place]!;
  }
  return place;
}

/**
 * A learned machine as a Mermaid `stateDiagram-v2`; what differs is red, dashed and marked `!`.
 * @param wrong places in the machine's tables of what differs, see `placesOf`
 */
export function learnedMermaid(machine: Mealy, wrong: ReadonlySet<number>): string[] {
  const name = (state: number): string => `s${state}`;
  const arrows = arrowsOf(machine, wrong);
  const wrongIn = [...new Set(arrows.filter((arrow) => arrow.wrong).map(({ from }) => from))];
  return [
    'stateDiagram-v2',
    ...machine.states.map((state, index) => `  state "${mermaidText(state)}" as ${name(index)}`),
    '  [*] --> s0',
    ...arrows.map(
      (arrow) =>
        `  ${name(arrow.from)} --> ${name(arrow.to)}: ${arrow.wrong ? '! ' : ''}${arrow.labels.map(mermaidText).join(', ')}`,
    ),
    ...(wrongIn.length > 0 ? ['  classDef different stroke:#c00,stroke-dasharray:4'] : []),
    ...wrongIn.map((from) => `  class ${name(from)} different`),
  ];
}

/**
 * A learned machine for Graphviz; what differs is red, dashed and marked `!`.
 * @param wrong places in the machine's tables of what differs, see `placesOf`
 */
export function learnedDot(machine: Mealy, wrong: ReadonlySet<number>): string[] {
  return [
    `digraph ${dotQuoted(machine.name)} {`,
    '  rankdir=LR; node [shape=box, style=rounded];',
    ...machine.states.map(
      (state, index) => `  s${index} [label=${dotQuoted(state)}${index === 0 ? ', penwidth=2' : ''}];`,
    ),
    ...arrowsOf(machine, wrong).map((arrow) => {
      const label = arrow.labels.map((each) => (arrow.wrong ? `! ${each}` : each)).join('\n');
      const look = arrow.wrong ? ', color=red, fontcolor=red, style=dashed' : '';
      return `  s${arrow.from} -> s${arrow.to} [label=${dotQuoted(label)}${look}];`;
    }),
    '}',
  ];
}

/** A machine as reports hold it: the answer and the next state of each input in each state. */
export interface MachineData {
  readonly initial: string;
  readonly states: readonly string[];
  readonly inputs: readonly string[];
  readonly transitions: readonly {
    readonly from: string;
    readonly input: string;
    readonly output: string;
    readonly to: string;
  }[];
}

/** The machine as data; transitions that nobody has seen are left out. */
export function machineData(machine: Mealy): MachineData {
  const { states, inputs, outputs } = machine;
  return {
    initial: states[0]!,
    states,
    inputs,
    transitions: states.flatMap((from, state) =>
      inputs.flatMap((input, index) => {
        const place = state * inputs.length + index;
        const output = outputs[machine.output[place]!]!;
        return output === NOT_ASKED ? [] : [{ from, input, output, to: states[machine.next[place]!]! }];
      }),
    ),
  };
}
