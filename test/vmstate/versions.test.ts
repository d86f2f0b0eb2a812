import { describe, expect, it } from 'vitest';
import { parseWhole } from '../../src/stream/index.js';
import { loadVmState, saveVmState, type VmStateDescription, VmStateError } from '../../src/vmstate/index.js';

/** A port, as three generations of a program know it. */
const OLD: VmStateDescription = {
  name: 'port',
  version: 1,
  minimumVersion: 1,
  fields: [{ name: 'rate', type: 'u32' }],
};
const FILTER: VmStateDescription = {
  name: 'port/filter',
  version: 1,
  minimumVersion: 1,
  needed: (target) => (target as { macs: Uint8Array }).macs.length > 0,
  fields: [
    { name: 'macsSize', type: 'u8' },
    { name: 'macs', type: { varray: 'macsSize', of: 'u8', most: 12 } },
  ],
};
const WITH_FILTER: VmStateDescription = { ...OLD, subsections: [FILTER] };
const NEW: VmStateDescription = {
  ...WITH_FILTER,
  version: 2,
  fields: [...OLD.fields, { name: 'burst', type: 'u16', since: 2 }],
};
const NEWEST: VmStateDescription = { ...NEW, minimumVersion: 2, version: 3 };

const port = (macs = 0) => ({ rate: 10_000, burst: 64, macsSize: macs, macs: new Uint8Array(macs).fill(2) });
const fresh = () => ({ rate: 0, burst: 7, macsSize: 0, macs: new Uint8Array(0) });

/** What arrives at the destination, or the reason why nothing does. */
function migrate(source: VmStateDescription, destination: VmStateDescription, target: object): unknown {
  const into = fresh();
  try {
    parseWhole(saveVmState(source, target), loadVmState(destination, into, source.version), 'at the test');
    return into;
  } catch (error) {
    expect(into).toEqual(fresh());
    expect(error).toBeInstanceOf(VmStateError);
    return (error as Error).message;
  }
}

describe('an older destination', () => {
  it('refuses a newer version', () => {
    expect(migrate(NEW, OLD, port())).toBe(
      'version 2 of port is not supported here (only 1 is) (at the test)',
    );
    expect(migrate(NEWEST, NEW, port())).toContain('version 3 of port is not supported here (1 to 2 are)');
  });

  it('takes a newer subsection where it is not needed, and refuses it by its name where it is', () => {
    expect(migrate(WITH_FILTER, OLD, port(0))).toEqual({ ...fresh(), rate: 10_000 });
    expect(migrate(WITH_FILTER, OLD, port(6))).toBe(
      'the source needs the subsection "port/filter", which is not known: port has none here (at the test)',
    );
    const other = { ...OLD, subsections: [{ ...FILTER, name: 'port/other' }] };
    expect(migrate(WITH_FILTER, other, port(6))).toContain('here port has port/other');
  });

  it('refuses a newer version of a subsection', () => {
    const newer = { ...OLD, subsections: [{ ...FILTER, version: 2 }] };
    expect(migrate(newer, WITH_FILTER, port(6))).toContain('version 2 of port/filter is not supported here');
    expect(migrate(newer, WITH_FILTER, port(0))).toEqual({ ...fresh(), rate: 10_000 });
  });
});

describe('a newer destination', () => {
  it('takes an older version: fields that it does not have keep their values', () => {
    expect(migrate(OLD, NEW, port())).toEqual({ ...fresh(), rate: 10_000 });
    expect(migrate(WITH_FILTER, NEW, port(6))).toEqual({ ...port(6), burst: 7 });
    expect(migrate(NEW, NEWEST, port(12))).toEqual(port(12));
  });

  it('refuses what is older than its minimum', () => {
    expect(migrate(OLD, NEWEST, port())).toContain('version 1 of port is not supported here (2 to 3 are)');
  });
});

