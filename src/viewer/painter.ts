import type { LaneData, MarkData, PageData } from '../validate/reporters/page-data.js';
import { AXIS, type Layout, laneBox, type Row } from './layout.js';
import { clustersOf, curveOf, type Extent, levelOf, MANY, ticksOf } from './level.js';
import { type Look, looksOf, paintLook, pixelOf, style } from './looks.js';
import { amountText, beginning, fitting, tickText } from './text.js';

/** Pixels between two numbers of the axis. */
const TICK = 110;
/** Marks that are nearer are drawn, and clicked, as one. */
const NEAR = 14;

/** What is looked at. */
export interface View {
  readonly from: number;
  readonly to: number;
  /** The finding that is selected; -1: none. */
  readonly selected: number;
}

/** Marks that are drawn as one, and where. */
export interface Spot {
  readonly x: number;
  /** From the top of the canvas. */
  readonly y: number;
  readonly height: number;
  readonly marks: readonly MarkData[];
}

/** What of the layout a canvas shows. */
export interface Part {
  /** Rows of the layout above the canvas, in pixels. */
  readonly top: number;
  readonly height: number;
  readonly scale: number;
}

/** Paints rows of the timeline on a canvas. */
export class Painter {
  readonly looks: readonly Look[];
  /** Spans that the last painting looked at: a bound for its work. */
  visited = 0;
  readonly #marks = new Map<number, MarkData[]>();
  /** Where a row of narrow bars is made. */
  readonly #row = document.createElement('canvas');
  /** Width of a character. */
  #character = 7;
  #context!: CanvasRenderingContext2D;
  #layout!: Layout;
  #extent!: Extent;
  #selected = -1;

  constructor(readonly data: PageData) {
    this.looks = looksOf(data.names);
    this.#row.height = 1;
    for (const mark of data.marks) {
      const own = this.#marks.get(mark.lane);
      if (own === undefined) this.#marks.set(mark.lane, [mark]);
      else own.push(mark);
    }
  }

