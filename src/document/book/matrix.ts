import { type CapabilitySet, capabilityNames } from '../../machines/index.js';
import { type Html, html, scrolling } from '../../text/html.js';
import { MIG_STATES } from '../../uapi/vfio.js';
import { type MachineDescription, shortNames } from '../description.js';

/**
 * The matrix of requests: a row for the state that the device is in, a column for the state that is asked for. A
 * cell holds the states on the way, shortened; the last one is the column's. `data-path` has them in full.
 */
export function requestMatrix(machine: MachineDescription, caps: CapabilitySet): Html {
  const short = shortNames(MIG_STATES);
  const set = capabilityNames(caps).join(' + ');
  const granted = new Set(
    (machine.regions?.[0]?.arcs ?? machine.arcs).flatMap(({ from, event }) => {
      const [call, state] = event.split('.');
      return call === 'SET' ? [`${from} ${state}`] : [];
    }),
  );
  const cell = (from: string, to: string): Html => {
    const path = machine.paths?.[from]?.[to] ?? null;
    if (path === null || !granted.has(`${from} ${to}`))
      return html`<td class="refused" data-from="${from}" data-to="${to}" data-path="refused"><span aria-hidden="true">–</span><span class="unseen">refused</span></td>`;
    const kind = path.length === 0 ? 'same' : path.length === 1 ? 'arc' : 'way';
    const words = path.length === 0 ? '=' : path.map((state) => short.get(state) ?? state).join(' ');
    return html`<td class="${kind}" data-from="${from}" data-to="${to}" data-path="${path.join(' ')}" title="${from} to ${to}: ${path.length === 0 ? 'nothing changes' : path.join(', ')}">${words}</td>`;
  };
  return scrolling(
    `Matrix of requests for ${set}`,
    html`<table class="matrix" data-caps="${set}">
<caption>${set}: from the row's state, the states on the way to the column's</caption>
<thead><tr><td></td>${MIG_STATES.map((to) => html`<th scope="col">${to}<br><small>${short.get(to)}</small></th>`)}</tr></thead>
<tbody>${MIG_STATES.map(
      (from) => html`<tr><th scope="row">${from}</th>${MIG_STATES.map((to) => cell(from, to))}</tr>
`,
    )}</tbody></table>`,
  );
}
