import type { Expression } from '../expression.js';
import { type Model, ModelError, type Property } from '../model.js';
import { SEGMENT_BITS, SEGMENT_MASK } from './arena.js';
import { Codegen } from './codegen.js';
import type { Layout } from './layout.js';
import { canonicalCode } from './symmetry-code.js';
import { hashCode, numberBits, numberTable, tableCode } from './tables.js';

/** What the inner loop reads and writes. Counts are of states, not of words. */
export interface Progress {
  /** Segments of the arena; there is room for all successors of a state that may still be expanded. */
  segments: readonly Int32Array[];
  /** The next state to be expanded, and the one before which to stop; both in one segment. */
  at: number;
  to: number;
  /** States that were reached; once there are `until`, no more are expanded. */
  count: number;
  until: number;
  /** Open addressing; `size` slots. */
  table: Int32Array;
  size: number;
  edges: number;
}

/** A model as generated code. */
export interface Program {
  /** Words of a state. */
  readonly words: number;
  readonly actions: number;
  /** Words of a slot of the search's table. */
  readonly slot: number;
  /** Successors of the last state that was expanded: words, and numbers of actions. */
  readonly out: Int32Array;
  readonly acts: Int32Array;
  /** Per action 1 when it happened. */
  readonly fired: Uint8Array;
  /** Per watched property the number of the first state that shows it, or in which a step does; -1 when none. */
  readonly shown: Int32Array;
  /** Expands a state to `out` and `acts`; returns how many. Members are not exchanged. */
  expand(words: Int32Array, offset: number): number;
  /** Brings a state into the one order of its members that stands for all. */
  canonical(words: Int32Array, offset: number): void;
  /** Expands states until `to`, or until there are `until`. */
  run(progress: Progress): void;
  /** Looks at the properties in a state that is new. */
  check(words: Int32Array, offset: number, number: number): void;
  /** Enters states by their numbers into an empty table of the search. */
  enter(table: Int32Array, segments: readonly Int32Array[], from: number, to: number): void;
  /** The same with a table of numbers, whatever the search has. */
  enterNumbers(table: Int32Array, segments: readonly Int32Array[], from: number, to: number): void;
  /** Expands a state; the numbers of its canonical successors, which are all in the table of numbers, go to `tos`. */
  successors(
    table: Int32Array,
    segments: readonly Int32Array[],
    words: Int32Array,
    offset: number,
    tos: Int32Array,
  ): number;
  /** The first of these states that has a successor with the words, whatever the order of its members; or -1. */
  predecessor(
    segments: readonly Int32Array[],
    from: number,
    to: number,
    words: Int32Array,
    offset: number,
  ): number;
  predicate(expression: Expression): (words: Int32Array, offset: number) => boolean;
}

/** Actions in one generated function: V8 leaves functions that are too long to its interpreter. */
const CHUNK = 24;

/**
 * Makes the code of a model. `new Function` gets numbers only: no name of a model is in the text.
 * @param watched properties that are looked at on the way; `leadsTo` and "every action" have nothing to see there
 * @param memory bound of bytes, which bounds the numbers of states
 */
export function programOf(
  model: Model,
  layout: Layout,
  watched: readonly Property[],
  memory: number,
): Program {
  const gen = new Codegen(model, layout);
  const source = new Source(gen, watched, numberBits(memory, layout.words)).text();
  const most = model.actions.length;
  const out = new Int32Array(most * layout.words);
  const acts = new Int32Array(most);
  const fired = new Uint8Array(most);
  const shown = new Int32Array(watched.length).fill(-1);
  const make = new Function('T', 'R', 'out', 'acts', 'F', 'P', 'C', source);
  const code = make(gen.tables, ranged(model), out, acts, fired, shown, new Int32Array(1));
  return {
    words: layout.words,
    actions: most,
    slot: tableCode(layout.words, 31).width,
    out,
    acts,
    fired,
    shown,
    ...code,
    predicate: (expression) => new Function('T', predicateText(gen, expression))(gen.tables),
  };
}

/** Refuses a value that a variable does not hold. */
const ranged =
  (model: Model) =>
  (value: number, max: number, action: number, variable: number): number => {
    if (value >= 0 && value <= max) return value;
    throw new ModelError(
      `${model.name}: '${model.actions[action]!.name}' sets ${model.variables[variable]!.name} to ${value}; it holds 0 to ${max}`,
    );
  };

function predicateText(gen: Codegen, expression: Expression): string {
  const loads = Array.from({ length: gen.layout.words }, (_, w) => `w${w}=S[s+${w}]`).join(',');
  return `return (S,s)=>{const ${loads};return ${gen.truth(expression)};}`;
}

/** The text of a program. `S` and `s` are words and the place of a state in them, `w0`, `w1`, … its words. */
class Source {
  readonly #words: number;
  readonly #params: string;

  constructor(
    readonly gen: Codegen,
    readonly watched: readonly Property[],
    readonly numberBits: number,
  ) {
    this.#words = gen.layout.words;
    this.#params = this.#each((w) => `w${w}`).join(',');
  }

