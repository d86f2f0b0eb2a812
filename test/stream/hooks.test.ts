import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BodyParser,
  configPacket,
  findDescription,
  parseConfigPacket,
  type ReaderOptions,
  type SectionItem,
  StreamError,
  StreamReader,
} from '../../src/stream/index.js';
import { feed, Recorder, Scribe } from './recorded.js';

const FULL = { kind: 'section', type: 'FULL', id: 7, idstr: 'box', instance: 2, version: 3 } as const;
const VFIO = { ...FULL, id: 8, idstr: '0000:00:02.0/vfio', instance: 0, version: 1 } as const;
/** The footer of section 7, and the end of the stream behind it. */
const LOOKS_LIKE_END = Buffer.from('7e0000000700', 'hex');
/** END_OF_STATE and the footer of section 8, with a FULL section behind it. */
const LOOKS_LIKE_CONFIG_END = Buffer.from('ffffffffef1000017e0000000804000000090161', 'hex');

/** Reads a body that begins with its length. */
function lengthFirst(bodies: Buffer[]): BodyParser {
  return function* (c) {
    const length = yield* c.u8('a length');
    bodies.push(Buffer.from(yield* c.copy(length, 'a body')));
  };
}

const counted = (...bodies: Uint8Array[]) => {
  const body = Buffer.concat(bodies);
  return Buffer.concat([Uint8Array.of(body.length), body]);
};

function stream(body: Uint8Array, config: Uint8Array, described = false): Buffer {
  const out = new Scribe();
  out.item({ kind: 'header', version: 3 });
  out.item({ ...FULL, type: 'START', id: 5, idstr: 'live' }, { kind: 'body' }).data(body);
  out.item({ kind: 'section-end', id: 5, footer: true });
  out.item({ ...FULL, type: 'PART', id: 5, idstr: 'live' }, { kind: 'body' }).data(body);
  out.item({ kind: 'section-end', id: 5, footer: true });
  out.item(FULL, { kind: 'body' }).data(body);
  out.item({ kind: 'section-end', id: 7, footer: true });
  out.item(VFIO, { kind: 'vfio', tag: 'DEV_CONFIG_STATE' }).data(config);
  out.item(
    { kind: 'vfio', tag: 'END_OF_STATE' },
    { kind: 'section-end', id: 8, footer: true },
    { kind: 'eof' },
  );
  if (!described) return out.bytes();
  const field = (size: number) => [{ name: 'data', type: 'buffer', size }];
  const devices = [
    { name: 'box', instance_id: 2, fields: field(body.length) },
    { name: VFIO.idstr, instance_id: 0, fields: field(config.length + 16) },
  ];
  const text = JSON.stringify({ devices });
  out.item({ kind: 'description', text, description: { devices: [] } });
  return out.bytes();
}

