import type { LaneData, MarkData, PageData } from '../validate/reporters/page-data.js';

/**
 * The timeline of the HTML report: lanes on a canvas, as much of them as can be seen. It is one file because it stands
 * in the page, where a script can import nothing.
 */

const LABEL = 212;
const HEIGHT = { status: 24, run: 24, device: 26, curve: 44 } as const;
const GAP = 5;
const AXIS = 22;
const NARROWEST = 420;
/** Bars below this are columns of colour. */
const NARROW = 8;
/** Most names of the legend: a trace may have as many statuses as it likes. */
const MOST_NAMES = 40;
/** Most pixels of lanes on paper. */
const MOST_PRINTED = 4000;
/** The closest that can be looked at, in microseconds. */
const CLOSEST = 20;

/** How states are told apart by shape too: strokes over the colour. */
type Pattern = 'plain' | 'rising' | 'falling' | 'level' | 'cross' | 'dots';

interface Look {
  readonly color: string;
  /** The same as a pixel of an image. */
  readonly pixel: number;
  readonly pattern: Pattern;
}

/** By name; what is not here is plain. States that save rise, those that are stopped are level, P2P has dots. */
const PATTERNS: readonly (readonly [RegExp, string, Pattern])[] = [
  [/^ERROR$|^failed$|^failing$/, '--error', 'cross'],
  [/_P2P$/, '--p2p', 'dots'],
  [/^PRE_COPY/, '--precopy', 'rising'],
  [/^STOP_COPY$|^device$/, '--stopcopy', 'falling'],
  [/^RESUMING$/, '--resuming', 'rising'],
  [/^STOP$|^paused$|^finish-migrate$/, '--stop', 'level'],
  [/^RUNNING$|^running$|^active$|^completed$/, '--running', 'plain'],
];

class Timeline {
  readonly #context: CanvasRenderingContext2D;
  readonly #looks = new Map<string, Look>();
  readonly #tiles = new Map<string, CanvasPattern | string>();
  /** Where a row of narrow bars is made. */
  readonly #row = document.createElement('canvas');
  #lanes: number[];
  #from = 0;
  #to: number;
  #frame = 0;
  #selected = -1;
  #whole = false;
  #scale = 1;
  /** Width of the canvas as it was drawn last: to ask the page for it would have it laid out anew. */
  #wide = 0;
  /** Width of a character. */
  #character = 7;

