import { checkDescription } from './check.js';
import type { VmField, VmStateDescription } from './description.js';
import type { VmStateEntry } from './entry.js';
import { INTEGERS } from './integers.js';
import { elementsOf, neededSubsections, objectAt } from './save.js';

/** A state in the vmdescription, as QEMU writes it. */
export interface DescribedState {
  vmsd_name: string;
  version: number;
  fields: DescribedField[];
  subsections?: DescribedState[];
}

/** A field, or one element of an array whose elements differ; `size` is that of one element, in bytes. */
export interface DescribedField {
  name: string;
  array_len?: number;
  index?: number;
  type: string;
  struct?: DescribedState;
  size: number;
}

/** A section in the vmdescription; one without a description is a single field of bytes. */
export interface DescribedEntry extends Partial<DescribedState> {
  name: string;
  instance_id: number;
  fields: DescribedField[];
}

/**
 * What `saveVmState` writes for this target, for the vmdescription at the end of a stream. To be called after
 * it: `preSave` is not called again.
 * @throws RangeError, TypeError as `saveVmState`
 */
export function describeVmState(description: VmStateDescription, target: object): DescribedState {
  checkDescription(description);
  return describeState(description, target, description.name).state;
}

/** The same for a section. */
export function describeEntry({ idstr, instance, description, target }: VmStateEntry): DescribedEntry {
  return { name: idstr, instance_id: instance, ...describeVmState(description, target) };
}

/**
 * A section whose body has no fields of its own, as QEMU describes those of VFIO.
 * @param size bytes of the body
 */
export function describeBytes(idstr: string, instance: number, size: number): DescribedEntry {
  return { name: idstr, instance_id: instance, fields: [{ name: 'data', type: 'buffer', size }] };
}

/**
 * The text of a vmdescription.
 * @param devices FULL sections in the order of the stream
 */
export function vmDescriptionText(pageSize: number, devices: readonly DescribedEntry[]): string {
  return JSON.stringify({ page_size: pageSize, devices });
}

interface Sized {
  state: DescribedState;
  /** Bytes, subsections included. */
  size: number;
}

function describeState(description: VmStateDescription, target: object, path: string): Sized {
  const { name, version } = description;
  const fields = description.fields.flatMap((each) => describeField(each, target, `${path}.${each.name}`));
  let size = fields.reduce((sum, each) => sum + each.size * (each.array_len ?? 1), 0);
  const subsections = neededSubsections(description, target).map((each) => {
    const part = describeState(each, target, each.name);
    size += 1 + 1 + each.name.length + 4 + part.size;
    return part.state;
  });
  const state = { vmsd_name: name, version, fields };
  return { state: subsections.length === 0 ? state : { ...state, subsections }, size };
}

function describeField({ name, type }: VmField, target: object, path: string): DescribedField[] {
  const value = (target as Record<string, unknown>)[name];
  if (type === 'bool') return [{ name, type: 'bool', size: 1 }];
  if (typeof type === 'string') return [{ name, type: INTEGERS[type].json, size: INTEGERS[type].size }];
  if ('buffer' in type) return [{ name, type: 'buffer', size: type.buffer }];
  if ('struct' in type) return [describeStruct(name, type.struct, objectAt(value, path), path)];
  const elements = elementsOf(type, value, target, path);
  if ('structs' in type) {
    const structs = Array.from(elements, (each, index) => {
      const at = `${path}[${index}]`;
      return describeStruct(name, type.structs, objectAt(each, at), at);
    });
    return compressed(structs);
  }
  const { json, size } = INTEGERS['varray' in type ? type.of : type.array];
  if (elements.length === 0) return [];
  const length = elements.length === 1 ? {} : { array_len: elements.length };
  return [{ name, ...length, type: json, size }];
}

function describeStruct(name: string, it: VmStateDescription, target: object, path: string): DescribedField {
  const { state, size } = describeState(it, target, path);
  return { name, type: 'struct', struct: state, size };
}

/** Elements that are all alike stand in one field with their number, others in a field each. */
function compressed(elements: readonly DescribedField[]): DescribedField[] {
  const [first] = elements;
  if (first === undefined || elements.length === 1) return [...elements];
  const { name, ...rest } = first;
  const text = JSON.stringify(first);
  if (elements.every((each) => JSON.stringify(each) === text)) {
    return [{ name, array_len: elements.length, ...rest }];
  }
  return elements.map(({ name: own, ...each }, index) => ({ name: own, index, ...each }));
}