describe('parsers of the caller', () => {
  const bodies: Buffer[] = [];
  const asked: string[] = [];
  const options: ReaderOptions = {
    bodyParser: ({ type, idstr, instance, version }) => {
      asked.push(`${type} ${idstr} ${instance} ${version}`);
      return lengthFirst(bodies);
    },
    configParser: ({ idstr }) => {
      asked.push(`config ${idstr}`);
      return lengthFirst(bodies);
    },
  };

  it.each([
    ['up to where they say', false],
    ['with sizes of the vmdescription too', true],
  ])('read what looks like the end of a section, %s', (_how, described) => {
    const tricky = [LOOKS_LIKE_END, LOOKS_LIKE_CONFIG_END];
    const bytes = stream(
      counted(LOOKS_LIKE_END, Uint8Array.of(1)),
      counted(LOOKS_LIKE_CONFIG_END),
      described,
    );
    const description = described ? findDescription(bytes)! : undefined;
    const all = description === undefined ? options : { ...options, description };
    for (const cuts of [[], Array.from(bytes.keys()), [bytes.indexOf(tricky[0]!) + 3]]) {
      bodies.length = 0;
      asked.length = 0;
      const recorder = new Recorder();
      const reader = new StreamReader(recorder, all);
      feed(reader, bytes, cuts);
      expect(reader.offset).toBe(bytes.length);
      const [live, part, box, config] = bodies.map((each) => each.toString('hex'));
      expect([live, part, box]).toEqual(new Array(3).fill(`${LOOKS_LIKE_END.toString('hex')}01`));
      expect(config).toBe(LOOKS_LIKE_CONFIG_END.toString('hex'));
      expect(asked).toEqual(['START live 2 3', 'PART live 2 3', 'FULL box 2 3', `config ${VFIO.idstr}`]);
      // The sink gets the items, and of the bodies nothing.
      expect(recorder.entries.filter(({ kind }) => kind === 'data')).toEqual([]);
      const kinds = recorder.entries.map(({ kind }) => kind).filter((kind) => kind !== 'description');
      const plain = ['section', 'body', 'section-end'];
      expect(kinds).toEqual([
        'header',
        ...plain,
        ...plain,
        ...plain,
        'section',
        'vfio',
        'vfio',
        'section-end',
        'eof',
      ]);
    }
  });

  it('are needed for that: without them the body ends too early', () => {
    // A footer of section 7, and the head of a FULL section.
    const bytes = stream(counted(Buffer.from('7e0000000704000000030161', 'hex')), counted());
    expect(() => feed(new StreamReader(new Recorder()), bytes)).toThrow(StreamError);
    feed(new StreamReader(new Recorder(), options), bytes);
  });

  it('leave other sections as they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }), (body, config) => {
        const bytes = stream(body, config);
        const [without, none] = [{}, { bodyParser: () => undefined, configParser: () => undefined }].map(
          (each) => {
            const recorder = new Recorder();
            feed(new StreamReader(recorder, each), bytes);
            return recorder.entries;
          },
        );
        expect(none).toEqual(without);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a parser that reads', () => {
  const run = (parser: BodyParser, described = true) => {
    const bytes = stream(new Uint8Array(4), new Uint8Array(4), true);
    const options = {
      bodyParser: ({ type }: SectionItem) => (type === 'FULL' ? parser : undefined),
      ...(described ? { description: findDescription(bytes)! } : {}),
    };
    return () => feed(new StreamReader(new Recorder(), options), bytes);
  };

  it('too little is told', () => {
    expect(
      run(function* (c) {
        yield* c.u8('a byte');
      }),
    ).toThrow(
      'expected the end of the state of "box" after 4 bytes, got 3 bytes more (in the FULL section 7 "box" at',
    );
    expect(
      run(function* (c) {
        yield* c.u8('a byte');
      }, false),
    ).toThrow('expected the footer of section 7, got 0x00');
  });

  it('too much is stopped where the vmdescription says', () => {
    expect(
      run(function* (c) {
        yield* c.copy(5, 'bytes');
      }),
    ).toThrow('expected 5 bytes of bytes, got the end of the 4 bytes of the state of "box" after 4');
    expect(
      run(function* (c) {
        yield* c.copy(5, 'bytes');
      }, false),
    ).toThrow('expected the footer of section 7');
  });

  it('and fails ends the reading with its error', () => {
    expect(
      run(() => {
        throw new TypeError('mine');
      }),
    ).toThrow(TypeError);
  });
});

describe('a config packet', () => {
  const read = (payload: Uint8Array) => {
    const bodies: Buffer[] = [];
    parseConfigPacket(payload, lengthFirst(bodies), 'in a packet of x');
    return bodies[0]!.toString('hex');
  };
  const packet = configPacket(counted(LOOKS_LIKE_CONFIG_END));

  it('is read as it was written', () => {
    expect(Buffer.from(packet.subarray(0, 8)).toString('hex')).toBe('ffffffffef100002');
    expect(read(packet)).toBe(LOOKS_LIKE_CONFIG_END.toString('hex'));
  });

  it('that is anything else is refused', () => {
    expect(() => read(packet.subarray(8))).toThrow('expected DEV_CONFIG_STATE, got 0x');
    expect(() => read(packet.subarray(0, -1))).toThrow(
      'expected 1 more byte of END_OF_STATE, the stream ends',
    );
    expect(() => read(Buffer.concat([packet, packet]))).toThrow('expected the end of the bytes, got more');
    const two = Uint8Array.from(packet);
    two[two.length - 1] = 2;
    expect(() => read(two)).toThrow('expected END_OF_STATE, got DEV_CONFIG_STATE (in a packet of x)');
  });

  it('of random bytes neither crashes nor hangs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(() => read(bytes)).toThrow(StreamError);
      }),
    );
  });
});
