import type { Expression } from '../expression.js';
import { type Model, ModelError, type Property } from '../model.js';
import { Codegen } from './codegen.js';
import type { Layout } from './layout.js';

/** What the inner loop reads and writes. Positions are in states, not in words. */
export interface Progress {
  /** The segment that is expanded, from `at` up to `to`; its first state has the number `base`. */
  src: Int32Array;
  base: number;
  at: number;
  to: number;
  /** The segment that takes new states, at `dstAt`; its first state has the number `dstBase`. */
  dst: Int32Array;
  dstBase: number;
  dstAt: number;
  /** No state is expanded once `dstAt` is there: the successors of one more would still fit behind it. */
  room: number;
  /** Exact keys, open addressing; `size` slots. */
  table: Int32Array;
  size: number;
  /** New states that the table takes before it has to grow. */
  space: number;
  edges: number;
  fresh: number;
  /** Number of the first state with no enabled action that is no legal end, or -1. */
  dead: number;
}

/** A model as generated code. */
export interface Program {
  readonly words: number;
  readonly actions: number;
  /** Successors of the last state that was expanded: words, and numbers of actions. */
  readonly out: Int32Array;
  readonly acts: Int32Array;
  /** Per action 1 when it happened. */
  readonly fired: Uint8Array;
  /** Per state property the number of the first state that shows it, or -1. */
  readonly shown: Int32Array;
  /** Per step property the state and the action that show it, or -1. */
  readonly stepState: Int32Array;
  readonly stepAction: Int32Array;
  /** Expands a state to `out` and `acts`, canonical; returns how many. */
  expand(words: Int32Array, offset: number): number;
  /** Expands as the model is, without exchanging members. */
  expandConcrete(words: Int32Array, offset: number): number;
  canonical(words: Int32Array, offset: number): void;
  /** Expands states until `to`, or until room is short. */
  run(progress: Progress): void;
  /** Looks at the state properties of a state that is new. */
  check(words: Int32Array, offset: number, number: number): void;
  hash(words: Int32Array, offset: number): number;
  predicate(expression: Expression): (words: Int32Array, offset: number) => boolean;
}

export interface Watched {
  /** always, never and sometimes, in this order in `shown`. */
  readonly states: readonly Property[];
  readonly steps: readonly Property[];
  /** null: deadlocks are not looked for. */
  readonly legalEnd: Expression | null;
}

/** Actions in one generated function: V8 leaves functions that are too long to its interpreter. */
const CHUNK = 24;

