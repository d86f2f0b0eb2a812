import { compile } from '../../automaton/index.js';
import {
  CAPABILITY_SETS,
  type CapabilitySet,
  CLAUSES,
  type ClauseId,
  capabilityNames,
  type MachineEntry,
} from '../../machines/index.js';
import { type Html, html, scrolling } from '../../text/html.js';
import { describeEntry } from '../describe.js';
import type { ArcDescription, MachineDescription, RegionDescription } from '../description.js';
import { deviceDiagram } from '../diagram/device-diagram.js';
import { stateDiagram } from '../diagram/state-diagram.js';
import { requestMatrix } from './matrix.js';
import { linkTo, type Page } from './page.js';

/** What the pages of machines need beside the machines. */
export interface MachinePageRule {
  readonly id: string;
  readonly title: string;
  readonly clause: { readonly id: string };
}

export const machinePath = (name: string): string => `machines/${name}.html`;

/** A page for each machine, and the list of them. */
export function machinePages(machines: readonly MachineEntry[], rules: readonly MachinePageRule[]): Page[] {
  return [listPage(machines), ...machines.map((entry) => machinePage(entry, rules))];
}

function listPage(machines: readonly MachineEntry[]): Page {
  const path = 'machines/index.html';
  return {
    path,
    title: 'Machines',
    section: 'Machines',
    body: html`<p>The protocol as state machines. The validator follows a trace with them, the generator makes tests
from them, the models of whole migrations are put together from them, and these pages are drawn from them.</p>
${scrolling(
  'Machines',
  html`<table><thead><tr><th scope="col">machine</th><th scope="col">what it is</th><th scope="col">who is bound</th></tr></thead><tbody>
${machines.map(
  ({
    name,
    title,
    party,
  }) => html`<tr><td><a href="${linkTo(path, machinePath(name))}"><code>${name}</code></a></td><td>${title}</td><td>${party}</td></tr>
`,
)}</tbody></table>`,
)}`,
  };
}

function machinePage(entry: MachineEntry, rules: readonly MachinePageRule[]): Page {
  const path = machinePath(entry.name);
  const full = describeEntry(entry, entry.capabilitySets.at(-1)!);
  const regions = regionsOf(full);
  const words = entry.make(entry.capabilitySets.at(-1)!).config.description ?? '';
  const isDevice = full.paths !== undefined;
  return {
    path,
    title: entry.title,
    section: 'Machines',
    body: html`<p class="lead">${words} It binds the ${entry.party}. Its name in <code>stopcopy describe</code> is
<code>${entry.name}</code>.${regions.length > 1 ? ` It has ${regions.length} regions that run side by side: ${regions.map(({ name }) => name).join(', ')}.` : ''}</p>
<nav class="toc" aria-label="On this page"><a href="#diagram">Diagram</a>${isDevice ? html` <a href="#matrix">Requests</a>` : ''}${entry.name === 'vfio-device' ? html` <a href="#data">Data</a>` : ''} <a href="#states">States</a> <a href="#arcs">Arcs</a> <a href="#clauses">Clauses</a></nav>
<h2 id="diagram">Diagram</h2>
${isDevice ? deviceDiagrams(entry) : ''}
${isDevice && entry.name !== 'vfio-device' ? '' : regions.map((region) => regionDiagram(region, regions.length > 1, isDevice))}
${isDevice ? html`<h2 id="matrix">Requests</h2>${[...entry.capabilitySets].reverse().map((caps) => requestMatrix(describeEntry(entry, caps), caps))}` : ''}
${entry.name === 'vfio-device' ? dataTable(entry, entry.capabilitySets.at(-1)!) : ''}
<h2 id="states">States</h2>
${regions.map((region) => statesTable(region, regions.length > 1))}
<h2 id="arcs">Arcs</h2>
${regions.map((region) => arcsTable(region, regions.length > 1))}
<h2 id="clauses">Clauses</h2>
${clausesTable(path, regions, rules)}`,
  };
}

/** The regions as they are; a machine without is its only one. */
function regionsOf(machine: MachineDescription): readonly RegionDescription[] {
  if (machine.regions !== undefined) return machine.regions;
  const names = [...new Set(machine.states.map(({ name }) => regionName(name)))];
  if (names.length < 2) return [{ name: machine.machine, states: machine.states, arcs: machine.arcs }];
  const inRegion = (region: string) => (name: string) => regionName(name) === region;
  return names.map((region) => {
    const has = inRegion(region);
    const local = (name: string): string => name.slice(region.length + 1);
    return {
      name: region,
      states: machine.states
        .filter(({ name }) => has(name))
        .map((state) => ({ ...state, name: local(state.name) })),
      arcs: machine.arcs
        .filter(({ from }) => has(from))
        .map((arc) => ({ ...arc, from: local(arc.from), to: local(arc.to) })),
    };
  });
}

const regionName = (state: string): string => (state.includes('.') ? state.slice(0, state.indexOf('.')) : '');

function deviceDiagrams(entry: MachineEntry): Html {
  return html`<p>An arrow is one arc of the FSM. Requests over several of them are in the matrix.</p>
${[...entry.capabilitySets].reverse().map((caps, index) => {
  const { arcs } = describeEntry(entry, caps);
  const own = capabilityNames(caps).join(' + ');
  const moves = onlyMoves(arcs);
  const drawing = html`<figure>${scrolling(`Diagram for ${own}`, deviceDiagram(caps, moves, `${entry.title}: ${own}`))}<figcaption>${own}</figcaption></figure>`;
  return index === 0 ? drawing : html`<details><summary>${own}</summary>${drawing}</details>`;
})}`;
}

