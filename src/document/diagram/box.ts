/** What drawings share: sizes of text in the book's fonts, and numbers with few digits. */

/** Width of a character of the monospaced font of drawings, in its size of 12 pixels. */
const CHARACTER = 7.25;

/** Pixels that a text takes. */
export function textWidth(text: string, size = 12): number {
  return (text.length * CHARACTER * size) / 12;
}

/** A coordinate as SVG takes it. */
export function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** A text cut to so many characters, with dots where it was longer. */
export function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A smooth line through points. */
export function pathThrough(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return '';
  const start = `M${px(first.x)} ${px(first.y)}`;
  if (rest.length === 1) return `${start}L${px(rest[0]!.x)} ${px(rest[0]!.y)}`;
  const curves = rest.slice(0, -1).map((point, index) => {
    const next = rest[index + 1]!;
    const last = index === rest.length - 2;
    const end = last ? next : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    return `Q${px(point.x)} ${px(point.y)} ${px(end.x)} ${px(end.y)}`;
  });
  return start + curves.join('');
}
