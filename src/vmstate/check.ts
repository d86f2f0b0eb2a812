import type { VmField, VmFieldType, VmStateDescription } from './description.js';

const checked = new WeakSet<VmStateDescription>();
/** Types that can hold the length of an array. */
const COUNTS: readonly unknown[] = ['u8', 'u16', 'u32'] satisfies VmFieldType[];
const MAX_VERSION = 0xffff_ffff;
/** A name's length is a byte. */
const MAX_NAME = 255;

/**
 * Checks that a description makes sense; each is looked at once.
 * @throws TypeError that says what does not
 */
export function checkDescription(description: VmStateDescription): void {
  if (checked.has(description)) return;
  checkParts(description, new Set());
  checked.add(description);
}

/** @param names of the fields that the target has already: subsections share it */
function checkParts(description: VmStateDescription, names: Set<string>): void {
  const { name, version, minimumVersion, fields, subsections = [] } = description;
  if (name.length === 0 || name.length > MAX_NAME) refuse(description, `a name of 1 to ${MAX_NAME} bytes`);
  if (!isCount(minimumVersion) || !isCount(version) || minimumVersion > version || version > MAX_VERSION) {
    refuse(description, `versions ${minimumVersion} to ${version} in this order`);
  }
  for (const [index, field] of fields.entries()) {
    if (names.has(field.name)) refuse(description, `a second name for field ${field.name}`);
    names.add(field.name);
    checkField(description, field, fields.slice(0, index));
  }
  const parts = new Set<string>();
  for (const part of subsections) {
    if (!part.name.startsWith(`${name}/`)) {
      refuse(description, `the name of subsection ${part.name} to begin with ${name}/`);
    }
    if (parts.has(part.name)) refuse(description, `a second name for subsection ${part.name}`);
    parts.add(part.name);
    checkParts(part, names);
  }
}

function checkField(it: VmStateDescription, field: VmField, earlier: readonly VmField[]): void {
  const { name, type } = field;
  const since = sinceOf(it, field);
  if (!(since >= it.minimumVersion && since <= it.version)) {
    refuse(it, `field ${name} since a version from ${it.minimumVersion} to ${it.version}`);
  }
  if (typeof type === 'string') return;
  const sizes = [
    'buffer' in type ? type.buffer : 0,
    'count' in type ? type.count : 0,
    'most' in type ? type.most : 0,
  ];
  if (!sizes.every(isCount)) refuse(it, `a whole number as size of field ${name}`);
  if ('varray' in type) {
    const count = earlier.find((each) => each.name === type.varray);
    if (count === undefined || !COUNTS.includes(count.type) || sinceOf(it, count) > since) {
      refuse(it, `before ${name} the field ${type.varray} of type u8, u16 or u32, which counts it`);
    }
  }
  if ('struct' in type) checkDescription(type.struct);
  if ('structs' in type) checkDescription(type.structs);
}

/** First version that has a field. */
export function sinceOf({ minimumVersion }: VmStateDescription, { since = minimumVersion }: VmField): number {
  return since;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function refuse({ name }: VmStateDescription, expected: string): never {
  throw new TypeError(`description of ${JSON.stringify(name)}: expected ${expected}`);
}
