import type { Layout, Records } from './layout.js';

/**
 * Code that brings the words `w0`, `w1`, … of a state into the order of members that stands for all: the records
 * of each group are sorted.
 */
export function canonicalCode(layout: Layout): string {
  return layout.groups.map(sorted).join('');
}

/** By compare and exchange of neighbours, unrolled: groups are small. `r1_0` is part 0 of member 1. */
function sorted({ bits, places }: Records): string {
  const parts = [...bits.keys()];
  const reads = places.flatMap((member, at) =>
    member.map(({ word, shift }, part) => `let r${at}_${part}=w${word}>>>${shift}&${2 ** bits[part]! - 1};`),
  );
  const swaps: string[] = [];
  for (let end = places.length - 1; end > 0; end--)
    for (let at = 0; at < end; at++) swaps.push(exchange(at, at + 1, parts));
  return `{${reads.join('')}${swaps.join('')}${writes({ bits, places })}}`;
}

function exchange(a: number, b: number, parts: readonly number[]): string {
  // The first part that differs decides.
  const greater = parts.reduceRight((rest, part) => {
    const [x, y] = [`r${a}_${part}`, `r${b}_${part}`];
    return rest === '' ? `${x}>${y}` : `(${x}>${y}||${x}===${y}&&${rest})`;
  }, '');
  const swaps = parts.map((part) => `t=r${a}_${part};r${a}_${part}=r${b}_${part};r${b}_${part}=t;`).join('');
  return `if(${greater}){let t;${swaps}}`;
}

/** Puts the records back, in each word at once. */
function writes({ bits, places }: Records): string {
  const byWord = new Map<number, { clear: number; values: string[] }>();
  for (const [at, member] of places.entries())
    for (const [part, { word, shift }] of member.entries()) {
      const { clear, values } = byWord.get(word) ?? { clear: 0, values: [] };
      const mask = 2 ** bits[part]! - 1;
      byWord.set(word, { clear: clear | (mask << shift), values: [...values, `r${at}_${part}<<${shift}`] });
    }
  return [...byWord]
    .map(([word, { clear, values }]) => `w${word}=w${word}&${~clear}|${values.join('|')};`)
    .join('');
}
