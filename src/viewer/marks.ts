import type { Spot } from './painter.js';

/** Most buttons over the timeline; what is drawn beyond them can be reached by the list. */
const MOST = 400;
/** Size of a button. */
const SIZE = 26;

/** Buttons over the marks of the timeline, for pointers, keys and readers of screens. */
export class MarkButtons {
  readonly #buttons = new Map<string, HTMLButtonElement>();
  #spots: readonly Spot[] = [];

  /** `describe` puts a finding into words, `pick` is told which is wanted. */
  constructor(
    readonly layer: HTMLElement,
    readonly describe: (finding: number) => string,
    readonly pick: (finding: number) => void,
  ) {}

  /** Puts the buttons where the marks are now. Those that stay keep the focus. */
  update(spots: readonly Spot[], selected: number): void {
    this.#spots = spots.slice(0, MOST);
    const gone = new Set(this.#buttons.keys());
    const current = this.#spots.find((spot) => holds(spot, selected)) ?? this.#spots[0];
    for (const spot of this.#spots) {
      const key = keyOf(spot);
      gone.delete(key);
      const button = this.#buttons.get(key) ?? this.#made(key, spot);
      button.style.transform = `translate(${spot.x - SIZE / 2}px, ${spot.y + 2 - SIZE / 2}px)`;
      // One stop for the tab key; n and p go from mark to mark.
      button.tabIndex = spot === current ? 0 : -1;
      button.setAttribute('aria-pressed', String(holds(spot, selected)));
    }
    for (const key of gone) {
      this.#buttons.get(key)!.remove();
      this.#buttons.delete(key);
    }
  }

  /** Moves the focus to the mark of a finding. */
  focus(finding: number): boolean {
    const spot = this.#spots.find((each) => holds(each, finding));
    if (spot === undefined) return false;
    this.#buttons.get(keyOf(spot))!.focus({ preventScroll: true });
    return true;
  }

  #made(key: string, { marks }: Spot): HTMLButtonElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'mark';
    const more = marks.length > 1 ? `; and ${marks.length - 1} more at this place` : '';
    button.setAttribute('aria-label', `${this.describe(marks[0]!.finding)}${more}`);
    button.title = button.ariaLabel ?? '';
    // A mark of several goes through them, one at each click.
    let next = 0;
    button.addEventListener('click', () => this.pick(marks[next++ % marks.length]!.finding));
    this.#buttons.set(key, button);
    this.layer.append(button);
    return button;
  }
}

function holds({ marks }: Spot, finding: number): boolean {
  return marks.some((mark) => mark.finding === finding);
}

function keyOf({ marks }: Spot): string {
  return `${marks[0]!.lane}:${marks[0]!.finding}:${marks.length}`;
}
