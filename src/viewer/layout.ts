import type { PageData } from '../validate/reporters/page-data.js';

/** Which rows there are, and where each of them is. */

/** Room beside the lanes for their names. */
const LABEL = 218;
/** In what is narrower a name stands above its lane. */
const NARROWEST = 560;
/** Height of the axis. */
export const AXIS = 24;
const HOST = 30;
const HEIGHT = { attempt: 22, status: 22, run: 22, device: 26, curve: 40 } as const;
const GAP = 6;
/** What a name above a lane takes. */
const LEAD = 17;

/** A row of the timeline; `top` counts from the top of the first one. */
export interface Row {
  readonly top: number;
  readonly height: number;
  readonly host: number;
  /** Place of the lane; -1: the head of a host. */
  readonly lane: number;
}

/** Rows of a width. */
export interface Layout {
  readonly rows: readonly Row[];
  readonly width: number;
  /** Room for the names; 0: they stand above. */
  readonly label: number;
  /** What a name above a lane takes; 0: it stands beside it. */
  readonly lead: number;
  /** Height of all rows, without the axis. */
  readonly height: number;
  /** Width of the lanes themselves. */
  readonly laneWidth: number;
}

/** Lanes that a text is in the name of: its host, or host/device. With a device stand the other lanes of its host. */
export function lanesWith({ lanes, hosts }: PageData, text: string): number[] {
  const wanted = text.trim().toLowerCase();
  const shown = new Set<number>();
  const devices = new Set<number>();
  for (const [index, { host, kind, title }] of lanes.entries()) {
    if (kind !== 'device' || !`${hosts[host]!.id}/${title}`.toLowerCase().includes(wanted)) continue;
    devices.add(index);
    shown.add(host);
  }
  for (const [index, { id }] of hosts.entries()) if (id.toLowerCase().includes(wanted)) shown.add(index);
  return lanes.flatMap(({ host, kind }, index) =>
    (kind === 'device' ? devices.has(index) : shown.has(host)) ? [index] : [],
  );
}

/** Places the rows of lanes, each host with its head. */
export function layoutOf({ lanes }: PageData, shown: readonly number[], width: number): Layout {
  const label = width < NARROWEST ? 0 : LABEL;
  const lead = label > 0 ? 0 : LEAD;
  const rows: Row[] = [];
  let top = 0;
  const put = (height: number, host: number, lane: number): void => {
    rows.push({ top, height, host, lane });
    top += height;
  };
  let host = -1;
  for (const lane of shown) {
    const { host: own, kind } = lanes[lane]!;
    if (own !== host) put(HOST, own, -1);
    host = own;
    put(HEIGHT[kind] + GAP + lead, own, lane);
  }
  const side = label > 0 ? 10 : 6;
  return { rows, width, label, lead, height: top + GAP, laneWidth: Math.max(1, width - label - side) };
}

/** Where in its row the bars or the curve of a lane begin, and how high they are. */
export function laneBox({ top, height }: Row, { lead }: Layout): { top: number; height: number } {
  return { top: top + lead + GAP / 2, height: height - lead - GAP };
}

/** The row at a height; undefined: there is none. */
export function rowAt({ rows }: Layout, y: number): Row | undefined {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle]!.top <= y) low = middle + 1;
    else high = middle;
  }
  const row = rows[low - 1];
  return row !== undefined && y < row.top + row.height ? row : undefined;
}