/** Arcs that lead elsewhere, one for each pair of states. */
function onlyMoves(arcs: readonly ArcDescription[]): ArcDescription[] {
  const seen = new Set<string>();
  return arcs.filter(({ from, to }) => {
    const key = `${from} ${to}`;
    if (from === to || to === 'ERROR' || from === 'ERROR' || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function regionDiagram(region: RegionDescription, named: boolean, isDevice: boolean): Html {
  // The first region of the device is what the diagrams above show, with each failure besides.
  if (isDevice && region.states.length > 5) return html``;
  const drawing = stateDiagram(region, `Region ${region.name}`);
  const title = named ? html`<h3>Region <code>${region.name}</code></h3>` : '';
  if (drawing === null)
    return html`${title}<p>It has ${region.states.length} states: too many to be drawn.</p>`;
  return html`${title}<figure>${scrolling(`Diagram of ${region.name}`, drawing)}</figure>`;
}

function statesTable(region: RegionDescription, named: boolean): Html {
  return html`${named ? html`<h3>Region <code>${region.name}</code></h3>` : ''}${scrolling(
    `States of ${region.name}`,
    html`<table><thead><tr><th scope="col">state</th><th scope="col">what it is</th></tr></thead><tbody>
${region.states.map(
  ({
    name,
    initial,
    description,
  }) => html`<tr><td><code>${name}</code>${initial ? html` <small>initial</small>` : ''}</td><td>${description}</td></tr>
`,
)}</tbody></table>`,
  )}`;
}

/** Arcs by the states that they join, with all their events. */
function arcsTable(region: RegionDescription, named: boolean): Html {
  const rows = new Map<string, { from: string; to: string; events: string[] }>();
  for (const { from, to, event, when } of region.arcs) {
    const key = `${from}\n${to}`;
    const row = rows.get(key) ?? { from, to, events: [] };
    row.events.push(when === undefined ? event : `${event} (while ${when})`);
    rows.set(key, row);
  }
  return html`${named ? html`<h3>Region <code>${region.name}</code></h3>` : ''}${scrolling(
    `Arcs of ${region.name}`,
    html`<table class="arcs"><thead><tr><th scope="col">from</th><th scope="col">to</th><th scope="col">events</th></tr></thead><tbody>
${[...rows.values()].map(
  ({
    from,
    to,
    events,
  }) => html`<tr><td><code>${from}</code></td><td>${from === to ? html`<small>stays</small>` : html`<code>${to}</code>`}</td><td class="events">${[...new Set(events)].map((event) => html`<code>${event}</code> `)}</td></tr>
`,
)}</tbody></table>`,
  )}`;
}

function clausesTable(
  path: string,
  regions: readonly RegionDescription[],
  rules: readonly MachinePageRule[],
): Html {
  const ids = new Set(
    regions.flatMap(({ states, arcs }) => [...states, ...arcs].map(({ clause }) => clause)),
  );
  const known = [...ids].filter((id): id is ClauseId => id in CLAUSES).sort();
  return scrolling(
    'Clauses',
    html`<table><thead><tr><th scope="col">clause</th><th scope="col">source</th><th scope="col">what it says</th><th scope="col">rules</th></tr></thead><tbody>
${known.map((id) => {
  const { source, text } = CLAUSES[id];
  const own = rules.filter((rule) => rule.clause.id === id);
  return html`<tr id="clause-${id.replace(/\W/g, '-')}"><td><code>${id}</code></td><td>${source}</td><td>${text}</td><td>${own.map((rule) => html`<a href="${linkTo(path, `rules/${rule.id}.html`)}" title="${rule.title}">${rule.id}</a> `)}</td></tr>
`;
})}</tbody></table>`,
  );
}

/** Calls about data, and the prefix of their events. */
const DATA_CALLS = [
  ['read()', 'READ.'],
  ['write()', 'WRITE.'],
  ['VFIO_MIG_GET_PRECOPY_INFO', 'PRECOPY_INFO.'],
  ['MIG_DATA_SIZE', 'DATA_SIZE.'],
] as const;

/** What read, write and queries may give, in each state and with each data transfer session. */
function dataTable(entry: MachineEntry, caps: CapabilitySet): Html {
  const automaton = compile(entry.make(caps));
  const outcome = (state: number, prefix: string): string[] =>
    automaton.events.flatMap((event, index) =>
      event.startsWith(prefix) && automaton.next[state * automaton.events.length + index]! >= 0
        ? [event.slice(prefix.length)]
        : [],
    );
  return html`<h2 id="data">Data in each state</h2>
<p>What a call may give: <em>data</em>, <em>end</em> (0 bytes), an error number, <em>error</em> (any). The session is that of the
data_fd that was given last. Nothing in a cell: the call cannot be made there.</p>
${scrolling(
  'Data in each state',
  html`<table><thead><tr><th scope="col">state</th><th scope="col">session</th>${DATA_CALLS.map(([call]) => html`<th scope="col"><code>${call}</code></th>`)}</tr></thead><tbody>
${automaton.states.map(
  (
    [state, session],
    index,
  ) => html`<tr><td><code>${state}</code></td><td>${session}</td>${DATA_CALLS.map(([, prefix]) => html`<td>${outcome(index, prefix).join(', ')}</td>`)}</tr>
`,
)}</tbody></table>`,
)}`;
}

/** The four capability sets, for those who list them. */
export const CAPABILITY_NAMES = CAPABILITY_SETS.map((caps) => capabilityNames(caps).join(' + '));
