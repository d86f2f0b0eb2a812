import { cut, WIDTH, wrap } from '../../text/words.js';
import type { Action, Model } from '../model.js';
import type { Path } from '../result.js';
import type { Changes } from './changes.js';
import { actionsOf, columnsOf, lanesOf, SHAFT } from './lanes.js';

/** What a sequence chart shows beside its arrows. */
export interface ChartOptions {
  /** What each action changed: printed below its step. */
  readonly changes?: readonly Changes[] | undefined;
}

/**
 * A run as a sequence chart for a terminal, at most 100 columns wide: a lane for each party, an arrow or a
 * note for each step with its number. Lanes stand under their names.
 */
export function chartText(model: Model, path: Path, { changes }: ChartOptions = {}): string[] {
  const actions = actionsOf(model, path);
  // Numbers, and two spaces.
  const margin = String(actions.length).length + 2;
  const indent = ' '.repeat(margin);
  const canvas = new Canvas(actions, WIDTH - margin);
  const lines = actions.flatMap(({ chart }, index) => [
    ...(index === path.loop ? [`${indent}-- from here on without end --`] : []),
    ...canvas
      .step(chart)
      .map((row, at) => `${(at === 0 ? `${index + 1}` : '').padStart(margin - 2)}  ${row}`),
    ...changeLines(changes?.[index] ?? {}, `${indent}  `),
  ]);
  const head = actions.length === 0 ? ['(the initial state)'] : canvas.head;
  const end = endLines(path).map((line) => `-- ${line} --`);
  return [...head.map((line) => indent + line), ...lines, ...end.map((line) => indent + line)];
}

function changeLines(changes: Changes, indent: string): string[] {
  const parts = Object.entries(changes).map(([name, value]) => `${name} = ${value}`);
  return wrap(parts.join(', '), WIDTH - indent.length).map((line) => `${indent}${line}`);
}

function endLines({ actions, end, loop }: Path): string[] {
  if (end === 'deadlock') return ['nothing more can happen'];
  if (loop === null) return [];
  return [loop < actions.length ? `and again from step ${loop + 1}` : 'and nothing more has to happen'];
}

/** Draws steps between lanes. */
class Canvas {
  readonly #lanes: readonly string[];
  readonly #columns: ReadonlyMap<string, number>;

  constructor(
    actions: readonly Action[],
    readonly room: number,
  ) {
    this.#lanes = lanesOf(actions);
    this.#columns = columnsOf(this.#lanes, actions, room);
  }

  /** The names of the lanes, each before the next begins: in several rows when they are too long for one. */
  get head(): string[] {
    const ends = [...this.#columns.values(), this.room + 1].slice(1);
    const names = this.#lanes.map((lane, index) => {
      const width = ends[index]! - this.#columns.get(lane)! - 1;
      return wrap(lane, width).map((word) => cutTo(width, word));
    });
    return Array.from({ length: Math.max(...names.map((rows) => rows.length)) }, (_, at) => {
      const row = this.#row(' ');
      for (const [index, lane] of this.#lanes.entries())
        put(row, this.#columns.get(lane)!, names[index]![at] ?? '');
      return this.#line(row);
    });
  }

  /** An arrow, with its text above it where it does not fit into it; or a note, over the lanes beside it. */
  step({ from, to, text }: Action['chart']): string[] {
    const start = this.#columns.get(from)!;
    const end = this.#columns.get(to ?? from)!;
    const [left, right] = [Math.min(start, end), Math.max(start, end)];
    if (left === right) return [this.#note(left, text)];
    const row = this.#row('|');
    const shaft = '-'.repeat(Math.max(0, right - left - 2));
    put(row, left + 1, start < end ? `${shaft}>` : `<${shaft}`);
    const spare = right - left + 1 - SHAFT - text.length;
    if (spare < -1) return [this.#over(left + 1, ` ${text} `), this.#line(row)];
    put(row, left + (spare < 0 ? 2 : 3), ` ${text} `);
    return [this.#line(row)];
  }

  /** At its lane, the text on the right of it; on the left where there is more room for it. */
  #note(column: number, text: string): string {
    const [before, after] = [column - 2, this.room - column - 2];
    if (text.length <= after || before <= after) return this.#over(column, `* ${cutTo(after, text)} `);
    const shown = cutTo(before, text);
    return this.#over(column - shown.length - 2, ` ${shown} *`);
  }

  /** Text over lanes, moved to the left where it would not end in time. */
  #over(column: number, text: string): string {
    const row = this.#row('|');
    const shown = cutTo(this.room, text.trimEnd());
    put(row, Math.max(0, Math.min(column, this.room - shown.length)), `${shown} `);
    return this.#line(row);
  }

  #row(lane: string): string[] {
    const row = new Array<string>(this.room).fill(' ');
    for (const column of this.#columns.values()) row[column] = lane;
    return row;
  }

  #line(row: readonly string[]): string {
    return row.slice(0, this.room).join('').trimEnd();
  }
}

/** With dots where there is room for them. */
function cutTo(length: number, text: string): string {
  return length < 6 ? text.slice(0, Math.max(0, length)) : cut(text, length);
}

function put(row: string[], column: number, text: string): void {
  for (let offset = 0; offset < text.length; offset++) row[column + offset] = text[offset]!;
}
