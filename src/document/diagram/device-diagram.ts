import { type CapabilitySet, capabilityNames, isRunning } from '../../machines/index.js';
import { hasState, inPreCopy, inSavingGroup } from '../../machines/vfio-arcs.js';
import { type Html, html } from '../../text/html.js';
import { MIG_STATES, type MigState } from '../../uapi/vfio.js';
import type { ArcDescription } from '../description.js';
import { type Point, px, textWidth } from './box.js';

/** Where the states stand: the saving group below the states that it is left to, the P2P pair in one column. */
const PLACES: Readonly<Record<MigState, readonly [column: number, row: number]>> = {
  RUNNING: [0, 0],
  RUNNING_P2P: [1, 0],
  STOP: [2, 0],
  RESUMING: [3, 0],
  PRE_COPY: [0, 1],
  PRE_COPY_P2P: [1, 1],
  STOP_COPY: [2, 1],
  ERROR: [3, 1],
};

const COLUMN = 200;
const ROW = 130;
const BOX = { width: 124, height: 40 };
const MARGIN = { x: 100, y: 84 };
const SIZE = { width: MARGIN.x * 2 + 3 * COLUMN, height: MARGIN.y + ROW + 92 };

/** A group of states that is drawn as a frame around them. */
interface Group {
  readonly name: string;
  readonly className: string;
  readonly has: (state: MigState) => boolean;
  readonly pad: Point;
  readonly label: 'above' | 'below';
}

const GROUPS: readonly Group[] = [
  {
    name: 'running',
    className: 'running',
    has: isRunning,
    pad: { x: 34, y: 40 },
    label: 'above',
  },
  {
    name: 'saving group',
    className: 'saving',
    has: inSavingGroup,
    pad: { x: 22, y: 27 },
    label: 'below',
  },
  {
    name: 'P2P',
    className: 'p2p',
    has: (state) => state.endsWith('_P2P'),
    pad: { x: 10, y: 13 },
    label: 'above',
  },
];

/**
 * The device FSM as SVG: its states in fixed places, the saving group, the running states and the P2P states
 * in frames. An arrow is a request for the state that it points to.
 * @param arcs the arcs that are drawn
 */
export function deviceDiagram(caps: CapabilitySet, arcs: readonly ArcDescription[], title: string): Html {
  const marker = `arrow-${capabilityNames(caps).join('-')}`;
  const states = MIG_STATES.filter((state) => hasState(state, caps));
  const groups = GROUPS.map((group) => ({ group, members: states.filter(group.has) })).filter(
    ({ members }) => members.length > 0,
  );
  return html`<svg class="diagram" viewBox="0 0 ${SIZE.width} ${SIZE.height}" width="${SIZE.width}" height="${SIZE.height}" role="img" aria-label="${title}">
<defs><marker id="${marker}" class="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker></defs>
${groups.map(({ group, members }) => frame(group, members))}
${arcs.map((arc) => arrow(arc, marker))}
${states.map((state) => box(state))}
</svg>`;
}

function center(state: MigState): Point {
  const [column, row] = PLACES[state];
  return { x: MARGIN.x + column * COLUMN, y: MARGIN.y + row * ROW };
}

function box(state: MigState): Html {
  const { x, y } = center(state);
  const kind = state === 'ERROR' ? 'error' : inPreCopy(state) || isRunning(state) ? 'runs' : 'stopped';
  return html`<g class="state ${kind}" data-state="${state}"><rect x="${px(x - BOX.width / 2)}" y="${px(y - BOX.height / 2)}" width="${BOX.width}" height="${BOX.height}" rx="8"/><text x="${px(x)}" y="${px(y + 4)}" text-anchor="middle">${state}</text></g>
`;
}

function frame({ name, className, pad, label }: Group, members: readonly MigState[]): Html {
  const centers = members.map(center);
  const left = Math.min(...centers.map(({ x }) => x)) - BOX.width / 2 - pad.x;
  const right = Math.max(...centers.map(({ x }) => x)) + BOX.width / 2 + pad.x;
  const top = Math.min(...centers.map(({ y }) => y)) - BOX.height / 2 - pad.y;
  const bottom = Math.max(...centers.map(({ y }) => y)) + BOX.height / 2 + pad.y;
  const at = label === 'above' ? top - 5 : bottom + 15;
  const wide = textWidth(name, 11);
  // Each label stands where no other frame passes.
  const x = { p2p: (left + right - wide) / 2, saving: right - wide - 8 }[className] ?? left + 8;
  const y = className === 'p2p' ? top + 11 : at;
  return html`<g class="group ${className}"><rect x="${px(left)}" y="${px(top)}" width="${px(right - left)}" height="${px(bottom - top)}" rx="14"/><text x="${px(x)}" y="${px(y)}">${name}</text></g>
`;
}

/** An arrow from border to border; the two directions of a pair stand side by side. */
function arrow({ from, to, event }: ArcDescription, marker: string): Html {
  const [a, b] = [center(from as MigState), center(to as MigState)];
  const [dx, dy] = [Math.sign(b.x - a.x), Math.sign(b.y - a.y)];
  const side = 6;
  const start = { x: a.x + (dx * BOX.width) / 2 - dy * side, y: a.y + (dy * BOX.height) / 2 + dx * side };
  const end = { x: b.x - (dx * BOX.width) / 2 - dy * side, y: b.y - (dy * BOX.height) / 2 + dx * side };
  if (dx !== 0 && dy !== 0) {
    start.x = a.x + (dx * BOX.width) / 2;
    start.y = a.y + (dy * BOX.height) / 4;
    end.x = b.x - (dx * BOX.width) / 2;
    end.y = b.y - (dy * BOX.height) / 4;
  }
  return html`<path class="arc" data-from="${from}" data-to="${to}" d="M${px(start.x)} ${px(start.y)}L${px(end.x)} ${px(end.y)}" marker-end="url(#${marker})"><title>${from} to ${to}: ${event}</title></path>
`;
}
