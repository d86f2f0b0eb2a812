import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type BookSources, bookPages, type Page } from '../../src/document/book/index.js';
import { STREAM_PARTS } from '../../src/document/book/stream-layouts.js';
import { describeEntry } from '../../src/document/describe.js';
import { byteLayout } from '../../src/document/diagram/byte-layout.js';
import { sequenceOf } from '../../src/document/sequence.js';
import { CLAUSES, MACHINES, type MachineEntry } from '../../src/machines/index.js';
import { PROFILES } from '../../src/machines/profiles.js';
import { createMachine } from '../../src/machines/xstate.js';
import { RULES } from '../../src/rules/index.js';
import { type StreamItem, StreamWriter } from '../../src/stream/index.js';
import { escapeHtml } from '../../src/text/html.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { VFIO_STREAM_TAGS } from '../../src/uapi/qemu.js';
import { STREAM_MAGIC } from '../../src/uapi/qemu-stream.js';
import { MIG_STATES } from '../../src/uapi/vfio.js';
import { FeatureMigState, VFIO_STRUCTS } from '../../src/uapi/vfio-structs.js';

const RULE_TEXTS = RULES.map((rule) => ({ ...rule, clause: CLAUSES[rule.clause] }));

function bookOf(changed: Partial<BookSources> = {}): Map<string, string> {
  const pages: Page[] = bookPages({
    version: '0',
    machines: MACHINES,
    rules: RULE_TEXTS,
    facts: new Map(),
    profiles: PROFILES,
    recordings: [],
    formats: [],
    guides: [],
    ...changed,
  });
  return new Map(pages.map(({ path, body }) => [path, body.text]));
}

const book = bookOf();
const pageOf = (path: string): string => book.get(path)!;

/** Values of an attribute in their order. */
const values = (text: string, attribute: string): string[] =>
  [...text.matchAll(new RegExp(` ${attribute}="([^"]*)"`, 'g'))].map(([, value]) => value!);

describe('the matrix of requests', () => {
  const table: Record<string, Record<string, Record<string, string | null>>> = JSON.parse(
    readFileSync(new URL('../conformance/vfio-next-state.json', import.meta.url), 'utf8'),
  );
  const FLAGS = {
    'stop-copy': '1',
    'stop-copy + p2p': '3',
    'stop-copy + pre-copy': '5',
    'stop-copy + p2p + pre-copy': '7',
  } as const;
  const page = pageOf('machines/vfio-device.html');

  test.each(Object.entries(FLAGS))("%s: each cell's first state is the kernel's", (set, flags) => {
    const start = page.indexOf(`data-caps="${set}"`);
    const cells = page
      .slice(start, page.indexOf('</table>', start))
      .matchAll(/<td class="\w+" data-from="(\w+)" data-to="(\w+)" data-path="([^"]*)"/g);
    const found = [...cells].map(([, from, to, path]) => [from!, to!, path!] as const);
    expect(found).toHaveLength(MIG_STATES.length ** 2);
    for (const [from, to, path] of found) {
      const first = path === 'refused' ? null : path === '' ? from : path.split(' ')[0];
      const last = path === 'refused' || path === '' ? null : path.split(' ').at(-1);
      expect([from, to, first]).toEqual([from, to, table[flags]![from]![to]]);
      expect(last ?? to).toBe(to);
    }
  });
});

