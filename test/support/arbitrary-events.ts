import fc from 'fast-check';
import { z } from 'zod';
import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { ERRNO } from '../../src/uapi/errno.js';

/** Few hosts and devices, so that their events meet. */
const HOSTS = ['src', 'dst'];
const DEVICES = ['vf0', 'vf1', 'a device (with brackets)'];
/** Errors that rules look at, and some that they do not. */
const ERRNOS = [
  0,
  0,
  ...['EINVAL', 'ENOTTY', 'ENOMSG', 'EFAULT', 'EIO', 'EBADF'].map((name) => ERRNO[name]!),
];

/** Values by field, where any value that the schema allows would hardly ever mean something. */
const FIELDS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  host: fc.constantFrom(...HOSTS),
  device: fc.constantFrom(...DEVICES),
  file: fc.constantFrom('src.log', 'dst.log'),
  line: fc.nat(1000),
  t: fc.oneof(fc.nat(100_000_000), fc.double({ noNaN: true, noDefaultInfinity: true })),
  errno: fc.constantFrom(...ERRNOS),
  result: fc.oneof(fc.constantFrom(0, ...ERRNOS.map((number) => -number)), fc.nat(4096)),
  flags: fc.nat(15),
  reason: fc.constantFrom('running', 'paused', 'finish-migrate', 'shutdown', ''),
  from: fc.constantFrom('running', 'paused', 'prelaunch', 'finish-migrate', 'x'),
  to: fc.constantFrom('running', 'paused', 'inmigrate', 'finish-migrate', 'postmigrate', 'x'),
  index: fc.nat(3),
  pending: fc.nat(2),
  ackTotal: fc.nat(2),
};

/** Values that a schema allows. */
function valuesOf(schema: z.core.$ZodType, name: string): fc.Arbitrary<unknown> {
  if (schema instanceof z.ZodOptional)
    return fc.option(valuesOf(schema.unwrap(), name), { nil: undefined, freq: 3 });
  const own = FIELDS[name];
  const states = schema instanceof z.ZodEnum || schema instanceof z.ZodUnion;
  const fits = (value: unknown) => z.safeParse(schema, value).success;
  // A name may mean something else elsewhere: a reason that is a number.
  if (own !== undefined && !states && fc.sample(own, { numRuns: 20, seed: 1 }).some(fits))
    return own.filter(fits);
  if (schema instanceof z.ZodLiteral) return fc.constantFrom(...schema.values);
  if (schema instanceof z.ZodEnum) return fc.constantFrom(...schema.options);
  if (schema instanceof z.ZodBoolean) return fc.boolean();
  if (schema instanceof z.ZodString)
    return fc
      .oneof(fc.constantFrom('0x10000000000000', '0x1000'), fc.string())
      .filter((value) => schema.safeParse(value).success);
  if (schema instanceof z.ZodNumber)
    return fc
      .oneof(fc.nat(8), fc.maxSafeNat(), fc.double())
      .filter((value) => schema.safeParse(value).success);
  if (schema instanceof z.ZodUnion) return fc.oneof(...schema.options.map((option) => valuesOf(option, '')));
  if (schema instanceof z.ZodArray) return fc.array(valuesOf(schema.element, ''), { maxLength: 3 });
  if (schema instanceof z.ZodTuple) return fc.tuple(...schema.def.items.map((item) => valuesOf(item, '')));
  if (schema instanceof z.ZodObject) return objectOf(schema.shape);
  throw new Error(`the schema of ${name} has a type for which this makes no values`);
}

function objectOf(shape: Readonly<Record<string, z.core.$ZodType>>): fc.Arbitrary<object> {
  const fields = Object.entries(shape).map(([name, type]) => [name, valuesOf(type, name)] as const);
  return fc
    .record(Object.fromEntries(fields))
    .map((event) => Object.fromEntries(Object.entries(event).filter(([, value]) => value !== undefined)));
}

const eventsOf = (schema: (typeof traceEventSchema.options)[number]) =>
  objectOf(schema.shape) as fc.Arbitrary<TraceEvent>;

const BY_KIND = new Map(
  traceEventSchema.options.map((schema) => [schema.shape.kind.value, eventsOf(schema)] as const),
);

/** Any event of the vocabulary. */
export const anyEvent: fc.Arbitrary<TraceEvent> = fc.oneof(...BY_KIND.values());

/** Events of a few kinds of the vocabulary: other kinds in each run, so that each is often among few. */
export const eventsOfFewKinds: fc.Arbitrary<TraceEvent[]> = fc
  .subarray([...BY_KIND.keys()], { minLength: 1, maxLength: 6 })
  .chain((kinds) => fc.array(fc.oneof(...kinds.map((kind) => BY_KIND.get(kind)!)), { maxLength: 60 }));
