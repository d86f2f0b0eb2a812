import type { LaneData, PageData } from '../validate/reporters/page-data.js';
import { AXIS, type Layout, laneBox, lanesWith, layoutOf, rowAt } from './layout.js';
import { spanAt, valueAt } from './level.js';
import { forgetStyles } from './looks.js';
import { MarkButtons } from './marks.js';
import { Painter, type View } from './painter.js';
import { PointerMoves } from './pointer.js';
import { amountText, durationText, timeText } from './text.js';

/** The closest that can be looked at, in microseconds. */
const CLOSEST = 20;
/** How much of the visible time is around a finding that is zoomed to, as a part of the whole. */
const AROUND = 1 / 50;

/** The elements that a timeline lives in. */
export interface TimelineElements {
  /** What scrolls. */
  readonly box: HTMLElement;
  /** What stays in view: canvas, marks and tip. */
  readonly stage: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly marks: HTMLElement;
  readonly tip: HTMLElement;
}

/** The timeline of the HTML report: lanes on a canvas, as much of them as can be seen. */
export class Timeline {
  readonly painter: Painter;
  readonly #marks: MarkButtons;
  #shown: readonly number[];
  #layout: Layout;
  #from = 0;
  #to: number;
  #frame = 0;
  #selected = -1;
  /** The finding whose mark gets the focus when it is painted. */
  #wanted = -1;

  constructor(
    readonly data: PageData,
    readonly elements: TimelineElements,
    hear: { describe(finding: number): string; pick(finding: number): void },
  ) {
    const { box, stage, canvas, marks } = elements;
    this.painter = new Painter(data);
    this.#marks = new MarkButtons(marks, hear.describe, hear.pick);
    this.#shown = data.lanes.map((_, index) => index);
    this.#layout = layoutOf(data, this.#shown, box.clientWidth);
    this.#to = data.end;
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener('scroll', () => this.draw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      forgetStyles();
      this.draw();
    });
    new PointerMoves(stage, canvas, {
      place: (x) => (x - this.#layout.label) / this.#layout.laneWidth,
      zoom: (factor, around) => this.zoom(factor, around),
      move: (pixels) => this.move(pixels / this.#layout.laneWidth),
      over: (x, y) => this.#tell(x, y),
      out: () => this.#hush(),
      hint: (text, x, y) => this.#say([text], x, y),
    });
    this.draw();
  }

  /** Draws with the next frame. */
  draw(): void {
    if (this.#frame === 0)
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#paint();
      });
  }

  /** Makes the visible time longer or shorter, around a place from 0 to 1. */
  zoom(factor: number, around = 0.5): void {
    const span = this.#to - this.#from;
    const next = Math.min(this.data.end, Math.max(Math.min(CLOSEST, this.data.end), span * factor));
    this.#show(this.#from + (span - next) * around, next);
  }

  /** Moves by a part of the visible time. */
  move(part: number): void {
    const span = this.#to - this.#from;
    this.#show(this.#from + span * part, span);
  }

  /** Shows the whole time. */
  all(): void {
    this.#show(0, this.data.end);
  }