  text(): string {
    const params = this.#params;
    const load = `const ${this.#load('S', 's')};`;
    const store = this.#each((w) => `S[s+${w}]=w${w};`).join('');
    const own = tableCode(this.#words, this.numberBits);
    const numbers = numberTable(this.#words, this.numberBits);
    return `'use strict';
${this.#expand()}
function check(${params},at){${this.#checks('of')}}
function halt(${params},at){${this.#checks('deadlockUnless')}}
return {
  expand(S,s){${load}return expand(${params});},
  canonical(S,s){let ${this.#load('S', 's')};${canonicalCode(this.gen.layout)}${store}},
  check(S,s,at){${load}check(${params},at);},
  enter(table,segs,from,to){${this.#enter(own)}},
  enterNumbers(table,segs,from,to){${this.#enter(numbers)}},
  successors(table,segs,S,s,tos){${this.#successors(numbers)}},
  predecessor(segs,from,to,S,s){${this.#predecessor()}},
  run(G){${this.#run(own)}}
};`;
  }

  /** `expand(w0, …)`, in functions of some actions each. */
  #expand(): string {
    const { actions } = this.gen.model;
    const chunks: string[] = [];
    for (let at = 0; at < actions.length; at += CHUNK) {
      const body = actions
        .slice(at, at + CHUNK)
        .map((action, index) => this.gen.action(action, at + index, this.#hits(action.labels)));
      chunks.push(
        `function a${chunks.length}(${this.#params},n){let o=n*${this.#words};${body.join('\n')}return n;}`,
      );
    }
    const calls = chunks.map((_, index) => `n=a${index}(${this.#params},n);`).join('');
    return `${chunks.join('\n')}\nfunction expand(${this.#params}){let n=0;${calls}return n;}`;
  }

  /** What is done when an action with these labels happens in state `C[0]`. */
  #hits(labels: readonly string[]): string {
    return this.watched
      .map((property, index) =>
        'step' in property && labels.includes(property.step)
          ? `if(P[${index}]<0&&${this.gen.truth(property.when)})P[${index}]=C[0];`
          : '',
      )
      .join('');
  }

  /** Notes that state `at` shows a property. */
  #checks(kind: 'of' | 'deadlockUnless'): string {
    return this.watched
      .map((property, index) => {
        const shows =
          kind === 'of' && 'of' in property
            ? this.#showing(property.kind, property.of)
            : kind === 'deadlockUnless' && 'deadlockUnless' in property
              ? `!(${this.gen.truth(property.deadlockUnless)})`
              : null;
        return shows === null ? '' : `if(P[${index}]<0&&${shows})P[${index}]=at;`;
      })
      .join('');
  }

  #showing(kind: string, of: Expression): string {
    return kind === 'always' ? `!(${this.gen.truth(of)})` : this.gen.truth(of);
  }

  #enter(table: ReturnType<typeof tableCode>): string {
    return `const scale=table.length/${table.width}/4294967296,end=table.length;
    for(let at=from;at<to;at++){
      const W=segs[at>>>${SEGMENT_BITS}],s=(at&${SEGMENT_MASK})*${this.#words};
      const ${this.#load('W', 's')};
      ${hashCode(this.#words)}
      ${table.probe('', table.put('at'))}
    }`;
  }

  #successors(numbers: ReturnType<typeof tableCode>): string {
    return `const scale=table.length/4294967296,end=table.length;
    const n=expand(${this.#each((w) => `S[s+${w}]`).join(',')});
    for(let j=0;j<n;j++){
      let ${this.#load('out', `j*${this.#words}`)};
      ${canonicalCode(this.gen.layout)}
      ${hashCode(this.#words)}
      ${numbers.probe('tos[j]=q;', 'throw new Error("a successor was not reached");')}
    }
    return n;`;
  }

  #predecessor(): string {
    const words = this.#each((w) => `g${w}=S[s+${w}]`).join(',');
    return `const ${words};
    for(let at=from;at<to;at++){
      const W=segs[at>>>${SEGMENT_BITS}],i=(at&${SEGMENT_MASK})*${this.#words};
      const n=expand(${this.#each((w) => `W[i+${w}]`).join(',')});
      for(let j=0;j<n;j++){
        let ${this.#load('out', `j*${this.#words}`)};
        ${canonicalCode(this.gen.layout)}
        if(${this.#each((w) => `w${w}===g${w}`).join('&&')})return at;
      }
    }
    return -1;`;
  }

  #run(table: ReturnType<typeof tableCode>): string {
    const params = this.#params;
    return `
    const segs=G.segments,table=G.table,scale=G.size/4294967296,end=table.length,to=G.to,until=G.until;
    const src=segs[G.at>>>${SEGMENT_BITS}];
    let at=G.at,count=G.count,edges=0;
    let part=count>>>${SEGMENT_BITS},dst=segs[part],d=(count&${SEGMENT_MASK})*${this.#words};
    for(;at<to&&count<until;at++){
      C[0]=at;
      const s=(at&${SEGMENT_MASK})*${this.#words};
      const n=expand(${this.#each((w) => `src[s+${w}]`).join(',')});
      if(n===0){const ${this.#load('src', 's')};halt(${params},at);continue;}
      edges+=n;
      for(let j=0;j<n;j++){
        F[acts[j]]=1;
        let ${this.#load('out', `j*${this.#words}`)};
        ${canonicalCode(this.gen.layout)}
        ${hashCode(this.#words)}
        ${table.probe(
          '',
          `if(d===dst.length){dst=segs[++part];d=0;}
          ${table.put('count')}
          ${this.#each((w) => `dst[d+${w}]=w${w};`).join('')}
          check(${params},count);
          d+=${this.#words};count++;`,
        )}
      }
    }
    G.at=at;G.count=count;G.edges+=edges;`;
  }

  #load(array: string, at: string): string {
    return this.#each((w) => `w${w}=${array}[${at}+${w}]`).join(',');
  }

  #each(make: (word: number) => string): string[] {
    return Array.from({ length: this.#words }, (_, word) => make(word));
  }
}