/** Makes the code of a model. `new Function` gets numbers only: no name of a model is in the text. */
export function programOf(model: Model, layout: Layout, watched: Watched): Program {
  const gen = new Codegen(model, layout);
  const K = layout.words;
  const each = <T>(make: (word: number) => T): T[] => Array.from({ length: K }, (_, word) => make(word));
  const params = each((w) => `w${w}`).join(',');
  const load = (array: string, at: string) => each((w) => `w${w}=${array}[${at}+${w}]`).join(',');

  const chunks: string[] = [];
  for (let at = 0; at < model.actions.length; at += CHUNK) {
    const body = model.actions.slice(at, at + CHUNK).map((action, index) => {
      const hit = watched.steps
        .map((property, step) =>
          'step' in property && action.labels.includes(property.step)
            ? `if(SS[${step}]<0&&${gen.truth(property.when)}){SS[${step}]=C[0];SA[${step}]=${at + index};}`
            : '',
        )
        .join('');
      return gen.action(action, at + index, hit);
    });
    chunks.push(`function a${chunks.length}(${params},n){let o=n*${K};${body.join('\n')}return n;}`);
  }
  const expandBody = `let n=0;${chunks.map((_, index) => `n=a${index}(${params},n);`).join('')}`;
  const checks = watched.states
    .map((property, index) => {
      const of = (property as { of: Expression }).of;
      const shows = property.kind === 'always' ? `!(${gen.truth(of)})` : gen.truth(of);
      return `if(P[${index}]<0&&${shows})P[${index}]=at;`;
    })
    .join('');
  const legal = watched.legalEnd === null ? 'true' : gen.truth(watched.legalEnd);
  const canonical = canonicalCode(layout);
  const hash = hashCode(K);
  const equal = each((w) => `table[p+${w}]===w${w}`).join('&&');
  const source = `'use strict';
${chunks.join('\n')}
function expand(${params}){${expandBody}return n;}
function check(${params},at){${checks}}
function hash(${params}){${hash}return h>>>0;}
return {
  expandWords: (S,s)=>{const ${load('S', 's')};return expand(${params});},
  canonicalWords: (S,s)=>{let ${load('S', 's')};${canonical}${each((w) => `S[s+${w}]=w${w};`).join('')}},
  hashWords: (S,s)=>{const ${load('S', 's')};return hash(${params});},
  checkWords: (S,s,at)=>{const ${load('S', 's')};check(${params},at);},
  legalWords: (S,s)=>{const ${load('S', 's')};return ${legal};},
  run(G){
    const src=G.src,dst=G.dst,table=G.table,scale=G.size/4294967296,end=G.size*${K},to=G.to;
    const room=G.room,space=G.space-${model.actions.length};
    let at=G.at,dstAt=G.dstAt,edges=0,fresh=0;
    for(;at<to&&dstAt<room&&fresh<=space;at++){
      C[0]=G.base+at;
      const s=at*${K};
      const n=expand(${each((w) => `src[s+${w}]`).join(',')});
      if(n===0){if(G.dead<0){const ${load('src', 's')};if(!(${legal}))G.dead=G.base+at;}continue;}
      edges+=n;
      for(let j=0;j<n;j++){
        F[acts[j]]=1;
        let ${load('out', `j*${K}`)};
        ${canonical}
        ${hash}
        let p=((h>>>0)*scale|0)*${K};
        for(;;){
          if(table[p]===0){
            const d=dstAt*${K};
            ${each((w) => `table[p+${w}]=w${w};dst[d+${w}]=w${w};`).join('')}
            check(${params},G.dstBase+dstAt);
            dstAt++;fresh++;
            break;
          }
          if(${equal})break;
          p+=${K};
          if(p===end)p=0;
        }
      }
    }
    G.at=at;G.dstAt=dstAt;G.edges+=edges;G.fresh+=fresh;
  }
};`;
  const most = model.actions.length;
  const out = new Int32Array(most * K);
  const acts = new Int32Array(most);
  const fired = new Uint8Array(most);
  const shown = new Int32Array(watched.states.length).fill(-1);
  const stepState = new Int32Array(watched.steps.length).fill(-1);
  const stepAction = new Int32Array(watched.steps.length).fill(-1);
  const ranged = (value: number, max: number, action: number, variable: number): number => {
    if (value >= 0 && value <= max) return value;
    throw new ModelError(
      `${model.name}: '${model.actions[action]!.name}' sets ${model.variables[variable]!.name} to ${value}; it holds 0 to ${max}`,
    );
  };
  const make = new Function('T', 'R', 'out', 'acts', 'F', 'P', 'SS', 'SA', 'C', source);
  const code = make(gen.tables, ranged, out, acts, fired, shown, stepState, stepAction, new Int32Array(1));
  return {
    words: K,
    actions: most,
    out,
    acts,
    fired,
    shown,
    stepState,
    stepAction,
    expandConcrete: code.expandWords,
    expand(words, offset) {
      const count = code.expandWords(words, offset);
      for (let j = 0; j < count; j++) code.canonicalWords(out, j * K);
      return count;
    },
    canonical: code.canonicalWords,
    run: code.run,
    check: code.checkWords,
    hash: code.hashWords,
    predicate(expression) {
      const body = `return (S,s)=>{const ${load('S', 's')};return ${gen.truth(expression)};}`;
      return new Function('T', body)(gen.tables) as (words: Int32Array, offset: number) => boolean;
    },
  };
}

function hashCode(words: number): string {
  const multipliers = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f];
  const mix = Array.from(
    { length: words },
    (_, w) => `h=Math.imul(h^w${w},${multipliers[w % multipliers.length]! | 0});h^=h>>>15;`,
  );
  return `let h=0;${mix.join('')}h=Math.imul(h,${0x2c1b3c6d});h^=h>>>13;`;
}

/** Sorts the records of each group, by compare-exchange: a network of neighbours, unrolled. */
function canonicalCode(layout: Layout): string {
  return layout.groups
    .map(({ bits, places }) => {
      const mask = 2 ** bits - 1;
      const reads = places.map(({ word, shift }, at) => `let r${at}=w${word}>>>${shift}&${mask};`);
      const swaps: string[] = [];
      for (let end = places.length - 1; end > 0; end--)
        for (let at = 0; at < end; at++)
          swaps.push(`if(r${at}>r${at + 1}){const t=r${at};r${at}=r${at + 1};r${at + 1}=t;}`);
      const byWord = new Map<number, string[]>();
      for (const [at, { word, shift }] of places.entries())
        byWord.set(word, [...(byWord.get(word) ?? []), `r${at}<<${shift}`]);
      const writes = [...byWord].map(([word, parts]) => {
        const clear = places
          .filter((place) => place.word === word)
          .reduce((sum, { shift }) => sum | (mask << shift), 0);
        return `w${word}=w${word}&${~clear}|${parts.join('|')};`;
      });
      return `{${reads.join('')}${swaps.join('')}${writes.join('')}}`;
    })
    .join('');
}