  constructor(
    readonly data: PageData,
    readonly box: HTMLElement,
    readonly canvas: HTMLCanvasElement,
    readonly under: HTMLElement,
  ) {
    this.#context = canvas.getContext('2d')!;
    this.#lanes = data.lanes.map((_, index) => index);
    this.#to = data.end;
    this.#row.height = 1;
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener('scroll', () => this.draw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#restyle());
    addEventListener('beforeprint', () => this.#print(true));
    addEventListener('afterprint', () => this.#print(false));
    this.#listen();
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
    const next = Math.min(this.data.end, Math.max(CLOSEST, span * factor));
    this.#show(this.#from + (span - next) * around, next);
  }

  /** Moves by a part of the visible time. */
  move(part: number): void {
    const span = this.#to - this.#from;
    this.#show(this.#from + span * part, span);
  }

  all(): void {
    this.#show(0, this.data.end);
  }

  /** Shows only lanes that a text is in. */
  filter(text: string): void {
    const wanted = text.toLowerCase();
    this.#lanes = this.data.lanes.flatMap(({ host, title, kind }, index) => {
      const name = kind === 'device' ? `${host}/${title}` : host;
      return name.toLowerCase().includes(wanted) ? [index] : [];
    });
    this.draw();
  }

  /** Marks a finding and brings it into view. */
  select(finding: number): void {
    this.#selected = finding;
    const mark = this.data.marks.find((each) => each.finding === finding);
    if (mark === undefined) {
      this.draw();
      return;
    }
    const span = this.#to - this.#from;
    if (mark.t < this.#from || mark.t > this.#to) this.#show(mark.t - span / 2, span);
    const place = this.#lanes.indexOf(mark.lane);
    if (place >= 0) {
      const top = this.#top(place);
      if (top < this.box.scrollTop || top > this.box.scrollTop + this.box.clientHeight - 60)
        this.box.scrollTop = Math.max(0, top - 40);
    }
    this.draw();
  }

  /** The states and statuses, each with its colour and pattern. */
  legend(list: HTMLElement): void {
    list.replaceChildren(
      ...this.data.names.slice(0, MOST_NAMES).map((name) => {
        const item = document.createElement('li');
        const swatch = document.createElement('canvas');
        [swatch.width, swatch.height] = [26, 14];
        const context = swatch.getContext('2d')!;
        const look = this.#look(name);
        for (const fill of [look.color, this.#tile(look)]) {
          context.fillStyle = fill;
          context.fillRect(0, 0, swatch.width, swatch.height);
        }
        item.append(swatch, name);
        return item;
      }),
    );
  }

  /** What is visible, for tests and for those who want to know. */
  get view(): { from: number; to: number; lanes: number; selected: number } {
    return { from: this.#from, to: this.#to, lanes: this.#lanes.length, selected: this.#selected };
  }

  #show(from: number, span: number): void {
    this.#from = Math.min(Math.max(0, from), this.data.end - span);
    this.#to = this.#from + span;
    this.draw();
  }

  #listen(): void {
    this.canvas.addEventListener(
      'wheel',
      (event) => {
        if (!event.ctrlKey && !event.metaKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
        event.preventDefault();
        if (event.ctrlKey || event.metaKey) this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.#place(event));
        else this.move(event.deltaX / 800);
      },
      { passive: false },
    );
    let dragged: { x: number; moved: boolean } | null = null;
    this.canvas.addEventListener('pointerdown', (event) => {
      dragged = { x: event.clientX, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener('pointermove', (event) => {
      if (dragged === null) {
        this.#tell(event);
        return;
      }
      const by = event.clientX - dragged.x;
      if (Math.abs(by) < 3 && !dragged.moved) return;
      dragged = { x: event.clientX, moved: true };
      this.move(-by / this.#width());
    });
    this.canvas.addEventListener('pointerup', (event) => {
      if (dragged !== null && !dragged.moved) this.#click(event);
      dragged = null;
    });
    this.canvas.addEventListener('pointerleave', () => {
      this.under.textContent = '';
    });
  }

  /** Where on the time axis a pointer is, from 0 to 1. */
  #place(event: MouseEvent): number {
    return Math.min(1, Math.max(0, (event.offsetX - this.#label()) / this.#width()));
  }

  #at(event: MouseEvent): { lane: number; t: number } | null {
    let y = event.offsetY + this.box.scrollTop - AXIS;
    for (const lane of this.#lanes) {
      const height = this.#height(lane);
      if (y < height)
        return y < 0 ? null : { lane, t: this.#from + this.#place(event) * (this.#to - this.#from) };
      y -= height;
    }
    return null;
  }

  /** Says what is under the pointer. */
  #tell(event: MouseEvent): void {
    const at = this.#at(event);
    const lane = at === null ? undefined : this.data.lanes[at.lane];
    if (at === null || lane === undefined) return;
    const where = `${lane.host}${lane.kind === 'device' ? `/${lane.title}` : ''}, ${timeText(at.t)}`;
    const index = lane.spans === undefined ? -1 : spanAt(lane.spans, at.t);
    if (index >= 0) {
      const [name, start, end] = lane.spans!.slice(index, index + 3) as [number, number, number];
      if (at.t <= end) {
        this.under.textContent = `${where}: ${this.data.names[name]} for ${timeText(end - start)}`;
        return;
      }
    }
    this.under.textContent = `${where}: ${lane.kind === 'curve' ? lane.title : 'not known'}`;
  }

  /** A click near a mark opens its finding. */
  #click(event: MouseEvent): void {
    const at = this.#at(event);
    if (at === null) return;
    const near = (8 * (this.#to - this.#from)) / this.#width();
    const marks = this.data.marks.filter(({ lane, t }) => lane === at.lane && Math.abs(t - at.t) <= near);
    const nearest = marks.sort((a, b) => Math.abs(a.t - at.t) - Math.abs(b.t - at.t))[0];
    if (nearest !== undefined)
      document.dispatchEvent(
        new CustomEvent('finding', { detail: { number: nearest.finding, from: 'timeline' } }),
      );
  }

  #label(): number {
    return this.#wide < NARROWEST ? 0 : LABEL;
  }

  /** What a lane takes; where there is no room beside it, its name stands above it. */
  #height(lane: number): number {
    return HEIGHT[this.data.lanes[lane]!.kind] + GAP + this.#lead();
  }

  #lead(): number {
    return this.#label() > 0 ? 0 : 16;
  }

  #width(): number {
    return Math.max(1, this.#wide - this.#label() - 8);
  }

  #top(place: number): number {
    return this.#lanes.slice(0, place).reduce((sum, lane) => sum + this.#height(lane), AXIS);
  }

  #print(on: boolean): void {
    this.#whole = on;
    this.#forget();
    this.#paint();
  }

  #restyle(): void {
    this.#forget();
    this.draw();
    this.legend(document.getElementById('legend')!);
  }

  /** Colours are looked up anew. */
  #forget(): void {
    styles.clear();
    this.#looks.clear();
    this.#tiles.clear();
  }

  #paint(): void {
    this.#wide = this.box.clientWidth;
    const height = this.#top(this.#lanes.length);
    this.box.style.setProperty('--height', `${height}px`);
    const visible = Math.min(height, this.#whole ? MOST_PRINTED : this.box.clientHeight);
    const width = this.box.clientWidth;
    this.#wide = width;
    this.#resize(width, visible);
    this.#context.font = `12px ${style('--mono')}`;
    this.#character = this.#context.measureText('M').width;
    this.#axis(width, visible);
    const top = this.#whole ? 0 : this.box.scrollTop;
    let y = AXIS - top;
    for (const lane of this.#lanes) {
      if (y + this.#height(lane) > 0 && y < visible)
        this.#lane(this.data.lanes[lane]!, lane, y + this.#lead());
      y += this.#height(lane);
    }
    this.#head(width);
  }

  /** A canvas that gets a size, even the same, has to be made anew. */
  #resize(width: number, height: number): void {
    const scale = devicePixelRatio || 1;
    const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
    this.canvas.style.height = `${height}px`;
    if (this.canvas.width !== size.width) this.canvas.width = size.width;
    if (this.canvas.height !== size.height) this.canvas.height = size.height;
    this.#scale = scale;
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
  }

  /** Lines of the time axis, over the whole height. */
  #axis(width: number, height: number): void {
    const context = this.#context;
    context.clearRect(0, 0, width, height);
    context.strokeStyle = style('--line');
    context.lineWidth = 1;
    for (const t of this.#ticks()) {
      const x = Math.round(this.#x(t)) + 0.5;
      context.beginPath();
      context.moveTo(x, AXIS);
      context.lineTo(x, height);
      context.stroke();
    }
  }

  /** The axis stays on top of lanes that are scrolled below it. */
  #head(width: number): void {
    const context = this.#context;
    context.fillStyle = style('--paper');
    context.fillRect(0, 0, width, AXIS - 2);
    context.fillStyle = style('--soft');
    context.textBaseline = 'middle';
    context.textAlign = 'left';
    for (const t of this.#ticks()) context.fillText(timeText(t), this.#x(t) + 3, AXIS / 2);
  }

  #ticks(): number[] {
    const span = this.#to - this.#from;
    const rough = span / Math.max(2, Math.floor(this.#width() / 110));
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough) ?? rough;
    const ticks: number[] = [];
    for (let t = Math.ceil(this.#from / step) * step; t <= this.#to; t += step)
      if (this.#x(t) < this.#label() + this.#width() - 55) ticks.push(t);
    return ticks;
  }

  #x(t: number): number {
    return this.#label() + ((t - this.#from) / (this.#to - this.#from)) * this.#width();
  }

  #lane(data: LaneData, lane: number, y: number): void {
    const height = HEIGHT[data.kind];
    if (data.spans !== undefined) this.#spans(data.spans, y, height);
    if (data.points !== undefined) this.#curve(data, y, height);
    this.#marks(lane, y, height);
    const context = this.#context;
    const label = this.#label();
    const text = data.kind === 'device' ? data.title : `${data.host}: ${data.title}`;
    context.textBaseline = 'middle';
    context.textAlign = 'left';
    if (label > 0) {
      context.fillStyle = style('--paper');
      context.fillRect(0, y - GAP, label - 2, height + GAP);
    }
    context.fillStyle = style(data.kind === 'device' ? '--ink' : '--soft');
    const room = label > 0 ? label - 12 : this.#width() - (data.kind === 'curve' ? 120 : 4);
    context.fillText(
      fitting(text, room, this.#character),
      2,
      label > 0 ? y + height / 2 : y - this.#lead() / 2,
    );
  }

  /** Bars. Those that are too narrow for a border are painted as columns of an image: there may be very many. */
  #spans(spans: readonly number[], y: number, height: number): void {
    const [left, right] = [this.#label(), this.#label() + this.#width()];
    const columns = new Uint32Array(Math.ceil(this.#width() * this.#scale));
    const wide: { name: string; x: number; width: number }[] = [];
    let index = Math.max(0, spanAt(spans, this.#from));
    while (index < spans.length && spans[index + 1]! <= this.#to) {
      const name = this.data.names[spans[index]!]!;
      const x = Math.max(left, this.#x(spans[index + 1]!));
      const end = Math.min(right, this.#x(spans[index + 2]!));
      if (end - x >= NARROW) wide.push({ name, x, width: end - x });
      else if (end >= left) {
        const first = Math.floor((x - left) * this.#scale);
        columns.fill(
          this.#look(name).pixel,
          first,
          Math.max(first + 1, Math.round((end - left) * this.#scale)),
        );
      }
      // What begins in the same column of the screen is not to be seen.
      const next = this.#from + ((Math.floor(x) + 1 - left) / this.#width()) * (this.#to - this.#from);
      index = end - x <= 1 ? Math.max(index + 3, spanAt(spans, next)) : index + 3;
    }
    this.#columns(columns, left, y, height);
    for (const { name, x, width } of wide) this.#bar(name, x, y, width, height);
  }

  /** A row of pixels, drawn as high as the lane. */
  #columns(columns: Uint32Array, left: number, y: number, height: number): void {
    if (!columns.some((pixel) => pixel !== 0)) return;
    const image = new ImageData(columns.length, 1);
    new Uint32Array(image.data.buffer).set(columns);
    if (this.#row.width !== columns.length) this.#row.width = columns.length;
    this.#row.getContext('2d')!.putImageData(image, 0, 0);
    this.#context.imageSmoothingEnabled = false;
    this.#context.drawImage(this.#row, left, y, columns.length / this.#scale, height);
  }

  #bar(name: string, x: number, y: number, width: number, height: number): void {
    const context = this.#context;
    const look = this.#look(name);
    context.fillStyle = look.color;
    context.fillRect(x, y, width, height);
    context.fillStyle = this.#tile(look);
    context.fillRect(x, y, width, height);
    context.strokeStyle = style('--ink');
    context.lineWidth = 0.5;
    context.strokeRect(x + 0.25, y + 0.25, width - 0.5, height - 0.5);
    if (width > 34) this.#caption(name, x, y, width, height);
  }

  /** The name, on a ground of its own so that the pattern does not run through it. */
  #caption(name: string, x: number, y: number, width: number, height: number): void {
    const context = this.#context;
    const text = fitting(name, width - 10, this.#character);
    if (text.length < 3 && text !== name) return;
    const wide = text.length * this.#character;
    context.fillStyle = style('--paper');
    context.fillRect(x + 4, y + height / 2 - 8, wide + 6, 16);
    context.fillStyle = style('--ink');
    context.textBaseline = 'middle';
    context.textAlign = 'left';
    context.fillText(text, x + 7, y + height / 2 + 0.5);
  }

  #curve({ points = [], unit }: LaneData, y: number, height: number): void {
    const context = this.#context;
    let most = 1;
    for (let index = 1; index < points.length; index += 2) most = Math.max(most, points[index]!);
    const at = (value: number): number => y + height - 2 - (value / most) * (height - 16);
    context.strokeStyle = style('--curve');
    context.lineWidth = 1.5;
    context.beginPath();
    let begun = false;
    for (let index = 0; index < points.length; index += 2) {
      const [t, next] = [points[index]!, points[index + 2] ?? points[index]!];
      if (next < this.#from || t > this.#to) continue;
      const x = Math.max(this.#label(), this.#x(t));
      if (begun) context.lineTo(x, at(points[index - 1]!));
      else context.moveTo(x, at(points[index + 1]!));
      context.lineTo(x, at(points[index + 1]!));
      begun = true;
    }
    context.stroke();
    // A single point is no line.
    if (points.length === 2) context.strokeRect(this.#x(points[0]!) - 1.5, at(points[1]!) - 1.5, 3, 3);
    context.fillStyle = style('--soft');
    context.textAlign = 'right';
    context.textBaseline = 'top';
    context.fillText(`up to ${amount(most, unit)}`, this.#label() + this.#width() - 2, y);
    context.textAlign = 'left';
  }

  #marks(lane: number, y: number, height: number): void {
    for (const mark of this.data.marks) if (mark.lane === lane) this.#mark(mark, y, height);
  }

  /** A triangle that points to the time of a finding, and a line through its lane. */
  #mark({ finding, t, level }: MarkData, y: number, height: number): void {
    if (t < this.#from || t > this.#to) return;
    const context = this.#context;
    const x = this.#x(t);
    const chosen = finding === this.#selected;
    context.fillStyle = style(level === 'note' ? '--soft' : '--bad');
    context.strokeStyle = context.fillStyle;
    context.lineWidth = chosen ? 3 : 1.5;
    context.beginPath();
    context.moveTo(x, y - 2);
    context.lineTo(x, y + height + 2);
    context.stroke();
    const size = chosen ? 8 : 6;
    context.beginPath();
    context.moveTo(x - size, y - 4);
    context.lineTo(x + size, y - 4);
    context.lineTo(x, y - 4 + size * 1.4);
    context.fill();
  }

  #look(name: string): Look {
    const known = this.#looks.get(name);
    if (known !== undefined) return known;
    const [, color, pattern] = PATTERNS.find(([matches]) => matches.test(name)) ?? [
      null,
      '--other',
      'plain' as const,
    ];
    const look = { color: style(color), pixel: pixelOf(this.#context, style(color)), pattern };
    this.#looks.set(name, look);
    return look;
  }

  /** The strokes of a pattern, to be repeated. */
  #tile({ pattern }: Look): CanvasPattern | string {
    const known = this.#tiles.get(pattern);
    if (known !== undefined) return known;
    const tile =
      pattern === 'plain'
        ? 'transparent'
        : (this.#context.createPattern(strokes(pattern), 'repeat') ?? 'transparent');
    this.#tiles.set(pattern, tile);
    return tile;
  }
}

/** A colour as the canvas keeps pixels: red in the lowest byte. */
function pixelOf(context: CanvasRenderingContext2D, color: string): number {
  context.fillStyle = color;
  const rgb = Number.parseInt(String(context.fillStyle).slice(1, 7), 16);
  return (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

function strokes(pattern: Pattern): HTMLCanvasElement {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 8;
  const context = tile.getContext('2d')!;
  context.strokeStyle = context.fillStyle = style('--stroke');
  context.lineWidth = 1;
  const line = (...points: readonly number[]): void => {
    context.beginPath();
    context.moveTo(points[0]!, points[1]!);
    context.lineTo(points[2]!, points[3]!);
    context.stroke();
  };
  if (pattern === 'rising' || pattern === 'cross') line(0, 8, 8, 0);
  if (pattern === 'falling' || pattern === 'cross') line(0, 0, 8, 8);
  if (pattern === 'level') line(0, 4.5, 8, 4.5);
  if (pattern === 'dots') context.fillRect(3, 3, 2, 2);
  return tile;
}

/** Custom properties of the page, as long as it looks the same: to ask for one is slow. */
const styles = new Map<string, string>();

function style(name: string): string {
  const known = styles.get(name);
  if (known !== undefined) return known;
  const value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  styles.set(name, value);
  return value;
}

/** Place of the last span that begins at or before a time; -1 when there is none. */
function spanAt(spans: readonly number[], t: number): number {
  let [low, high] = [0, spans.length / 3];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[3 * middle + 1]! <= t) low = middle + 1;
    else high = middle;
  }
  return 3 * (low - 1);
}

/** A text cut to a width; all characters of the font have the same. */
function fitting(text: string, width: number, character: number): string {
  if (text.length * character <= width) return text;
  return `${text.slice(0, Math.max(1, Math.floor(width / character) - 1))}…`;
}

/** A time or a duration, from microseconds. */
function timeText(t: number): string {
  if (t === 0) return '0';
  if (t >= 1e6) return `${Number((t / 1e6).toPrecision(5))} s`;
  if (t >= 1e3) return `${Number((t / 1e3).toPrecision(5))} ms`;
  return `${Math.round(t)} µs`;
}

function amount(value: number, unit: LaneData['unit']): string {
  if (unit !== 'bytes') return `${value.toLocaleString('en')} pages`;
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${Number((value / 1024 ** power).toPrecision(3))} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}

const timeline = new Timeline(
  JSON.parse(document.getElementById('data')!.textContent!) as PageData,
  document.getElementById('timeline')!,
  document.querySelector('#timeline canvas')!,
  document.getElementById('under')!,
);
timeline.legend(document.getElementById('legend')!);
Object.assign(globalThis, { timeline });

document.addEventListener('timeline', (event) => {
  const { what, value } = (event as CustomEvent<{ what: string; value: string }>).detail;
  if (what === 'in') timeline.zoom(0.6);
  if (what === 'out') timeline.zoom(1 / 0.6);
  if (what === 'all') timeline.all();
  if (what === 'left') timeline.move(-0.2);
  if (what === 'right') timeline.move(0.2);
  if (what === 'filter') timeline.filter(value);
});
document.addEventListener('finding', (event) =>
  timeline.select((event as CustomEvent<{ number: number }>).detail.number),
);
