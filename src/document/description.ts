/** Name and version of the JSON that `stopcopy describe MACHINE --format json` prints. */
export const DESCRIPTION_SCHEMA = 'stopcopy-machine-1';

/** A state of a machine, as drawings and tables have it. */
export interface StateDescription {
  readonly name: string;
  /** Whether the machine, or the region the state is in, starts here. */
  readonly initial: boolean;
  /** What the state means, in words; may be empty. */
  readonly description: string;
  /** Id of the clause that it comes from; may be empty. */
  readonly clause: string;
}

/** An arc of a machine, as drawings and tables have it. */
export interface ArcDescription {
  readonly from: string;
  readonly to: string;
  readonly event: string;
  readonly clause: string;
  /** Taken only while another region is in this state (`region.state`). */
  readonly when?: string;
}

/** One of several regions that run side by side. */
export interface RegionDescription {
  readonly name: string;
  readonly states: readonly StateDescription[];
  readonly arcs: readonly ArcDescription[];
}

/** From a state, for each state that can be asked for: the states on the way there, or null when it is refused. */
export type Paths = Readonly<Record<string, Readonly<Record<string, readonly string[] | null>>>>;

/** A machine as plain data. All drawings and tables are made from it. */
export interface MachineDescription {
  readonly schema: typeof DESCRIPTION_SCHEMA;
  readonly machine: string;
  readonly title: string;
  readonly party: string;
  readonly capabilities: readonly string[];
  readonly states: readonly StateDescription[];
  readonly arcs: readonly ArcDescription[];
  /** For machines that serve requests by combinations of arcs. */
  readonly paths?: Paths;
  /** The regions as they are, where `states` and `arcs` show a view of them. */
  readonly regions?: readonly RegionDescription[];
}

/** Arcs between the same two states as one, with all their events: what a drawing can hold. */
export function mergedArcs(
  arcs: readonly ArcDescription[],
): { readonly from: string; readonly to: string; readonly events: readonly string[] }[] {
  const merged = new Map<string, { from: string; to: string; events: string[] }>();
  for (const { from, to, event } of arcs) {
    const key = JSON.stringify([from, to]);
    const arc = merged.get(key);
    if (arc === undefined) merged.set(key, { from, to, events: [event] });
    else if (!arc.events.includes(event)) arc.events.push(event);
  }
  return [...merged.values()];
}

/** A short name for each state that no other has: initials, lengthened where they clash. */
export function shortNames(names: readonly string[]): Map<string, string> {
  const short = new Map<string, string>();
  for (const name of names) {
    let length = 1;
    while (
      length < name.length &&
      names.some((other) => other !== name && code(other, length) === code(name, length))
    ) {
      length++;
    }
    short.set(name, code(name, length));
  }
  return short;
}

/** The first letters of the first word and the initials of the others. */
function code(name: string, length: number): string {
  const [first = '', ...rest] = name.split('_');
  return first.slice(0, length) + rest.map((word) => word.slice(0, 1)).join('');
}
