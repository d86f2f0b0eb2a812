import dagre from '@dagrejs/dagre';
import { type Html, html } from '../../text/html.js';
import { mergedArcs, type RegionDescription } from '../description.js';
import { cut, type Point, pathThrough, px, textWidth } from './box.js';

/** More than this is no drawing that anybody reads. */
const MOST_STATES = 100;

const NODE = { height: 34, pad: 14 };
const LABEL = { height: 15, size: 11, most: 30 };
const EDGE = 16;

/** The label of an arrow: its events, as many as can be read. */
function labelOf(events: readonly string[]): string {
  const [first = ''] = events;
  const more = events.length - 1;
  const rest = more > 0 ? ` +${more}` : '';
  return cut(first, LABEL.most - rest.length) + rest;
}

/**
 * A region of a machine as SVG, laid out from top to bottom. Arrows carry their first event and how many more there
 * are; what keeps a state is in the table of arcs and not drawn.
 * @returns null when it has too many states to be drawn
 */
export function stateDiagram(region: RegionDescription, title: string): Html | null {
  if (region.states.length > MOST_STATES) return null;
  const arcs = mergedArcs(region.arcs).filter(({ from, to }) => from !== to);
  const graph = laidOut(region, arcs);
  const { width = 0, height = 0 } = graph.graph();
  const marker = `arrow-${region.name.replace(/\W/g, '-')}`;
  return html`<svg class="diagram" viewBox="0 0 ${px(width)} ${px(height)}" width="${px(width)}" height="${px(height)}" role="img" aria-label="${title}">
<defs><marker id="${marker}" class="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>
${arcs.map((arc, index) => {
  const edge = graph.edge({ v: arc.from, w: arc.to, name: String(index) });
  return html`<path class="arc" data-from="${arc.from}" data-to="${arc.to}" d="${pathThrough(edge.points as Point[])}" marker-end="url(#${marker})"><title>${arc.from} to ${arc.to}: ${arc.events.join(', ')}</title></path>
`;
})}
${arcs.map((arc, index) => {
  const { x, y } = graph.edge({ v: arc.from, w: arc.to, name: String(index) }) as Point;
  const text = labelOf(arc.events);
  const wide = textWidth(text, LABEL.size) + 4;
  return html`<g class="event"><rect x="${px(x - wide / 2)}" y="${px(y - LABEL.height / 2)}" width="${px(wide)}" height="${LABEL.height}"/><text x="${px(x)}" y="${px(y + 4)}" text-anchor="middle">${text}</text></g>
`;
})}
${region.states.map(({ name, initial }) => {
  const { x, y, width: wide } = graph.node(name) as Point & { width: number };
  return html`<g class="state${initial ? ' initial' : ''}" data-state="${name}"><rect x="${px(x - wide / 2)}" y="${px(y - NODE.height / 2)}" width="${px(wide)}" height="${NODE.height}" rx="8"/><text x="${px(x)}" y="${px(y + 4)}" text-anchor="middle">${name}</text></g>
`;
})}
</svg>`;
}

function laidOut(region: RegionDescription, arcs: ReturnType<typeof mergedArcs>) {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: 'TB', nodesep: 36, ranksep: 34, edgesep: EDGE, marginx: 12, marginy: 12 });
  for (const { name } of region.states)
    graph.setNode(name, { width: textWidth(name) + 2 * NODE.pad, height: NODE.height });
  for (const [index, { from, to, events }] of arcs.entries()) {
    const width = textWidth(labelOf(events), LABEL.size) + 8;
    graph.setEdge(from, to, { width, height: LABEL.height, labelpos: 'c' }, String(index));
  }
  dagre.layout(graph);
  return graph;
}
