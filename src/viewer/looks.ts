/** Colours and patterns: each state is told apart by both. */

/** How states are told apart by shape too: strokes over the colour. */
export type Pattern = 'plain' | 'rising' | 'falling' | 'level' | 'upright' | 'cross' | 'dots';

/** How a state looks. */
export interface Look {
  /** The custom property of its colour. */
  readonly color: string;
  readonly pattern: Pattern;
  /** Where it stands in a legend. */
  readonly order: number;
}

/** By name. States that save rise or fall, what stands still is level, P2P has dots, failures are crossed. */
const LOOKS: readonly (readonly [RegExp, string, Pattern])[] = [
  [/^(RUNNING|running|active|completed)$/, '--running', 'plain'],
  [/^(RUNNING_P2P|setup|postcopy-.*)$/, '--p2p', 'dots'],
  [/^PRE_COPY$/, '--precopy', 'rising'],
  [/^PRE_COPY_P2P$/, '--precopy', 'dots'],
  [/^(STOP_COPY|device|pre-switchover|downtime)$/, '--stopcopy', 'falling'],
  [/^(RESUMING|inmigrate|unfinished)$/, '--resuming', 'upright'],
  [/^(STOP|paused|finish-migrate|postmigrate|shutdown|cancelling|cancelled)$/, '--stop', 'level'],
  [/^(ERROR|failed|failing|internal-error|guest-panicked)$/, '--error', 'cross'],
];
/** What is none of these is grey, and its pattern is the next one. */
const OTHERS: readonly Pattern[] = ['plain', 'rising', 'falling', 'level', 'upright', 'dots', 'cross'];

/** The looks of the names of a report, in their order. */
export function looksOf(names: readonly string[]): Look[] {
  let others = 0;
  return names.map((name) => {
    const order = LOOKS.findIndex(([matches]) => matches.test(name));
    const [, color, pattern] = LOOKS[order] ?? [null, '--other', OTHERS[others++ % OTHERS.length]!];
    return { color, pattern, order: order < 0 ? LOOKS.length : order };
  });
}

/** Custom properties of the page, as long as it looks the same: to ask for one is slow. */
const styles = new Map<string, string>();
const tiles = new Map<string, CanvasPattern | null>();
const pixels = new Map<string, number>();

/** The value of a custom property. */
export function style(name: string): string {
  const known = styles.get(name);
  if (known !== undefined) return known;
  const value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  styles.set(name, value);
  return value;
}

/** To be called when the page looks different. */
export function forgetStyles(): void {
  styles.clear();
  tiles.clear();
  pixels.clear();
}

/** A colour as the canvas keeps pixels: red in the lowest byte. */
export function pixelOf(context: CanvasRenderingContext2D, color: string): number {
  const known = pixels.get(color);
  if (known !== undefined) return known;
  context.fillStyle = style(color);
  const rgb = Number.parseInt(String(context.fillStyle).slice(1, 7), 16);
  const pixel = (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
  pixels.set(color, pixel);
  return pixel;
}

/** Paints a box as a state looks. */
export function paintLook(
  context: CanvasRenderingContext2D,
  { color, pattern }: Look,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  context.fillStyle = style(color);
  context.fillRect(x, y, width, height);
  const tile = tileOf(context, pattern);
  if (tile !== null) {
    context.fillStyle = tile;
    context.fillRect(x, y, width, height);
  }
  context.strokeStyle = style('--edge');
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
}

/** The strokes of a pattern, to be repeated; null: there are none. */
function tileOf(context: CanvasRenderingContext2D, pattern: Pattern): CanvasPattern | null {
  if (pattern === 'plain') return null;
  const known = tiles.get(pattern);
  if (known !== undefined) return known;
  const tile = context.createPattern(strokes(pattern), 'repeat');
  tiles.set(pattern, tile);
  return tile;
}

function strokes(pattern: Pattern): HTMLCanvasElement {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 8;
  const context = tile.getContext('2d')!;
  context.strokeStyle = context.fillStyle = style('--stroke');
  context.lineWidth = 1;
  const line = (fromX: number, fromY: number, toX: number, toY: number): void => {
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
    context.stroke();
  };
  // The corners too, so that strokes go on from tile to tile.
  if (pattern === 'rising' || pattern === 'cross') for (const by of [-8, 0, 8]) line(by - 1, 9, by + 9, -1);
  if (pattern === 'falling' || pattern === 'cross') for (const by of [-8, 0, 8]) line(by - 1, -1, by + 9, 9);
  if (pattern === 'level') line(0, 4.5, 8, 4.5);
  if (pattern === 'upright') line(4.5, 0, 4.5, 8);
  if (pattern === 'dots') context.fillRect(3, 3, 2, 2);
  return tile;
}