  /** Paints the rows that a part shows, below an axis, and returns where marks are. */
  paint(canvas: HTMLCanvasElement, layout: Layout, view: View, part: Part): Spot[] {
    const context = canvas.getContext('2d')!;
    resize(canvas, layout.width, part);
    context.setTransform(part.scale, 0, 0, part.scale, 0, 0);
    this.#context = context;
    this.#layout = layout;
    this.#extent = { from: view.from, to: view.to, width: layout.laneWidth, scale: part.scale };
    this.#selected = view.selected;
    this.visited = 0;
    context.font = `12px ${style('--mono')}`;
    this.#character = context.measureText('M').width;
    context.textAlign = 'left';
    context.textBaseline = 'middle';
    const { step, ticks } = ticksOf(this.#extent, TICK);
    context.clearRect(0, 0, layout.width, part.height);
    this.#grid(ticks, part.height);
    const spots: Spot[] = [];
    for (const row of layout.rows) {
      const y = row.top - part.top + AXIS;
      if (y + row.height <= 0 || y >= part.height) continue;
      const placed = { ...row, top: y };
      if (row.lane < 0) this.#host(placed);
      else spots.push(...this.#lane(placed));
    }
    this.#axis(step, ticks);
    return spots.filter(({ y }) => y >= AXIS - 8);
  }

  #x(t: number): number {
    const { from, to, width } = this.#extent;
    return this.#layout.label + ((t - from) / (to - from)) * width;
  }

  /** Lines of the time axis, over the whole height. */
  #grid(ticks: readonly number[], height: number): void {
    const context = this.#context;
    context.fillStyle = style('--line');
    for (const t of ticks) context.fillRect(Math.round(this.#x(t)), AXIS, 1, height - AXIS);
  }

  /** The axis stays on top of lanes that are scrolled below it. */
  #axis(step: number, ticks: readonly number[]): void {
    const context = this.#context;
    const { label, laneWidth, width } = this.#layout;
    context.fillStyle = style('--paper');
    context.fillRect(0, 0, width, AXIS);
    context.fillStyle = style('--line');
    context.fillRect(0, AXIS - 1, width, 1);
    context.fillStyle = style('--soft');
    for (const t of ticks) {
      const text = tickText(t, step);
      const x = this.#x(t) + 4;
      if (x + text.length * this.#character > label + laneWidth) continue;
      context.fillRect(Math.round(this.#x(t)), AXIS - 6, 1, 6);
      context.fillText(text, x, AXIS / 2);
    }
    this.#visiblePart();
  }

  /** Where in the whole time that is what can be seen, as soon as it is not all of it. */
  #visiblePart(): void {
    const { from, to } = this.#extent;
    const { end } = this.data;
    if (to - from >= end) return;
    const { label, laneWidth } = this.#layout;
    const context = this.#context;
    context.fillStyle = style('--line');
    context.fillRect(label, 0, laneWidth, 3);
    context.fillStyle = style('--link');
    const wide = Math.max(4, ((to - from) / end) * laneWidth);
    context.fillRect(label + Math.min(laneWidth - wide, (from / end) * laneWidth), 0, wide, 3);
  }

  /** The head of a host's lanes. */
  #host({ top, height, host }: Row): void {
    const context = this.#context;
    const { id, about } = this.data.hosts[host]!;
    context.fillStyle = style('--fill');
    context.fillRect(0, top + 4, this.#layout.width, height - 8);
    context.fillStyle = style('--ink');
    context.font = `bold 12px ${style('--mono')}`;
    const name = fitting(id, Math.floor((this.#layout.width - 16) / this.#character));
    context.fillText(name, 8, top + height / 2 + 0.5);
    context.font = `12px ${style('--mono')}`;
    const x = 8 + (name.length + 1) * this.#character;
    const room = Math.floor((this.#layout.width - x - 8) / this.#character);
    context.fillStyle = style('--soft');
    context.fillText(fitting(about, room), x, top + height / 2 + 0.5);
  }

  #lane(row: Row): Spot[] {
    const lane = this.data.lanes[row.lane]!;
    const box = laneBox(row, this.#layout);
    if (lane.points !== undefined) this.#curve(lane, box.top, box.height);
    else if (lane.spans?.length) this.#spans(lane.spans, box.top, box.height);
    else this.#ground('no states over time', this.#layout.label, box.top + box.height / 2, '--soft');
    this.#name(lane, row);
    return this.#marksOf(row.lane, box.top, box.height);
  }

  #text(text: string, x: number, y: number, color: string): void {
    this.#context.fillStyle = style(color);
    this.#context.fillText(text, x, y + 0.5);
  }

  /** The name of a lane, and of a curve how much its top is. */
  #name(lane: LaneData, row: Row): void {
    const { label, lead, laneWidth } = this.#layout;
    const color = lane.kind === 'device' ? '--ink' : '--soft';
    const most = lane.points === undefined ? '' : `to ${amountText(highest(lane.points), lane.unit)}`;
    if (lead > 0) {
      const room = Math.floor((laneWidth - 4) / this.#character) - (most === '' ? 0 : most.length + 1);
      this.#text(fitting(lane.title, room), 4, row.top + lead / 2 + 2, color);
      if (most !== '') {
        const x = laneWidth - most.length * this.#character;
        this.#text(most, x, row.top + lead / 2 + 2, '--soft');
      }
      return;
    }
    const room = Math.floor((label - 24) / this.#character);
    const middle = row.top + row.height / 2;
    this.#text(fitting(lane.title, room), 16, most === '' ? middle : middle - 8, color);
    if (most !== '') this.#text(most, 16, middle + 8, '--soft');
  }

  /** Bars. Those that are too narrow for a border are painted as columns of an image: there may be very many. */
  #spans(spans: readonly number[], y: number, height: number): void {
    const { bars, columns, visited } = levelOf(spans, this.#extent);
    this.visited += visited;
    this.#columns(columns, y, height);
    for (const { name, x, width } of bars) {
      const left = this.#layout.label + x;
      paintLook(this.#context, this.looks[name]!, left, y, width, height);
      this.#caption(this.data.names[name]!, left, y, width, height);
    }
  }

  /** A row of pixels, drawn as high as the lane. */
  #columns(columns: Uint32Array, y: number, height: number): void {
    let some = false;
    for (let at = 0; at < columns.length; at++) {
      const name = columns[at]!;
      if (name === 0) continue;
      some = true;
      columns[at] = pixelOf(this.#context, name === MANY ? '--edge' : this.looks[name - 1]!.color);
    }
    if (!some) return;
    const image = new ImageData(columns.length, 1);
    new Uint32Array(image.data.buffer).set(columns);
    if (this.#row.width !== columns.length) this.#row.width = columns.length;
    this.#row.getContext('2d')!.putImageData(image, 0, 0);
    this.#context.imageSmoothingEnabled = false;
    const wide = columns.length / this.#extent.scale;
    this.#context.drawImage(this.#row, this.#layout.label, y, wide, height);
    this.#context.fillStyle = style('--edge');
    let begin = -1;
    // Edges above and below, so that what is pale is seen too.
    for (let at = 0; at <= columns.length; at++) {
      const on = at < columns.length && columns[at] !== 0;
      if (on && begin < 0) begin = at;
      if (on || begin < 0) continue;
      const [x, width] = [begin / this.#extent.scale, (at - begin) / this.#extent.scale];
      this.#context.fillRect(this.#layout.label + x, y, width, 1);
      this.#context.fillRect(this.#layout.label + x, y + height - 1, width, 1);
      begin = -1;
    }
  }

  /** The name, on a ground of its own so that the pattern does not run through it. */
  #caption(name: string, x: number, y: number, width: number, height: number): void {
    const text = beginning(name, Math.floor((width - 12) / this.#character));
    if (text === '') return;
    this.#ground(text, x + 4, y + height / 2, '--ink');
  }

  /** A text on a ground of its own. */
  #ground(text: string, x: number, y: number, color: string): void {
    const context = this.#context;
    context.fillStyle = style('--paper');
    context.beginPath();
    context.roundRect(x, y - 8, text.length * this.#character + 6, 16, 3);
    context.fill();
    this.#text(text, x + 3, y, color);
  }

  /** Steps, and the area below them: a value holds until the next one is seen. */
  #curve({ points = [] }: LaneData, y: number, height: number): void {
    const columns = curveOf(points, this.#extent);
    this.visited += columns.length;
    const context = this.#context;
    const { label } = this.#layout;
    const most = Math.max(1, highest(points));
    const foot = y + height - 0.5;
    const at = (value: number): number => foot - 1 - (value / most) * (height - 4);
    context.fillStyle = style('--line');
    context.fillRect(label, y + height - 1, this.#layout.laneWidth, 1);
    const first = columns[0];
    if (first === undefined) return;
    const line = new Path2D();
    line.moveTo(label + first.x, at(first.high));
    let last = first.last;
    for (const { x, low, high, last: value } of columns) {
      line.lineTo(label + x, at(last));
      if (low !== high) {
        line.lineTo(label + x, at(high));
        line.lineTo(label + x, at(low));
      }
      line.lineTo(label + x, at(value));
      last = value;
    }
    // It goes on to the edge when its next point is beyond it.
    const end = points[points.length - 2]! > this.#extent.to ? this.#extent.width : columns.at(-1)!.x;
    line.lineTo(label + end, at(last));
    const area = new Path2D(line);
    area.lineTo(label + end, foot);
    area.lineTo(label + first.x, foot);
    context.fillStyle = style('--area');
    context.fill(area);
    context.strokeStyle = context.fillStyle = style('--curve');
    context.lineWidth = 1.5;
    context.stroke(line);
    if (columns.length > 1) return;
    // A single point is no line.
    context.beginPath();
    context.arc(label + end, at(last), 3, 0, 2 * Math.PI);
    context.fill();
  }

  #marksOf(lane: number, y: number, height: number): Spot[] {
    const { from, to } = this.#extent;
    const visible = (this.#marks.get(lane) ?? [])
      .filter(({ t }) => t >= from && t <= to)
      .map((mark) => ({ mark, x: this.#x(mark.t) }));
    return clustersOf(visible, NEAR).map(({ x, marks }) => {
      const spot = { x, y, height, marks: marks.map(({ mark }) => mark) };
      this.#mark(spot);
      return spot;
    });
  }

  /** A sign at the time of a finding, and a line through its lane. */
  #mark({ x, y, height, marks }: Spot): void {
    const context = this.#context;
    const chosen = marks.some(({ finding }) => finding === this.#selected);
    const level = LEVELS.find((each) => marks.some((mark) => mark.level === each)) ?? 'note';
    const color = style(COLORS[level]);
    context.fillStyle = color;
    context.fillRect(Math.round(x) - (chosen ? 1.5 : 1), y - 2, chosen ? 3 : 2, height + 4);
    context.lineWidth = 2;
    context.strokeStyle = style('--paper');
    paintSign(context, level, x, y + 2, chosen ? 9 : 7);
    if (marks.length > 1) {
      const text = String(marks.length);
      context.fillStyle = style('--paper');
      context.fillRect(x + 9, y - 5, text.length * this.#character + 4, 14);
      this.#text(text, x + 11, y + 2, COLORS[level]);
    }
  }
}

const LEVELS = ['must', 'should', 'note'] as const;
type MarkLevel = (typeof LEVELS)[number];
const COLORS: Readonly<Record<MarkLevel, string>> = { must: '--bad', should: '--warn', note: '--soft' };

/** The sign of a level: a triangle for must, a diamond for should, a dot for note. */
export function paintSign(
  context: CanvasRenderingContext2D,
  level: MarkLevel,
  x: number,
  y: number,
  size: number,
): void {
  context.fillStyle = style(COLORS[level]);
  context.beginPath();
  if (level === 'note') context.arc(x, y, size - 2, 0, 2 * Math.PI);
  else {
    const points: readonly (readonly [number, number])[] =
      level === 'must'
        ? [
            [-1, -0.8],
            [1, -0.8],
            [0, 0.9],
          ]
        : [
            [-1, 0],
            [0, -1],
            [1, 0],
            [0, 1],
          ];
    for (const [right, down] of points) context.lineTo(x + right * size, y + down * size);
    context.closePath();
  }
  context.stroke();
  context.fill();
}

function highest(points: readonly number[]): number {
  let most = 0;
  for (let index = 1; index < points.length; index += 2) most = Math.max(most, points[index]!);
  return most;
}

/** A canvas that gets a size, even the same, has to be made anew. */
function resize(canvas: HTMLCanvasElement, width: number, { height, scale }: Part): void {
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  if (canvas.width !== size.width) canvas.width = size.width;
  if (canvas.height !== size.height) canvas.height = size.height;
}