describe('pages of machines', () => {
  test.each(MACHINES.map((entry) => ({ name: entry.name, entry })))(
    '$name has its states drawn and listed',
    ({ name, entry }) => {
      const page = pageOf(`machines/${name}.html`);
      const machine = describeEntry(entry, entry.capabilitySets.at(-1)!);
      const states = (machine.regions ?? [machine]).flatMap((region) =>
        region.states.map((state) => state.name),
      );
      const drawn = new Set(values(page, 'data-state'));
      for (const state of states) {
        const own = machine.regions === undefined ? state.slice(state.indexOf('.') + 1) : state;
        expect(drawn, state).toContain(own);
        expect(page).toContain(`<td><code>${own}</code>`);
      }
      const known = new Set(states.map((state) => state.slice(state.indexOf('.') + 1)));
      for (const state of drawn) expect([...known], state).toContain(state);
      // Each arrow that is drawn is an arc of the machine.
      const described = entry.capabilitySets.map((caps) => describeEntry(entry, caps));
      const local = (state: string): string => state.slice(state.indexOf('.') + 1);
      const arcs = new Set(
        described
          .flatMap((each) => [...each.arcs, ...(each.regions ?? []).flatMap((region) => region.arcs)])
          .map(({ from, to }) => `${local(from)} ${local(to)}`),
      );
      const arrows = [...page.matchAll(/class="arc" data-from="([^"]+)" data-to="([^"]+)"/g)];
      for (const [, from, to] of arrows) expect(arcs).toContain(`${from} ${to}`);
      expect(arrows.length > 0 || [...arcs].every((arc) => arc.split(' ')[0] === arc.split(' ')[1])).toBe(
        true,
      );
    },
  );

  test('an arc that is changed in a copy of a machine changes its page, and no other', () => {
    const changed = MACHINES.map((entry): MachineEntry => {
      if (entry.name !== 'dma-logging') return entry;
      return {
        ...entry,
        make: (caps) => {
          const { config } = entry.make(caps);
          const copy = JSON.parse(JSON.stringify(config));
          copy.states.on.on['STOP.ok'].target = 'after_reset';
          return createMachine(copy);
        },
      };
    });
    const other = bookOf({ machines: changed });
    const different = [...book.keys()].filter((path) => book.get(path) !== other.get(path));
    expect(different).toEqual(['machines/dma-logging.html']);
    expect(other.get('machines/dma-logging.html')).toContain('data-from="on" data-to="after_reset"');
  });
});

test('a request that a copy of the device refuses is refused in the matrix', () => {
  const changed = MACHINES.map((entry): MachineEntry => {
    if (entry.name !== 'vfio-device') return entry;
    return {
      ...entry,
      make: (caps) => {
        const copy = JSON.parse(JSON.stringify(entry.make(caps).config));
        delete copy.states.device.states.STOP.on['SET.RESUMING.data_fd'];
        return createMachine(copy);
      },
    };
  });
  const page = bookOf({ machines: changed }).get('machines/vfio-device.html')!;
  expect(page).toContain('data-from="STOP" data-to="RESUMING" data-path="refused"');
  expect(pageOf('machines/vfio-device.html')).not.toContain(
    'data-from="STOP" data-to="RESUMING" data-path="refused"',
  );
});

describe('pages of rules', () => {
  test('each rule has one, with its words and its examples', () => {
    for (const { id, about, causes, clause } of RULE_TEXTS) {
      const page = pageOf(`rules/${id}.html`);
      for (const words of [about, causes, clause.text, clause.source])
        expect(page).toContain(escapeHtml(words));
      expect(page).toContain('<h3>Conformant</h3>');
    }
  });

  test('what is known of a rule stands on its page', () => {
    const facts = new Map([
      [
        'VFIO-RST-02',
        {
          found: ['<it>'],
          deviations: [{ profile: 'p', words: 'w' }],
          bugs: [{ fault: 'f', title: 't', origin: 'a driver' }],
          recordings: ['a/b'],
        },
      ],
    ]);
    const page = bookOf({ facts }).get('rules/VFIO-RST-02.html')!;
    expect(page).toContain('<p class="found">&lt;it&gt;</p>');
    expect(page).toContain('<code>a/b</code>');
    expect(page).toContain('<code>fault=f</code>');
  });
});

test('every link of the book leads to a page of it, and to a place that is there', () => {
  const broken: string[] = [];
  for (const [path, text] of book)
    for (const href of values(text, 'href')) {
      const [target = '', anchor] = href.split('#');
      const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/') + 1) : '';
      const to = target === '' ? path : new URL(target, `file:///${folder}`).pathname.slice(1);
      const there = book.get(to);
      if (there === undefined || (anchor !== undefined && !there.includes(`id="${anchor}"`)))
        broken.push(`${path}: ${href}`);
    }
  expect(broken).toEqual([]);
});

