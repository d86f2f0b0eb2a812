import type { Curve } from './report.js';

/** Most points of a curve: more than a screen has columns. */
const MOST_POINTS = 4096;

/** A curve over time in bounded memory: when it is full, every second point goes, and from then on every second comes. */
export class Series {
  #points: [t: number, value: number][] = [];
  #stride = 1;
  #skipped = 0;
  #last: [t: number, value: number] | null = null;

  constructor(
    readonly name: string,
    readonly unit: Curve['unit'],
  ) {}

  add(t: number | undefined, value: number): void {
    if (t === undefined) return;
    this.#last = [t, value];
    if (this.#skipped++ % this.#stride !== 0) return;
    this.#points.push(this.#last);
    if (this.#points.length < MOST_POINTS) return;
    this.#points = this.#points.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }

  /** The curve, its last point always among the others; null when it has none. */
  curve(): Curve | null {
    if (this.#last === null) return null;
    const points = this.#points.at(-1) === this.#last ? this.#points : [...this.#points, this.#last];
    return { name: this.name, unit: this.unit, points };
  }
}
