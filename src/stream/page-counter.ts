import type { PageEncoding } from './item.js';
import type { BlockReport, PageCounts, RamReport } from './report.js';

/** Most blocks that are counted one by one. */
const MAX_BLOCKS = 16384;

const none = (): PageCounts => ({ pages: 0, zeroPages: 0, encodedPages: 0, bytes: 0 });

/** Counts pages by block. */
export class PageCounter {
  readonly #blocks = new Map<string, BlockReport>();
  #last: BlockReport | undefined;

  block(name: string, usedLength: number | null): void {
    this.#of(name).usedLength = usedLength;
  }

  page(name: string, encoding: PageEncoding, size: number, count = 1): void {
    const block = this.#last?.name === name ? this.#last : this.#of(name);
    if (encoding === 'zero') {
      block.zeroPages += count;
      return;
    }
    if (encoding === 'normal' || encoding === 'mapped') block.pages += count;
    else block.encodedPages += count;
    block.bytes += size;
  }

  report(): RamReport {
    const sum = none();
    const blocks = [...this.#blocks.values()];
    for (const block of blocks) {
      for (const key of Object.keys(sum) as (keyof PageCounts)[]) sum[key] += block[key];
    }
    return { ...sum, blocks };
  }

  #of(name: string): BlockReport {
    let block = this.#blocks.get(name);
    if (block === undefined) {
      block = { name: this.#blocks.size < MAX_BLOCKS ? name : '(others)', usedLength: null, ...none() };
      block = this.#blocks.get(block.name) ?? block;
      this.#blocks.set(block.name, block);
    }
    this.#last = block;
    return block;
  }
}
