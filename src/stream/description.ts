import { isTargetPageSize, STREAM_BYTES } from '../uapi/qemu-stream.js';
import { u32At } from './cursor.js';

/** What the JSON at the end of a stream says about it. */
export interface VmDescription {
  /** Target page size. */
  pageSize?: number;
  configuration?: DeviceDescription;
  /** The FULL sections, in their order. */
  devices: DeviceDescription[];
}

/** A device as the vmdescription behind a stream tells it. */
export interface DeviceDescription {
  /** The section's idstr. */
  name: string;
  instance: number;
  /** Absent for state that has no fields, such as VFIO's. */
  vmsd?: string;
  version?: number;
  /** Bytes of the section's body. */
  size: number;
  fields: number;
  subsections: SubsectionDescription[];
}

/** A subsection as the vmdescription tells it. */
export interface SubsectionDescription {
  name: string;
  version: number;
  /** Bytes without the subsection's own head. */
  size: number;
}

/** Longest vmdescription that is read. Real ones have 50 KiB to 2 MiB. */
export const MAX_DESCRIPTION = 8 << 20;
/** Subsections stand in subsections; QEMU's own go four deep. */
const MAX_DEPTH = 16;

/**
 * Reads the JSON of a vmdescription.
 * @throws SyntaxError when it is not JSON, or not of this form
 */
export function parseDescription(text: string): VmDescription {
  const top = object(json(text), 'the vmdescription');
  if (!Array.isArray(top.devices)) throw new SyntaxError('devices is no list');
  const pageSize = top.page_size === undefined ? {} : { pageSize: targetPageSize(top.page_size) };
  const configuration =
    top.configuration === undefined
      ? {}
      : { configuration: device(top.configuration, 'the configuration', 'configuration') };
  const devices = top.devices.map((each, index) => device(each, `device ${index}`));
  return { ...pageSize, ...configuration, devices };
}

/** The message of the engine differs from one version to the next, and quotes the text. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new SyntaxError('the text is no JSON');
  }
}

function device(value: unknown, what: string, known?: string): DeviceDescription {
  const it = object(value, what);
  const fields = list(it.fields, `the fields of ${what}`);
  const subsections: SubsectionDescription[] = [];
  const size = fieldsSize(fields, what) + subsectionsSize(it, what, subsections, 0);
  return {
    name: known ?? string(it.name, `the name of ${what}`),
    instance: it.instance_id === undefined ? 0 : count(it.instance_id, `the instance of ${what}`),
    ...(it.vmsd_name === undefined ? {} : { vmsd: string(it.vmsd_name, `the vmsd_name of ${what}`) }),
    ...(it.version === undefined ? {} : { version: count(it.version, `the version of ${what}`) }),
    size: count(size, `the size of ${what}`),
    fields: fields.length,
    subsections,
  };
}

function targetPageSize(value: unknown): number {
  const size = count(value, 'page_size');
  if (!isTargetPageSize(size)) throw new SyntaxError(`page_size ${size} is no page size`);
  return size;
}

/** A field's size is that of one element as it was written, with all that stands in it. */
function fieldsSize(fields: readonly unknown[], what: string): number {
  let sum = 0;
  for (const each of fields) {
    const field = object(each, `a field of ${what}`);
    const elements = field.array_len === undefined ? 1 : count(field.array_len, `an array_len of ${what}`);
    sum += count(field.size, `a field's size in ${what}`) * elements;
  }
  return sum;
}

/** Bytes of all subsections with their heads. Lists those of the first level. */
function subsectionsSize(
  it: Readonly<Record<string, unknown>>,
  what: string,
  out: SubsectionDescription[],
  depth: number,
): number {
  if (it.subsections === undefined) return 0;
  if (depth >= MAX_DEPTH) throw new SyntaxError(`subsections of ${what} are too deep`);
  let sum = 0;
  for (const each of list(it.subsections, `the subsections of ${what}`)) {
    const part = object(each, `a subsection of ${what}`);
    const name = string(part.vmsd_name, `the name of a subsection of ${what}`);
    const inner = fieldsSize(list(part.fields, `the fields of ${name}`), name);
    const size = inner + subsectionsSize(part, name, [], depth + 1);
    out.push({ name, version: count(part.version, `the version of ${name}`), size });
    sum += subsectionHead(name) + size;
  }
  return sum;
}

/** The byte 0x05, the counted name, the version. */
function subsectionHead(name: string): number {
  return 1 + 1 + name.length + 4;
}

function object(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new SyntaxError(`${what} is no object`);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new SyntaxError(`${what} are no list`);
}

function string(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw new SyntaxError(`${what} is no text`);
}

function count(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new SyntaxError(`${what} is no whole number`);
}

/** A vmdescription's head is the byte 0x06 and its length. */
const HEAD = 5;

/** Bytes of the end of a file that `findDescription` has use for. */
export const DESCRIPTION_TAIL = MAX_DESCRIPTION + HEAD;

/**
 * Looks for the vmdescription in the last bytes of a file, so that the bodies before it can be read by
 * their sizes. It must reach to the very end; `undefined` when there is none that can be read.
 */
export function findDescription(tail: Uint8Array): VmDescription | undefined {
  for (let at = tail.length - HEAD - 1; at >= 0; at--) {
    at = tail.lastIndexOf(STREAM_BYTES.VMDESCRIPTION, at);
    if (at < 0) return undefined;
    if (tail[at + HEAD] !== 0x7b || u32At(tail, at + 1) !== tail.length - at - HEAD) continue;
    try {
      return parseDescription(new TextDecoder('utf-8', { fatal: true }).decode(tail.subarray(at + HEAD)));
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** The sizes of the bodies of FULL sections, to be taken in the order of the stream. */
export class BodySizes {
  readonly #sizes = new Map<string, number[]>();

  constructor(description: VmDescription) {
    for (const { name, instance, size } of description.devices) {
      const key = bodyKey(name, instance);
      const sizes = this.#sizes.get(key);
      if (sizes === undefined) this.#sizes.set(key, [size]);
      else sizes.push(size);
    }
  }

  /** The size of the next body of this section, or `undefined`. */
  take(idstr: string, instance: number): number | undefined {
    return this.#sizes.get(bodyKey(idstr, instance))?.shift();
  }
}

function bodyKey(idstr: string, instance: number): string {
  return `${instance} ${idstr}`;
}
