export {};

/** Keys, buttons and the list of findings of the HTML report; the timeline hears of them by events. */

const findings = [...document.querySelectorAll<HTMLDetailsElement>('details.finding')];
const filter = document.querySelector<HTMLInputElement>('#filter')!;
const help = document.getElementById('help')!;
let selected = -1;

function tell(what: string, value = ''): void {
  document.dispatchEvent(new CustomEvent('timeline', { detail: { what, value } }));
}

/** Opens a finding, and marks it in the timeline. */
function select(number: number): void {
  const finding = findings[number];
  if (finding === undefined) return;
  if (selected !== number) findings[selected]?.classList.remove('selected');
  selected = number;
  finding.classList.add('selected');
  finding.open = true;
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  finding.querySelector('summary')!.focus({ preventScroll: true });
  finding.scrollIntoView({ block: 'nearest', behavior: still ? 'auto' : 'smooth' });
}

/** The next finding that the filter shows, in one direction. */
function step(by: 1 | -1): void {
  const count = findings.length;
  for (let tried = 1; tried <= count; tried++) {
    const from = selected < 0 ? (by > 0 ? -1 : 0) : selected;
    const number = (((from + by * tried) % count) + count) % count;
    if (findings[number]!.hidden) continue;
    document.dispatchEvent(new CustomEvent('finding', { detail: { number, from: 'list' } }));
    return;
  }
}

function showHelp(): void {
  help.hidden = !help.hidden;
  document.querySelector('[data-do=help]')!.setAttribute('aria-expanded', String(!help.hidden));
}

const ACTIONS: Readonly<Record<string, () => void>> = {
  in: () => tell('in'),
  out: () => tell('out'),
  all: () => tell('all'),
  next: () => step(1),
  previous: () => step(-1),
  help: showHelp,
};

const KEYS: Readonly<Record<string, () => void>> = {
  '+': ACTIONS.in!,
  '=': ACTIONS.in!,
  '-': ACTIONS.out!,
  '0': ACTIONS.all!,
  n: ACTIONS.next!,
  j: ACTIONS.next!,
  p: ACTIONS.previous!,
  k: ACTIONS.previous!,
  '?': showHelp,
  ArrowLeft: () => tell('left'),
  ArrowRight: () => tell('right'),
  '/': () => filter.focus(),
};

document.querySelector('.tools')!.addEventListener('click', (event) => {
  const button = (event.target as Element).closest<HTMLElement>('[data-do]');
  if (button !== null) ACTIONS[button.dataset.do!]?.();
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof HTMLInputElement) {
    if (event.key === 'Escape') {
      filter.value = '';
      filter.dispatchEvent(new Event('input'));
      filter.blur();
    }
    return;
  }
  const action = KEYS[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
});

filter.addEventListener('input', () => {
  const wanted = filter.value.toLowerCase();
  for (const element of document.querySelectorAll<HTMLElement>('[data-search]'))
    element.hidden = !element.dataset.search!.toLowerCase().includes(wanted);
  tell('filter', filter.value);
});

document.addEventListener('finding', (event) =>
  select((event as CustomEvent<{ number: number }>).detail.number),
);
for (const [number, finding] of findings.entries())
  finding.addEventListener('toggle', () => {
    if (finding.open && number !== selected)
      document.dispatchEvent(new CustomEvent('finding', { detail: { number, from: 'list' } }));
  });

let wereOpen: readonly HTMLDetailsElement[] = [];
addEventListener('beforeprint', () => {
  const all = [...document.querySelectorAll('details')];
  wereOpen = all.filter(({ open }) => open);
  for (const each of all) each.open = true;
});
addEventListener('afterprint', () => {
  for (const each of document.querySelectorAll('details')) each.open = wereOpen.includes(each);
});