describe('hooks', () => {
  const order: string[] = [];
  const inner: VmStateDescription = {
    ...OLD,
    name: 'inner',
    preSave: () => order.push('save inner'),
    postLoad: (_target, version) => order.push(`inner ${version}`),
  };
  const outer: VmStateDescription = {
    name: 'outer',
    version: 4,
    minimumVersion: 2,
    preSave: (target) => {
      (target as { sum: bigint }).sum = 3n;
      order.push('save outer');
    },
    fields: [
      { name: 'sum', type: 'u64' },
      { name: 'one', type: { struct: inner } },
      { name: 'some', type: { structs: inner, count: 2 } },
    ],
    subsections: [
      {
        name: 'outer/part',
        version: 1,
        minimumVersion: 1,
        fields: [],
        postLoad: () => order.push('part'),
      },
    ],
    postLoad: (target, version) => {
      order.push(`outer ${version}`);
      expect(target).toMatchObject({ sum: 3n, some: [{ rate: 2 }, { rate: 3 }] });
    },
  };
  const target = () => ({ sum: 0n, one: { rate: 1 }, some: [{ rate: 2 }, { rate: 3 }] });

  it('run from the outside in when it is saved, from the inside out when all was loaded', () => {
    const bytes = saveVmState(outer, target());
    const into = {
      one: new (class Part {
        rate = 0;
      })(),
    };
    const { one } = into;
    parseWhole(bytes, loadVmState(outer, into, 4));
    expect(order).toEqual([
      ...['save outer', 'save inner', 'save inner', 'save inner'],
      ...['inner 1', 'inner 1', 'inner 1', 'part', 'outer 4'],
    ]);
    // What is there already is set, not replaced.
    expect(into.one).toBe(one);
    expect(one.rate).toBe(1);
  });

  it('that refuse are told with their place', () => {
    const refusing: VmStateDescription = {
      ...outer,
      fields: [
        {
          name: 'some',
          type: {
            count: 2,
            structs: {
              ...inner,
              postLoad: (it) => {
                if ((it as { rate: number }).rate === 3) throw new RangeError('3 is too much');
              },
            },
          },
        },
      ],
      subsections: [],
    };
    const load = () => parseWhole(saveVmState(refusing, target()), loadVmState(refusing, {}, 4), 'in x');
    expect(load).toThrow('outer.some[1] cannot be taken over: 3 is too much (in x)');
    expect(load).toThrow(expect.objectContaining({ path: 'outer.some[1]', cause: expect.any(RangeError) }));
  });
});

describe('saving refuses', () => {
  const one = (type: VmStateDescription['fields'][number]['type'], value: unknown) => () =>
    saveVmState({ ...OLD, fields: [{ name: 'it', type }] }, { it: value });

  it.each([
    [
      'a number that does not fit',
      one('u16', 65536),
      'port.it: expected an integer from 0 to 65535, got 65536',
    ],
    ['a negative number', one('u64', -1n), 'port.it: expected an integer from 0 to 18446744073709551615'],
    ['a fraction', one('s32', 0.5), 'port.it: expected an integer'],
    ['what is not there', one('u8', undefined), 'port.it: expected an integer from 0 to 255, got undefined'],
    ['a number for a bool', one('bool', 1), 'port.it: expected true or false, got 1'],
    ['bytes of another length', one({ buffer: 3 }, new Uint8Array(2)), 'expected 3 bytes, got 2 of them'],
    ['another number of elements', one({ array: 'u8', count: 2 }, [1]), 'expected 2 elements, got 1'],
    [
      'an element',
      one({ array: 's8', count: 2 }, [1, 128]),
      'port.it[1]: expected an integer from -128 to 127',
    ],
    ['no object', one({ struct: FILTER }, null), 'port.it: expected an object, got null'],
  ])('%s', (_what, save, message) => {
    expect(save).toThrow(RangeError);
    expect(save).toThrow(message);
  });

  it('an array that is not as long as its count says, or longer than may be', () => {
    const save = (macsSize: number, macs: number) => () =>
      saveVmState({ ...FILTER, name: 'x' }, { macsSize, macs: new Uint8Array(macs) });
    expect(save(2, 3)).toThrow('x.macs: expected 2 elements, as macsSize says, got 3');
    expect(save(13, 13)).toThrow('x.macs: expected at most 12 elements');
  });
});

describe('a description that makes no sense is refused', () => {
  const with_ = (change: Partial<VmStateDescription>) => () => saveVmState({ ...OLD, ...change }, port());

  it.each([
    ['versions', with_({ minimumVersion: 2 }), 'versions 2 to 1'],
    ['a name', with_({ name: '' }), 'a name of 1 to 255'],
    [
      'since',
      with_({ fields: [{ name: 'rate', type: 'u32', since: 2 }] }),
      'field rate since a version from 1 to 1',
    ],
    [
      'a name that is taken',
      with_({ fields: [...OLD.fields, ...OLD.fields] }),
      'a second name for field rate',
    ],
    [
      'a subsection of another',
      with_({ subsections: [{ ...FILTER, name: 'filter' }] }),
      'to begin with port/',
    ],
    [
      'a count that comes later',
      with_({ fields: FILTER.fields.toReversed() }),
      'before macs the field macsSize of type u8, u16 or u32',
    ],
  ])('%s', (_what, save, message) => {
    expect(save).toThrow(TypeError);
    expect(save).toThrow(message);
  });
});
