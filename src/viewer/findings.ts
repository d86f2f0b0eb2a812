/** The list of findings: which one is selected, and which are shown. */
export class Findings {
  readonly all = [...document.querySelectorAll<HTMLDetailsElement>('details.finding')];
  #selected = -1;

  /** `opened` hears of findings that are opened in the list itself. */
  constructor(opened: (number: number) => void) {
    for (const [number, finding] of this.all.entries())
      finding.addEventListener('toggle', () => {
        if (
          finding.open &&
          number !== this.#selected &&
          !document.documentElement.classList.contains('paper')
        )
          opened(number);
      });
  }

  get selected(): number {
    return this.#selected;
  }

  /** A finding in one line. */
  words(number: number): string {
    const summary = this.all[number]?.querySelector('summary')?.textContent ?? '';
    return summary.replace(/\s+/g, ' ').trim();
  }

  /** Marks a finding as the one that is looked at. */
  select(number: number): void {
    if (this.#selected !== number) this.all[this.#selected]?.classList.remove('selected');
    this.#selected = number;
    this.all[number]?.classList.add('selected');
  }

  /** Opens a finding and goes to it. */
  open(number: number): void {
    const finding = this.all[number];
    if (finding === undefined) return;
    this.select(number);
    finding.open = true;
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    finding.querySelector('summary')!.focus({ preventScroll: true });
    finding.scrollIntoView({ block: 'nearest', behavior: still ? 'auto' : 'smooth' });
  }

  /** The next finding that the filter shows, in one direction; -1: there is none. */
  next(by: 1 | -1): number {
    const count = this.all.length;
    const from = this.#selected < 0 ? (by > 0 ? -1 : 0) : this.#selected;
    for (let tried = 1; tried <= count; tried++) {
      const number = (((from + by * tried) % count) + count) % count;
      if (!this.all[number]!.hidden) return number;
    }
    return -1;
  }

  /** How many the filter shows. */
  get shown(): number {
    return this.all.filter(({ hidden }) => !hidden).length;
  }
}

/** On paper everything is open. */
export function openOnPaper(): void {
  let closed: readonly HTMLDetailsElement[] = [];
  addEventListener('beforeprint', () => {
    closed = [...document.querySelectorAll('details')].filter(({ open }) => !open);
    for (const each of closed) each.open = true;
  });
  addEventListener('afterprint', () => {
    for (const each of closed) each.open = false;
    closed = [];
  });
}
