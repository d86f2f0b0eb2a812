import type { PageBitmap } from './page-bitmap.js';
import type { DirtyTracker } from './tracker.js';

/** No tracking at all: a writer may have written everything, so every sync reports every page. */
export class Untracked implements DirtyTracker {
  readonly name: string;
  readonly syncs = 'when-stopped';

  constructor(name: string) {
    this.name = name;
  }

  start(): void {}

  stop(): void {}

  mark(): void {}

  sync(into: PageBitmap): number {
    const before = into.count();
    into.setAll();
    return into.pages - before;
  }
}