describe('byte layouts', () => {
  test('each struct of the uAPI is drawn, its fields at their offsets', () => {
    const page = pageOf('formats/vfio.html');
    for (const { name, offsets } of VFIO_STRUCTS) {
      expect(values(page, 'id')).toContain(name);
      for (const [field, offset] of Object.entries(offsets))
        expect(page).toContain(`data-field="${field}" data-offset="${offset}"`);
    }
  });

  test('the parts of a migration stream are as the writer of streams writes them', () => {
    const written = (...items: readonly StreamItem[]): Buffer => {
      const pieces: Uint8Array[] = [];
      const writer = new StreamWriter((piece) => {
        pieces.push(piece.slice());
      });
      for (const item of items) writer.item(item);
      writer.flush();
      return Buffer.concat(pieces);
    };
    const section = { idstr: 'ram', instance: 0x11121314, version: 0x21222324, id: 0x31323334 } as const;
    const examples: Record<string, Buffer> = {
      header: written({ kind: 'header', version: 3 }),
      'section START, FULL': written({ kind: 'section', type: 'START', ...section }),
      'section PART, END': written({ kind: 'section', type: 'PART', ...section }),
      'section footer': written({ kind: 'section-end', footer: true, id: section.id } as StreamItem),
      command: written({ kind: 'command', name: 'SWITCHOVER_START' } as StreamItem),
      'VFIO data record': written({ kind: 'vfio', tag: 'DEV_DATA_STATE', size: 0x41424344 }),
    };
    const wanted: Record<string, number | bigint> = {
      magic: STREAM_MAGIC,
      version: 3,
      section_id: section.id,
      idstr_len: 3,
      instance_id: section.instance,
      version_id: section.version,
      command: 11,
      length: 0,
      tag: VFIO_STREAM_TAGS.DEV_DATA_STATE,
      data_size: 0x41424344,
    };
    expect(STREAM_PARTS.map(({ name }) => name)).toEqual(Object.keys(examples));
    for (const { name, size, rows } of STREAM_PARTS) {
      const bytes = examples[name]!;
      expect(bytes.length, name).toBe(size);
      for (const row of rows.filter((each) => wanted[each.name] !== undefined))
        expect(
          BigInt(`0x${bytes.subarray(row.offset, row.offset + row.size).toString('hex')}`),
          row.name,
        ).toBe(BigInt(wanted[row.name]!));
    }
  });

  test('bytes that no field has are padding, and long runs are folded', () => {
    const rows = [
      { name: 'a', offset: 0, size: 2, type: 'u16' },
      { name: 'b', offset: 4, size: 100, type: 'u8[100]' },
    ];
    const { text } = byteLayout('x', rows, 104);
    expect(text).toContain('class="field padding"');
    expect(text).toMatch(/b \(bytes \d+ to \d+\)/);
    expect(FeatureMigState.size).toBe(8);
  });
});

describe('sequences', () => {
  const on = { host: 'src', device: 'vf0' } as const;
  const read = (result: number): TraceEvent => ({ kind: 'data_read', ...on, size: 4096, result });

  test('runs of a step are one, with their bytes; failures are told', () => {
    const { steps, lanes, left } = sequenceOf(
      [
        { kind: 'set_state', ...on, state: 'STOP_COPY' },
        { kind: 'set_state_result', ...on, state: 'STOP_COPY', errno: 0, dataFd: true },
        read(100),
        read(50),
        read(0),
        { kind: 'set_state', ...on, state: 'STOP' },
        { kind: 'set_state_result', ...on, errno: 5 },
      ],
      ['src'],
    );
    expect(lanes.map(({ id }) => id)).toEqual(['src', 'src/vf0']);
    expect(left).toBe(0);
    expect(steps.map(({ text, times, bytes, kind }) => [text, times, bytes, kind])).toEqual([
      ['SET_STATE STOP_COPY', 1, 0, 'call'],
      ['STOP_COPY', 1, 0, 'state'],
      ['read', 2, 150, 'data'],
      ['read: end', 1, 0, 'data'],
      ['SET_STATE STOP', 1, 0, 'call'],
      ['EIO', 1, 0, 'fails'],
    ]);
  });

  test('a run without end is drawn up to a bound, and it is told how much is left', () => {
    const events = Array.from(
      { length: 500 },
      (_, index): TraceEvent => ({
        kind: 'set_state',
        ...on,
        state: MIG_STATES[index % 2 === 0 ? 1 : 2]!,
      }),
    );
    const { steps, left } = sequenceOf(events, []);
    expect(steps.length + left).toBe(500);
    expect(left).toBeGreaterThan(0);
  });
});
