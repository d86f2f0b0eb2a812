import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_LINE } from '../../src/trace/lines.js';
import { CHUNK, MAX_RECORDS, type ScanKernel } from '../../src/trace/scan/kernel.js';
import { LineScanner } from '../../src/trace/scan/scan.js';
import { PlainKernel } from '../../src/trace/scan/scan-plain.js';
import { SimdKernel } from '../../src/trace/scan/scan-simd.js';

const LONGEST = `a_${'b'.repeat(61)}`;
const NAMES = [
  { name: 'vfio_save_block', wanted: true },
  { name: 'vfio_save_block_precopy_empty_hit', wanted: true },
  { name: 'vfio_load_state_device_buffer_load_start', wanted: true },
  { name: 'source_return_path_thread_postcopy_package_loaded', wanted: true },
  { name: LONGEST, wanted: true },
  { name: 'ram_save_page', wanted: false },
  { name: 'x_y', wanted: true },
];

interface Scanned {
  taken: { line: string; args: number; number: number; name: number }[];
  lines: number;
  counts: number[];
  others: [string, number][];
  open: boolean;
}

type Feed = (scanner: LineScanner, block: Buffer) => void;

const written: Feed = (scanner, block) => scanner.write(block);

/** The scanner reads into its own buffer. */
const pulled: Feed = (scanner, block) => {
  let from = 0;
  const fill = (into: Buffer, at: number, most: number) => {
    const length = block.copy(into, at, from, from + most);
    from += length;
    return length;
  };
  while (scanner.pull(fill) > 0);
};

function scan(
  kernel: ScanKernel,
  bytes: Uint8Array,
  cuts: readonly number[] = [],
  feed: Feed = written,
): Scanned {
  const taken: Scanned['taken'] = [];
  const scanner = new LineScanner(
    NAMES,
    (text, start, args, end, number, name) =>
      taken.push({ line: text.toString('latin1', start, end), args: args - start, number, name }),
    kernel,
  );
  let from = 0;
  for (const to of [...cuts, bytes.length].map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b)) {
    const block = Buffer.from(bytes.subarray(from, to));
    feed(scanner, block);
    block.fill(0xaa);
    from = to;
  }
  const open = scanner.end();
  return {
    taken,
    lines: scanner.lines,
    counts: NAMES.map((_, index) => scanner.count(index)),
    others: [...scanner.others()],
    open,
  };
}

const simd = () => SimdKernel.create()!;

/** What a scan must give, said with regular expressions. */
function expected(bytes: Uint8Array): Scanned {
  const text = Buffer.from(bytes).toString('latin1');
  const lines = text.split('\n');
  const open = lines.at(-1) !== '';
  if (!open) lines.pop();
  const counts = NAMES.map(() => 0);
  const others = new Map<string, number>();
  const taken: Scanned['taken'] = [];
  for (const [index, line] of lines.entries()) {
    const prefix = PREFIX.exec(line)?.[0] ?? '';
    const word = /^[^\0- ]*/.exec(line.slice(prefix.length))![0];
    if (word.length > 63 || !/^[a-z][a-z0-9_]*_[a-z0-9_]+$/.test(word)) continue;
    const name = NAMES.findIndex((known) => known.name === word);
    if (name < 0) others.set(word, (others.get(word) ?? 0) + 1);
    else counts[name]!++;
    if (NAMES[name]?.wanted) taken.push({ line, args: prefix.length + word.length, number: index + 1, name });
  }
  return { taken, lines: lines.length, counts, others: [...others], open };
}

const PREFIX = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z |\d+@\d+\.\d{6}:)/;

const prefix = fc.oneof(
  fc.constantFrom('', '2026-11-21T01:29:28.468502Z ', '2026-11-21T01:29:28Z ', '175@1795225654.036963:'),
  fc.constantFrom(
    '2026-11-21T01:29:28.46850Z ',
    '2026-11-21T01:29:28Z',
    '1@2.3:',
    '@1.000000:',
    '7@.000000:',
  ),
  fc.stringMatching(/^[0-9]{0,6}[@:. ]?[0-9]{0,12}[.@]?[0-9]{5,7}[:Z ]?$/),
);
const word = fc.oneof(
  fc.constantFrom(...NAMES.map(({ name }) => name)),
  fc.constantFrom(
    '',
    'vfio',
    'vfio_',
    '_vfio',
    'vfio_save_bloc',
    'vfio_save_block2',
    'Vfio_x',
    'v-f_x',
    'kvm_exit',
  ),
  fc.stringMatching(/^[a-z_]{0,4}[a-z0-9_]{0,40}$/),
  fc.constantFrom(`${LONGEST}b`, `a_${'b'.repeat(200)}`),
);
const rest = fc.oneof(
  fc.constantFrom('', ' ', '\r', '\t', ' (dev) data_size 24', '\0', ':', 'é'),
  fc.string({ maxLength: 60 }),
);
const line = fc.tuple(prefix, word, rest).map((parts) => parts.join(''));
const text = fc
  .tuple(
    fc.array(fc.oneof({ weight: 8, arbitrary: line }, fc.string({ maxLength: 200 }))),
    fc.constantFrom('', '\n'),
  )
  .map(([lines, end]) => Buffer.from(lines.join('\n') + end, 'latin1'));