  /** Goes near to the finding that is selected. */
  near(): void {
    const mark = this.data.marks.find(({ finding }) => finding === this.#selected);
    if (mark === undefined) return;
    const span = Math.max(Math.min(CLOSEST, this.data.end), this.data.end * AROUND);
    this.#show(mark.t - span / 2, span);
  }

  /** Shows only lanes that a text is in the name of; returns how many. */
  filter(text: string): number {
    this.#shown = lanesWith(this.data, text);
    this.elements.box.scrollTop = 0;
    this.draw();
    return this.#shown.length;
  }

  /** Marks a finding and brings it into view. */
  select(finding: number): void {
    this.#selected = finding;
    const mark = this.data.marks.find((each) => each.finding === finding);
    const row = this.#layout.rows.find(({ lane }) => lane === mark?.lane);
    const span = this.#to - this.#from;
    if (mark !== undefined && (mark.t < this.#from || mark.t > this.#to)) this.#show(mark.t - span / 2, span);
    const { box } = this.elements;
    if (row !== undefined) {
      const room = box.clientHeight - AXIS;
      if (row.top < box.scrollTop || row.top + row.height > box.scrollTop + room)
        box.scrollTop = Math.max(0, row.top - room / 2);
    }
    this.draw();
  }

  /** Moves the focus to the mark of a finding, as soon as that is painted. */
  focusMark(finding: number): void {
    this.#wanted = finding;
    this.draw();
  }

  /** Whether the focus is in the timeline. */
  get hasFocus(): boolean {
    return this.elements.box.contains(document.activeElement);
  }

  /** What is visible, and what it cost to draw; for those who want to know. */
  get view(): View & { lanes: number; visited: number } {
    return {
      from: this.#from,
      to: this.#to,
      lanes: this.#shown.length,
      selected: this.#selected,
      visited: this.painter.visited,
    };
  }

  /** The rows of another width: for paper. */
  layoutFor(width: number): Layout {
    return layoutOf(this.data, this.#shown, width);
  }

  #show(from: number, span: number): void {
    this.#from = Math.min(Math.max(0, from), this.data.end - span);
    this.#to = this.#from + span;
    this.#hush();
    this.draw();
  }

  #paint(): void {
    const { box, stage, canvas } = this.elements;
    const width = box.clientWidth;
    this.#layout = this.layoutFor(width);
    box.style.setProperty('--height', `${this.#layout.height + AXIS}px`);
    const height = Math.min(this.#layout.height + AXIS, box.clientHeight);
    stage.style.height = `${height}px`;
    const part = { top: box.scrollTop, height, scale: devicePixelRatio || 1 };
    const spots = this.painter.paint(canvas, this.#layout, this.view, part);
    this.#marks.update(spots, this.#selected);
    if (this.#wanted >= 0 && this.#marks.focus(this.#wanted)) this.#wanted = -1;
  }

  /** Says what is under the pointer. */
  #tell(x: number, y: number): void {
    const row = y < AXIS ? undefined : rowAt(this.#layout, y - AXIS + this.elements.box.scrollTop);
    const lane = row === undefined ? undefined : this.data.lanes[row.lane];
    if (row === undefined || lane === undefined) {
      this.#hush();
      return;
    }
    const box = laneBox(row, this.#layout);
    const inLane = x >= this.#layout.label && y - AXIS + this.elements.box.scrollTop >= box.top;
    const host = this.data.hosts[lane.host]!.id;
    const name = lane.kind === 'device' ? `${host}/${lane.title}` : `${host}, ${lane.title}`;
    if (!inLane) {
      this.#say([name], x, y);
      return;
    }
    const part = Math.min(1, (x - this.#layout.label) / this.#layout.laneWidth);
    const t = this.#from + part * (this.#to - this.#from);
    this.#say([this.#content(lane, t), `${name}; at ${timeText(Math.round(t))}`], x, y);
  }

  #content({ spans, points, unit }: LaneData, t: number): string {
    if (points !== undefined) {
      const value = valueAt(points, t);
      return value === undefined ? 'not known' : amountText(value, unit);
    }
    if (spans === undefined || spans.length === 0) return 'not known';
    // A pixel may hold more than the place of its middle.
    const index = Math.max(0, spanAt(spans, t + (this.#to - this.#from) / this.#layout.laneWidth / 2));
    const [name, start, end] = spans.slice(index, index + 3) as [number, number, number];
    if (t > end || start > this.#to) return 'not known';
    return `${this.data.names[name]} for ${durationText(end - start)}, from ${timeText(start)}`;
  }

  #say(lines: readonly string[], x: number, y: number): void {
    const { tip, stage } = this.elements;
    tip.replaceChildren(
      ...lines.map((line) => {
        const element = document.createElement('div');
        element.textContent = line;
        return element;
      }),
    );
    tip.hidden = false;
    const left = Math.max(4, Math.min(x + 14, stage.clientWidth - tip.offsetWidth - 4));
    const below = y + 18 + tip.offsetHeight < stage.clientHeight;
    const top = below ? y + 18 : Math.max(0, y - tip.offsetHeight - 10);
    tip.style.transform = `translate(${left}px, ${top}px)`;
  }

  #hush(): void {
    this.elements.tip.hidden = true;
  }
}
