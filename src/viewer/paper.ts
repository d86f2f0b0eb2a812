import { AXIS, type Layout } from './layout.js';
import { forgetStyles } from './looks.js';
import type { Timeline } from './timeline.js';

/** Width of what is printed, in CSS pixels: A4 within usual margins. */
const WIDTH = 718;
/** Height of a piece that fits on a page, and of the first, which has the head of the report above it. */
const HEIGHT = 880;
const FIRST = 640;
/** Most pieces: a thousand lanes are of no use on paper. */
const MOST = 12;
const SCALE = 2;

/** Has the timeline on paper as a drawing of its own: all lanes, in pieces that fit on pages, dark on white. */
export function printable(timeline: Timeline, paper: HTMLElement, restyle: () => void): void {
  const root = document.documentElement;
  addEventListener('beforeprint', () => {
    root.classList.add('paper');
    forgetStyles();
    const layout = timeline.layoutFor(WIDTH);
    const pieces = piecesOf(layout);
    const canvases = pieces.slice(0, MOST).map(({ top, height }) => {
      const canvas = document.createElement('canvas');
      timeline.painter.paint(canvas, layout, timeline.view, { top, height: height + AXIS, scale: SCALE });
      return canvas;
    });
    paper.replaceChildren(...canvases);
    if (pieces.length > MOST) {
      const note = document.createElement('p');
      note.textContent = 'More lanes are not printed: a filter chooses which are.';
      paper.append(note);
    }
    restyle();
  });
  addEventListener('afterprint', () => {
    root.classList.remove('paper');
    forgetStyles();
    paper.replaceChildren();
    restyle();
    timeline.draw();
  });
}

/** Cuts between rows. */
export function piecesOf({ rows }: Layout): { top: number; height: number }[] {
  const pieces: { top: number; height: number }[] = [];
  for (const { top, height } of rows) {
    const piece = pieces.at(-1);
    const most = pieces.length > 1 ? HEIGHT : FIRST;
    if (piece === undefined || top + height - piece.top > most) pieces.push({ top, height });
    else piece.height = top + height - piece.top;
  }
  return pieces;
}
