import type { BodyParser, Cursor, Steps } from './cursor.js';
import type { BodySizes, VmDescription } from './description.js';
import type { SectionItem, StreamItem, StreamSink } from './item.js';

/** What the parts of the reader share: the place in the stream, and what earlier parts tell about later ones. */
export interface Context {
  readonly cursor: Cursor;
  readonly sink: StreamSink;
  pageSize: number;
  /** Capabilities of the configuration section. */
  readonly capabilities: Set<string>;
  /** Sum of page sizes that POSTCOPY_ADVISE has told; 0 without post-copy of RAM. */
  pageSizes: bigint;
  /** Sections that have begun, by id. */
  readonly sections: Map<number, SectionItem>;
  /** Whether sections have footers; unknown until the first one ends. */
  footers: boolean | undefined;
  /** Read beforehand, from the end of a file. */
  readonly description: VmDescription | undefined;
  readonly sizes: BodySizes | undefined;
  readonly ram: RamState;
  readonly parsers: BodyParsers;
  /** Bytes that are held beside the cursor's. */
  held: number;
}

/** What the caller knows of bodies. */
export interface BodyParsers {
  /**
   * The parser of a section's body, for every section but those of RAM and VFIO; asked at each START, PART,
   * END and FULL. The sink gets the item `body` before it, and no data of it.
   */
  bodyParser?: (section: SectionItem) => BodyParser | undefined;
  /**
   * The parser of the vmstate behind DEV_CONFIG_STATE of a VFIO section. The sink gets the items around it,
   * and no data.
   */
  configParser?: (section: SectionItem) => BodyParser | undefined;
}

/** Blocks by name, and the block of the last record: it survives the end of a section. */
export interface RamState {
  readonly blocks: Map<string, { name: string; usedLength: number }>;
  last: { name: string; usedLength: number } | undefined;
}

/** Hands an item to the sink that began at `offset` and ends here. */
export function tell(x: Context, item: StreamItem, offset: number): void {
  x.sink.item(item, offset, x.cursor.offset - offset);
}

/**
 * Runs a parser that the caller has given.
 * @param size bytes that it must read, where they are known beforehand: it cannot read beyond them
 */
export function* runParser(x: Context, parser: BodyParser, size: number | undefined, what: string): Steps {
  const { cursor: c } = x;
  if (size === undefined) return yield* parser(c);
  const { limit, limitedBy } = c;
  const end = c.offset + size;
  c.limit = end;
  c.limitedBy = `the ${size} bytes of ${what}`;
  yield* parser(c);
  c.limit = limit;
  c.limitedBy = limitedBy;
  if (c.offset !== end) c.fail(`the end of ${what} after ${size} bytes`, `${end - c.offset} bytes more`);
}

/** Goes over bytes that the sink gets as data, if it wants any. */
export function* handOut(x: Context, size: number, what: string): Steps {
  const { sink } = x;
  yield* x.cursor.take(size, what, sink.data === undefined ? undefined : (piece) => sink.data?.(piece));
}
