import { type Html, html } from '../../text/html.js';
import { bytes as bytesText } from '../../text/words.js';
import type { Lane, Sequence, Step } from '../sequence.js';
import { cut, px, textWidth } from './box.js';

const LANE = 178;
const HEAD = 52;
const ROW = 28;
/** Rows of one drawing: what a sheet of paper holds. */
const ROWS = 30;
const SIZE = 11.5;

/** A sequence chart as SVG drawings, each with the names of its lanes on top: together they are the whole run. */
export function sequenceChart({ lanes, steps }: Sequence, title: string): Html[] {
  const charts: Html[] = [];
  for (let at = 0; at < steps.length; at += ROWS)
    charts.push(
      chart(
        lanes,
        steps.slice(at, at + ROWS),
        `${title}, steps ${at + 1} to ${Math.min(at + ROWS, steps.length)}`,
      ),
    );
  return charts;
}

function chart(lanes: readonly Lane[], steps: readonly Step[], label: string): Html {
  const width = lanes.length * LANE;
  const height = HEAD + steps.length * ROW + 12;
  return html`<svg class="diagram sequence" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${label}">
<defs><marker id="tip" class="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>
${lanes.map((lane, index) => head(lane, index, height))}
${steps.map((step, index) => row(step, HEAD + index * ROW + ROW / 2))}
</svg>`;
}

const middle = (lane: number): number => lane * LANE + LANE / 2;

function head({ title, host, kind }: Lane, index: number, height: number): Html {
  const x = middle(index);
  const [first, second] = kind === 'vmm' ? [title, 'VMM'] : [title, `on ${host}`];
  return html`<g class="lane ${kind}"><line x1="${x}" y1="${HEAD - 6}" x2="${x}" y2="${height - 4}"/><rect x="${px(x - 66)}" y="4" width="132" height="${HEAD - 12}" rx="6"/><text x="${x}" y="20" text-anchor="middle">${cut(first, 17)}</text><text class="under" x="${x}" y="35" text-anchor="middle">${cut(second, 17)}</text></g>
`;
}

function row(step: Step, y: number): Html {
  const text = textOf(step);
  if (step.to === null) return note(step, text, y);
  const [from, to] = [middle(step.from), middle(step.to)];
  const room = Math.abs(to - from) - 20;
  const fitting = cut(text, Math.floor((room * 12) / 7.25 / SIZE));
  const wide = textWidth(fitting, SIZE) + 6;
  const x = (from + to) / 2;
  return html`<g class="message ${step.kind}"><title>${text}</title><path d="M${from} ${px(y + 6)}L${px(to + (to > from ? -1 : 1))} ${px(y + 6)}" marker-end="url(#tip)"/><rect x="${px(x - wide / 2)}" y="${px(y - 10)}" width="${px(wide)}" height="14"/><text x="${px(x)}" y="${px(y + 1)}" text-anchor="middle">${fitting}</text></g>
`;
}

function note(step: Step, text: string, y: number): Html {
  const fitting = cut(text, Math.floor(((LANE - 16) * 12) / 7.25 / SIZE));
  const wide = textWidth(fitting, SIZE) + 14;
  const x = middle(step.from);
  return html`<g class="note ${step.kind}"><title>${text}</title><rect x="${px(x - wide / 2)}" y="${px(y - 10)}" width="${px(wide)}" height="20" rx="${step.kind === 'state' ? 10 : 3}"/><text x="${px(x)}" y="${px(y + 4)}" text-anchor="middle">${fitting}</text></g>
`;
}

function textOf({ text, times, bytes }: Step): string {
  const amount = bytes > 0 ? ` ${bytesText(bytes)}` : '';
  return `${text}${amount}${times > 1 ? ` ×${times}` : ''}`;
}
