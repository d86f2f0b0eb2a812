import type { PageData } from '../validate/reporters/page-data.js';
import { Findings, openOnPaper } from './findings.js';
import { paintLegend } from './legend.js';
import { printable } from './paper.js';
import { timeText } from './text.js';
import { Timeline } from './timeline.js';

/** Puts timeline, list, buttons and keys of the HTML report together. */

const get = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;

const data = JSON.parse(get('#data').textContent!) as PageData;
const times = new Map(data.marks.map(({ finding, t }) => [finding, t]));
const findings = new Findings((number) => open(number));
const timeline = new Timeline(
  data,
  {
    box: get('#timeline'),
    stage: get('#stage'),
    canvas: get('#stage canvas'),
    marks: get('#marks'),
    tip: get('#tip'),
  },
  { describe: (number) => `${findings.words(number)}, at ${timeText(times.get(number) ?? 0)}`, pick: open },
);
Object.assign(globalThis, { timeline });

const legend = (): void => paintLegend(get('#legend'), data, timeline.painter.looks);
legend();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', legend);
openOnPaper();
printable(timeline, get('#paper'), legend);

const filter = get<HTMLInputElement>('#filter');
const help = get('#help');
const shown = get('#shown');

/** Shows a finding in the timeline and in the list. */
function open(number: number): void {
  timeline.select(number);
  findings.open(number);
}

/** To the next finding: among marks while the focus is in the timeline, else in the list. */
function step(by: 1 | -1): void {
  const number = findings.next(by);
  if (number < 0) return;
  if (!timeline.hasFocus || !times.has(number)) {
    open(number);
    return;
  }
  findings.select(number);
  timeline.select(number);
  timeline.focusMark(number);
}

/** From a finding back to its mark. */
function back(): void {
  const inFinding = document.activeElement?.closest('details.finding') ?? null;
  const number = inFinding === null ? -1 : findings.all.indexOf(inFinding as HTMLDetailsElement);
  if (!times.has(number)) return;
  timeline.elements.box.scrollIntoView({ block: 'nearest' });
  timeline.select(number);
  timeline.focusMark(number);
}

function showHelp(): void {
  help.hidden = !help.hidden;
  get('[data-do=help]').setAttribute('aria-expanded', String(!help.hidden));
}

/** Shows what a text is in the name of. */
function sift(): void {
  const wanted = filter.value.trim().toLowerCase();
  for (const element of document.querySelectorAll<HTMLElement>('[data-search]'))
    element.hidden = !element.dataset.search!.toLowerCase().includes(wanted);
  const lanes = timeline.filter(wanted);
  shown.textContent =
    wanted === ''
      ? ''
      : `${lanes} of ${data.lanes.length} lanes, ${findings.shown} of ${findings.all.length} findings`;
}

const ACTIONS: Readonly<Record<string, () => void>> = {
  in: () => timeline.zoom(0.6),
  out: () => timeline.zoom(1 / 0.6),
  all: () => timeline.all(),
  near: () => timeline.near(),
  next: () => step(1),
  previous: () => step(-1),
  help: showHelp,
};

const KEYS: Readonly<Record<string, () => void>> = {
  '+': ACTIONS.in!,
  '=': ACTIONS.in!,
  '-': ACTIONS.out!,
  '0': ACTIONS.all!,
  z: ACTIONS.near!,
  n: ACTIONS.next!,
  j: ACTIONS.next!,
  p: ACTIONS.previous!,
  k: ACTIONS.previous!,
  '?': showHelp,
  ArrowLeft: () => timeline.move(-0.2),
  ArrowRight: () => timeline.move(0.2),
  Escape: back,
  '/': () => filter.focus(),
};

get('.tools').addEventListener('click', (event) => {
  const button = (event.target as Element).closest<HTMLElement>('[data-do]');
  if (button !== null) ACTIONS[button.dataset.do!]?.();
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target === filter) {
    if (event.key !== 'Escape') return;
    filter.value = '';
    sift();
    filter.blur();
    return;
  }
  // What scrolls to the side of its own, and what people turn off because they speak to their machine.
  if (event.key.startsWith('Arrow') && target.closest('pre, .wide') !== null) return;
  if (event.key.length === 1 && !get<HTMLInputElement>('#keys').checked) return;
  const action = KEYS[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
});

filter.addEventListener('input', sift);
