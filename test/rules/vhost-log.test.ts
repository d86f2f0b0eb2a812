import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backEndOf, LOGGED, PLAIN, usedAt, word } from '../../src/rules/vhost-example.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { VHOST_FEATURES } from '../../src/uapi/vhost.js';
import { USED, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';
import { validateEvents } from '../../src/validate/index.js';
import type { Finding, Report } from '../../src/validate/report.js';
import { logRun, naiveMissing, numbers } from './vhost-log-run.js';

const SEED = fc.integer({ min: 0, max: 2 ** 31 });
const RUNS = 400;
/** Rules about pages that are missing by the fault of the back end. */
const MISSING = /^VHOST-LOG-(0\d|10|11|16|17|18)$/;

const serious = ({ violations }: Report): Finding[] => violations.filter(({ level }) => level !== 'note');
const said = (findings: readonly Finding[]): string[] =>
  findings.map(({ rule, message }) => `${rule} ${message}`);
const pagesOf = (findings: readonly Finding[]): number[] =>
  [
    ...new Set(findings.map(({ message }) => Number.parseInt(/page 0x([0-9a-f]+)/.exec(message)![1]!, 16))),
  ].sort((a, b) => a - b);

describe('random runs', () => {
  test('a back end that marks what it writes is conformant', () => {
    fc.assert(
      fc.property(SEED, (seed) => {
        const { events } = logRun(seed);
        const report = validateEvents(events);
        expect(said(serious(report))).toEqual([]);
        expect(report.verdict).toBe('conformant');
        expect([...naiveMissing(events)]).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('each mark that is left out is found when the naive law misses its page, and no other page is named', () => {
    let found = 0;
    fc.assert(
      fc.property(SEED, SEED, (seed, choice) => {
        const { marks, logged } = logRun(seed);
        const left = numbers(choice)(marks);
        const { events } = logRun(seed, [left]);
        const missing = [...naiveMissing(events)].sort((a, b) => a - b);
        const findings = serious(validateEvents(events));
        expect(said(findings.filter(({ rule }) => !MISSING.test(rule)))).toEqual([]);
        expect(pagesOf(findings)).toEqual(missing);
        for (const { message } of findings) expect(message).toContain(`(${logged[left]!.what}, `);
        if (missing.length > 0) found++;
      }),
      { numRuns: RUNS },
    );
    expect(found).toBeGreaterThan(RUNS / 20);
  });

  test('all marks of one kind of write that are left out are found', () => {
    let found = 0;
    fc.assert(
      fc.property(SEED, fc.constantFrom('buffer', 'used', 'used_idx', 'avail_event'), (seed, what) => {
        const { logged } = logRun(seed);
        const left = [...logged.keys()].filter((mark) => logged[mark]!.what === what);
        const { events } = logRun(seed, left);
        const missing = [...naiveMissing(events)].sort((a, b) => a - b);
        const findings = serious(validateEvents(events));
        expect(pagesOf(findings.slice(0, 64))).toEqual(
          missing.slice(0, pagesOf(findings.slice(0, 64)).length),
        );
        expect(findings.length > 0).toBe(missing.length > 0);
        if (missing.length > 0) found++;
      }),
      { numRuns: RUNS },
    );
    expect(found).toBeGreaterThan(RUNS / 4);
  });

  test('what is not in the trace accuses nobody', () => {
    fc.assert(
      fc.property(SEED, SEED, (seed, choice) => {
        const { events } = logRun(seed);
        const random = numbers(choice);
        const kinds = [...new Set(events.map(({ kind }) => kind))];
        const gone = new Set(kinds.filter(() => random(4) === 0));
        const report = validateEvents(events.filter(({ kind }) => !gone.has(kind)));
        expect(said(serious(report)), `without ${[...gone].join()}`).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('a trace that begins in the middle accuses nobody', () => {
    fc.assert(
      fc.property(SEED, fc.nat(200), (seed, from) => {
        expect(said(serious(validateEvents(logRun(seed).events.slice(from))))).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});

const BUFFER = 0x40_0000;
const LARGE = 1024;
const used = usedAt(0);
const page = (address: number) => Math.floor(address / 4096);

describe.each(['kernel', 'user'] as const)('over %s', (via) => {
  const b = backEndOf(via);
  const logging = (num = 256) => [...b.started(1, { num }), ...b.logOn(), b.read([])];
  const ending = (...pages: number[]) => [...b.halt(0), b.read(pages, true)];
  const elements = (slot: number, count = 1) => b.write('used', used + USED.ring + 8 * slot, 8 * count);
  const index = b.write('used_idx', used + USED.idx, 2);
  const rulesOf = (...events: TraceEvent[]) => [
    ...new Set(serious(validateEvents(events)).map(({ rule }) => rule)),
  ];

  const end = page(used + USED.ring + 8 * 1023);
  const FAULTS: [string, string[], TraceEvent[]][] = [
    ['missed buffer bit', ['VHOST-LOG-01'], [...logging(), b.write('buffer', BUFFER, 64), ...ending()]],
    [
      'missed used element',
      ['VHOST-LOG-04'],
      [...logging(LARGE), elements(700), index, ...ending(page(used))],
    ],
    [
      'missed index',
      ['VHOST-LOG-06'],
      [...logging(LARGE), elements(700), index, ...ending(page(used + USED.ring + 5600))],
    ],
    ['missed flags', ['VHOST-LOG-07'], [...logging(), b.write('used_flags', used, 2), ...ending()]],
    [
      'missed avail event',
      ['VHOST-LOG-08'],
      [...logging(LARGE), b.write('avail_event', used + USED.event(LARGE), 2), ...ending()],
    ],
    [
      'bit after wrap',
      ['VHOST-LOG-05', 'VHOST-LOG-06'],
      [...logging(LARGE), elements(1022, 2), elements(0, 3), index, ...ending(end, end + 1)],
    ],
    [
      'sub-page offset',
      ['VHOST-LOG-03'],
      [...logging(), b.write('buffer', BUFFER + 4000, 200), ...ending(page(BUFFER))],
    ],
    [
      'huge buffer partly marked',
      ['VHOST-LOG-02'],
      [...logging(), b.write('buffer', BUFFER, 0x8000), ...ending(page(BUFFER), page(BUFFER) + 7)],
    ],
    [
      'late base swap',
      ['VHOST-LOG-16'],
      [
        ...logging(),
        b.write('buffer', BUFFER, 64),
        b.log(),
        b.read([page(BUFFER)]),
        b.write('buffer', BUFFER + 0x1000, 64),
        b.write('buffer', BUFFER + 0x2000, 64),
        ...ending(page(BUFFER) + 2),
      ],
    ],
    [
      'marks lost with the old log',
      ['VHOST-LOG-17'],
      [...logging(), b.write('buffer', BUFFER, 64), b.log(), b.read([]), ...ending()],
    ],
    [
      'LOG_ALL off in a migration',
      ['VHOST-VMM-12'],
      [...logging(), b.features(PLAIN), b.write('buffer', BUFFER, 64), b.features(LOGGED), ...ending()],
    ],
    [
      'ring flag off in a migration',
      ['VHOST-VMM-12'],
      [...logging(), b.addr(0, false), elements(0), index, b.addr(0, true), ...ending()],
    ],
    [
      'mark outside the log',
      ['VHOST-LOG-12'],
      [...logging(), b.bare('vhost_log_overrun', { page: 0x10_0000 }), ...ending()],
    ],
    [
      'mark after the stop',
      ['VHOST-LOG-14'],
      [...logging(), b.write('buffer', BUFFER, 64), ...ending(page(BUFFER)), b.read([page(BUFFER)])],
    ],
  ];

  test.each(FAULTS)('%s is %s', (_name, rules, events) => {
    expect(rulesOf(...events)).toEqual(rules);
  });

  test('a finding names page, address, writer and both switches', () => {
    const events = [...logging(), b.write('buffer', BUFFER + 16, 64), ...ending()];
    expect(serious(validateEvents(events))[0]).toMatchObject({
      device: 'net0',
      message:
        'page 0x400 (guest physical address 0x400000) was written by ring 0 (buffer, 64 bytes at 0x400010), ' +
        'and no reading of the log has it since; LOG_ALL on, log flag of ring 0 on',
    });
  });

  test('a bit may come later than the reading behind its write', () => {
    const events = [
      ...logging(),
      b.write('buffer', BUFFER, 64),
      b.read([]),
      b.read([]),
      ...ending(page(BUFFER)),
    ];
    expect(said(serious(validateEvents(events)))).toEqual([]);
  });

  test('each switch is of its own writes', () => {
    const plain = [...b.started(), b.log(), b.features(LOGGED)];
    expect(rulesOf(...plain, elements(0), index, ...ending())).toEqual([]);
    const flagOnly = [...b.started(), b.log(), b.addr(0, true)];
    expect(rulesOf(...flagOnly, b.write('buffer', BUFFER, 64), ...ending())).toEqual([]);
  });

  test('what is missing after a migration that was given up is not missing in the next one', () => {
    const events = [
      ...logging(),
      b.write('buffer', BUFFER, 64),
      ...b.logOff(),
      b.write('buffer', BUFFER, 64),
      ...b.logOn(),
      b.read([]),
      ...ending(),
    ];
    expect(said(serious(validateEvents(events)))).toEqual([]);
  });

  test('a log that two back ends share may be read by one of them', () => {
    const other = backEndOf(via, 'net1');
    const events = [
      ...logging(),
      ...other.started(),
      ...other.logOn(),
      other.read([]),
      b.write('buffer', BUFFER, 64),
      ...other.halt(0),
      other.read([page(BUFFER)], true),
      ...ending(),
    ];
    expect(said(serious(validateEvents(events)))).toEqual([]);
  });

  test('of memory with two addresses both are marked', () => {
    const features = word(VIRTIO_FEATURES.VERSION_1, VHOST_FEATURES.LOG_ALL, VIRTIO_FEATURES.ACCESS_PLATFORM);
    const events = [
      ...b.started(),
      b.offered(features),
      b.log(),
      b.features(features),
      b.addr(0, true),
      b.write('buffer', BUFFER + 8, 64),
      b.write('buffer', BUFFER + 0x10_0008, 64),
    ];
    expect(rulesOf(...events, ...ending(page(BUFFER) + 256))).toEqual(['VHOST-LOG-11']);
    expect(rulesOf(...events, ...ending(page(BUFFER), page(BUFFER) + 256))).toEqual([]);
  });

  test('where only memory is seen, a page that changed is marked before the look or after it', () => {
    const marked = [...logging(), b.read([7]), b.changed(7, 9), ...ending(9)];
    expect(rulesOf(...marked)).toEqual([]);
    expect(rulesOf(...logging(), b.read([7]), b.changed(7, 9), ...ending())).toEqual(['VHOST-LOG-18']);
  });

  test('addresses, lengths and runs beyond all bounds end soon', () => {
    const huge = Number.MAX_SAFE_INTEGER;
    const many = Array.from({ length: 2000 }, (_, n): [number, number] => [n, huge - n]);
    const events = [
      ...logging(),
      b.write('buffer', 0, huge - 1),
      b.bare('vhost_write', { index: 0, what: 'buffer', address: '0xfffffffffffff000', length: 8192 }),
      b.bare('vhost_log_read', { pages: many }),
      b.changed(huge),
      b.bare('vhost_page_change', { pages: [[0, huge]] }),
      ...ending(),
    ];
    const begun = performance.now();
    validateEvents(events);
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});

describe('a ring without a backend', () => {
  const b = backEndOf();
  const logging = [...b.started(), ...b.logOn()];
  const write = b.write('buffer', BUFFER, 64);
  const rules = (...events: TraceEvent[]) => serious(validateEvents(events)).map(({ rule }) => rule);

  test('is left alone, also when nothing follows', () => {
    expect(rules(...logging, ...b.halt(0), b.read([], true), write)).toEqual(['VHOST-LOG-15']);
    expect(rules(...logging, ...b.halt(0), write, b.read([page(BUFFER)], true))).toEqual(['VHOST-LOG-15']);
    expect(rules(...logging, ...b.halt(0), write, b.num(0, 256), b.backend(0))).toEqual(['VHOST-LOG-15']);
  });

  test('writes are told before the request that attaches it has returned', () => {
    expect(
      rules(...logging, ...b.halt(0), write, b.backend(0), ...b.halt(0), b.read([page(BUFFER)], true)),
    ).toEqual([]);
  });
});

describe('profiles', () => {
  test('libvhost-user marks neither flags nor avail event, and does not look at the ring flag', () => {
    const u = backEndOf('user');
    const events = [
      ...u.started(1, { num: LARGE }),
      ...u.logOn(),
      u.read([]),
      u.features(PLAIN),
      u.write('used', used + USED.ring + 5600, 8),
      u.write('avail_event', used + USED.event(LARGE), 2),
      u.write('used_flags', used, 2),
      ...u.halt(0),
      u.read([], true),
    ];
    expect(validateEvents(events).verdict).toBe('violation');
    const report = validateEvents(events, { profile: 'libvhost-user' });
    expect(report.verdict).toBe('conformant');
    expect(report.violations.map(({ rule, known }) => [rule, known !== null])).toEqual([
      ['VHOST-LOG-07', true],
      ['VHOST-LOG-04', true],
      ['VHOST-LOG-08', true],
    ]);
  });

  test('vhost-vsock never marks payload', () => {
    const k = backEndOf();
    const events = [
      ...k.started(),
      ...k.logOn(),
      k.write('buffer', BUFFER, 64),
      k.write('buffer', BUFFER + 4000, 200),
      ...k.halt(0),
      k.read([], true),
    ];
    expect(validateEvents(events, { profile: 'vhost-vsock' }).verdict).toBe('conformant');
    expect(validateEvents(events).verdict).toBe('violation');
  });
});
