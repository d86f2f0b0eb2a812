import type { Layout, Records } from './layout.js';

/**
 * Code that brings the words `w0`, `w1`, … of a state into the order of members that stands for all: the records
 * of each group are sorted.
 */
export function canonicalCode(layout: Layout): string {
  return layout.groups.map(sorted).join('');
}

/** By compare and exchange of neighbours, unrolled: groups are small. */
function sorted({ bits, places }: Records): string {
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
    const own = places.filter((place) => place.word === word);
    const clear = own.reduce((bitsOf, { shift }) => bitsOf | (mask << shift), 0);
    return `w${word}=w${word}&${~clear}|${parts.join('|')};`;
  });
  return `{${reads.join('')}${swaps.join('')}${writes.join('')}}`;
}
