import type { PageBitmap } from './page-bitmap.js';
import type { DirtyTracker } from './tracker.js';

/** What devices with a log of their own add to a tracker: such as the shared log of a vhost back end. */
export type OwnLog = Pick<DirtyTracker, 'start' | 'stop' | 'sync'>;

/**
 * A tracker of DMA, and the logs of the devices that it does not see: none stands for another. Writes that
 * are marked go to the tracker; a device with a log of its own marks there by itself.
 */
export class JoinedTracker implements DirtyTracker {
  readonly name: string;
  readonly syncs: 'always' | 'when-stopped';
  readonly beforeRead?: (first: number, count: number) => void;
  readonly #tracker: DirtyTracker;
  readonly #logs: readonly OwnLog[];
  #started = 0;

  constructor(tracker: DirtyTracker, logs: readonly OwnLog[]) {
    this.name = tracker.name;
    this.syncs = tracker.syncs ?? 'always';
    this.#tracker = tracker;
    this.#logs = logs;
    const { beforeRead } = tracker;
    if (beforeRead !== undefined) this.beforeRead = beforeRead.bind(tracker);
  }

  /** Starts all; when one fails those that were started are stopped again. */
  async start(): Promise<void> {
    this.#started = 0;
    try {
      for (const log of [this.#tracker, ...this.#logs]) {
        await log.start();
        this.#started++;
      }
    } catch (error) {
      // Why it did not start says more than why something else did not stop.
      await this.stop().catch(() => {});
      throw error;
    }
  }

  /** Stops all that were started, also when one fails. @throws what the first one has failed with */
  async stop(): Promise<void> {
    const started = [this.#tracker, ...this.#logs].slice(0, this.#started);
    this.#started = 0;
    const failures: unknown[] = [];
    for (const log of started) {
      try {
        await log.stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  mark(address: number, length: number): void {
    this.#tracker.mark(address, length);
  }

  async sync(into: PageBitmap): Promise<number> {
    let dirty = await this.#tracker.sync(into);
    for (const log of this.#logs) dirty += await log.sync(into);
    return dirty;
  }
}
