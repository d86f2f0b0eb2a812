/** A run of pages: number of the first, and how many. */
export type PageRun = [first: number, count: number];

/** Adds a page behind all that are there. */
export function addPage(runs: PageRun[], page: number): void {
  const last = runs.at(-1);
  if (last !== undefined && last[0] + last[1] === page) last[1]++;
  else runs.push([page, 1]);
}

/** Whether a page is in one of the runs. */
export function hasPage(runs: readonly PageRun[], page: number): boolean {
  return runs.some(([first, count]) => page >= first && page < first + count);
}

/** The pages whose bits are set in a log, which are cleared. */
export function takeBits(log: Uint8Array): PageRun[] {
  const words = new BigUint64Array(log.buffer, log.byteOffset, Math.floor(log.length / 8));
  const runs: PageRun[] = [];
  for (let word = 0; word < words.length; word++) {
    if (words[word] === 0n) continue;
    const bits = Atomics.exchange(words, word, 0n);
    for (let bit = 0; bit < 64; bit++) if ((bits >> BigInt(bit)) & 1n) addPage(runs, word * 64 + bit);
  }
  return runs;
}
