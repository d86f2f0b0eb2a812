import type { PageData } from '../validate/reporters/page-data.js';
import { type Look, paintLook, style } from './looks.js';
import { paintSign } from './painter.js';

const WIDTH = 26;
const HEIGHT = 16;
const DENSE = 1000;

/** Writes what colours, patterns and signs stand for: those that the report has. */
export function paintLegend(
  list: HTMLElement,
  { names, marks, lanes }: PageData,
  looks: readonly Look[],
): void {
  const byLook = new Map<string, { look: Look; names: string[] }>();
  for (const [index, name] of names.entries()) {
    const look = looks[index]!;
    const key = `${look.color} ${look.pattern}`;
    const entry = byLook.get(key) ?? { look, names: [] };
    entry.names.push(name);
    byLook.set(key, entry);
  }
  const states = [...byLook.values()]
    .sort((a, b) => a.look.order - b.look.order)
    .map((entry) =>
      // States of devices, in capitals, stand before those of hosts.
      item(entry.names.sort().join(', '), (context) => paintLook(context, entry.look, 0, 0, WIDTH, HEIGHT)),
    );
  const levels = (['must', 'should', 'note'] as const)
    .filter((level) => marks.some((mark) => mark.level === level))
    .map((level) =>
      item(`finding: ${level}`, (context) => paintSign(context, level, WIDTH / 2, HEIGHT / 2, 7)),
    );
  // Only with so many can a column of the screen have more than it can show.
  const many = lanes.some(({ spans = [] }) => spans.length > 3 * DENSE)
    ? [
        item('too many to show: zoom in', (context) => {
          context.fillStyle = style('--edge');
          context.fillRect(0, 0, WIDTH, HEIGHT);
        }),
      ]
    : [];
  list.replaceChildren(...states, ...many, ...levels);
}

function item(text: string, paint: (context: CanvasRenderingContext2D) => void): HTMLLIElement {
  const canvas = document.createElement('canvas');
  canvas.width = 2 * WIDTH;
  canvas.height = 2 * HEIGHT;
  canvas.setAttribute('aria-hidden', 'true');
  const context = canvas.getContext('2d')!;
  context.scale(2, 2);
  context.strokeStyle = 'transparent';
  paint(context);
  const element = document.createElement('li');
  element.append(canvas, document.createTextNode(text));
  return element;
}
