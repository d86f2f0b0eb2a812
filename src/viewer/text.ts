/** Words for times, amounts and names on the canvas. */

/** A number without zeros at its end. */
function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

/** A time on the axis, exact to the microsecond. */
export function timeText(t: number): string {
  if (Math.abs(t) >= 1e6) return `${trimmed(t / 1e6, 6)} s`;
  if (Math.abs(t) >= 1e3) return `${trimmed(t / 1e3, 3)} ms`;
  return `${trimmed(t, 3)} µs`;
}

/** How long something takes: four digits are enough. */
export function durationText(t: number): string {
  if (t >= 1e6) return `${Number((t / 1e6).toPrecision(4))} s`;
  if (t >= 1e3) return `${Number((t / 1e3).toPrecision(4))} ms`;
  return `${trimmed(t, 3)} µs`;
}

/** The number at a tick: as many digits as two neighbours need to differ. */
export function tickText(t: number, step: number): string {
  if (t === 0) return '0';
  const [size, unit] = step >= 1e5 || t >= 1e6 ? [1e6, 's'] : step >= 100 ? [1e3, 'ms'] : [1, 'µs'];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
  return `${(t / size).toFixed(digits)} ${unit}`;
}

/** A value of a curve. */
export function amountText(value: number, unit: 'bytes' | 'pages' = 'bytes'): string {
  if (unit === 'pages') return `${value.toLocaleString('en')} ${value === 1 ? 'page' : 'pages'}`;
  const power = Math.min(5, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${Number((value / 1024 ** power).toPrecision(3))} ${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][power]}`;
}

/** A text of at most so many characters; what goes, goes from its middle, since names differ at their ends. */
export function fitting(text: string, most: number): string {
  const characters = [...text];
  if (characters.length <= most) return text;
  if (most < 2) return '';
  const head = Math.ceil((most - 1) / 2);
  const tail = most - 1 - head;
  return `${characters.slice(0, head).join('')}…${tail > 0 ? characters.slice(-tail).join('') : ''}`;
}

/** A text of at most so many characters, cut at its end; nothing when too little would be left to know it by. */
export function beginning(text: string, most: number): string {
  if (text.length <= most) return text;
  return most < 6 ? '' : `${text.slice(0, most - 1)}…`;
}