const cuts = fc.array(fc.nat(2000), { maxLength: 8 });

describe('scan kernels', () => {
  it('agree with each other and with the plain description, however the text is cut', () => {
    fc.assert(
      fc.property(text, cuts, (bytes, places) => {
        const model = expected(bytes);
        expect(scan(new PlainKernel(), bytes, places)).toEqual(model);
        expect(scan(simd(), bytes, places)).toEqual(model);
        expect(scan(simd(), bytes, places, pulled)).toEqual(model);
      }),
      { numRuns: 500 },
    );
  });

  it('read into their own buffer what they are else given, lines that are too long too', () => {
    const long = `vfio_save_block ${'x'.repeat(MAX_LINE + CHUNK)}\n`;
    const lines = Buffer.from(`x_y 1\n${long}x_y 2\n${'y'.repeat(3 * CHUNK)}\nx_y 3\n${long}x_y`);
    for (const places of [[], [CHUNK + 7], [MAX_LINE + 30, MAX_LINE + CHUNK + 23]])
      expect(scan(simd(), lines, places, pulled)).toEqual(scan(simd(), lines, places));
  });

  it('agree on bytes of any kind', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), cuts, (bytes, places) => {
        expect(scan(simd(), bytes, places)).toEqual(scan(new PlainKernel(), bytes));
      }),
    );
  });

  it.each([
    ['plain', () => new PlainKernel()],
    ['simd', simd],
  ])('%s: hands out more lines than fit into one round, with their numbers', (_name, kernel) => {
    const count = MAX_RECORDS * 2 + 7;
    const found = scan(kernel(), Buffer.from('kvm_exit 1\nvfio_save_block x\n'.repeat(count)));
    expect(found.taken).toHaveLength(count);
    expect(found.taken.at(-1)).toEqual({ line: 'vfio_save_block x', args: 15, number: count * 2, name: 0 });
    expect(found.others).toEqual([['kvm_exit', count]]);
  });

  it.each([
    ['plain', () => new PlainKernel()],
    ['simd', simd],
  ])('%s: cuts lines that are too long and goes on behind them', (_name, kernel) => {
    for (const length of [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, MAX_LINE * 3]) {
      const head = 'vfio_save_block ';
      const bytes = Buffer.from(`x_y 1\n${head}${'z'.repeat(length - head.length)}\nx_y 2\n`);
      const whole = scan(kernel(), bytes);
      expect(whole.taken.map((one) => one.line.length)).toEqual([5, Math.min(length, MAX_LINE), 5]);
      expect(whole.lines).toBe(3);
      expect(scan(kernel(), bytes, [1, 7, CHUNK, MAX_LINE, MAX_LINE + 5, MAX_LINE + 6])).toEqual(whole);
    }
  });

  it('takes a last line without newline, also an endless one', () => {
    expect(scan(simd(), Buffer.from('x_y 1')).open).toBe(true);
    expect(scan(simd(), Buffer.from('x_y 1')).taken).toHaveLength(1);
    const endless = scan(simd(), Buffer.alloc(MAX_LINE * 2 + 5, 'x_y '));
    expect(endless).toMatchObject({ lines: 1, open: true });
    expect(endless.taken[0]?.line).toHaveLength(MAX_LINE);
  });

  it('keeps counting known names when there are too many unknown ones', () => {
    const many = Array.from({ length: 5000 }, (_, n) => `unknown_${n} \n`).join('');
    for (const kernel of [new PlainKernel(), simd()]) {
      const found = scan(kernel, Buffer.from(`${many}x_y\n${many}x_y\n`));
      expect(found.counts.at(-1)).toBe(2);
      expect(found.others.length).toBeGreaterThan(1000);
    }
  });
});
