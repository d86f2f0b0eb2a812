import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { Finding, Report } from '../../src/validate/report.js';
import { expectOneLine, expectRefusal, MAIN, stopcopy, validate } from '../support/cli.js';
import { deviceName, multiplied, traceLines, tracePath, traceText } from '../support/qemu-trace.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-hard-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
/** A new file with this content; its name up to the first dot is `src`. */
function file(content: string | Uint8Array, name = 'src.trace.log'): string {
  const own = join(folder, String(++files));
  mkdirSync(own);
  const path = join(own, name);
  writeFileSync(path, typeof content === 'string' ? Buffer.from(content, 'latin1') : content);
  return path;
}

const GOOD = 'qemu-11.1/happy-default/src.trace.log';
const BAD = 'qemu-11.1/cancel-pre-switchover/src.trace.log';

/** What is the same for a log however it was written: verdicts, findings without their lines, rules. */
function meaning({ verdict, devices, violations, rules }: Report) {
  const found = violations.map(({ file: _file, line: _line, ...rest }: Finding) => rest);
  return { verdict, devices, violations: found, rules };
}

describe('a log that is cut in the middle of a line', () => {
  /** The log up to the middle of the line with this number (from 1), which it does not end. */
  const cutIn = (name: string, line: number) => {
    const lines = traceLines(name);
    return file([...lines.slice(0, line - 1), lines[line - 1]!.slice(0, 60)].join('\n'));
  };

  it('is conformant up to there', () => {
    const { code, report } = validate([cutIn(GOOD, 212)]);
    expect({ code, verdict: report.verdict, cut: report.inputs[0]?.cut }).toEqual({
      code: 0,
      verdict: 'conformant',
      cut: true,
    });
    expect(report.events).toMatchObject({ lines: 212, malformed: 0 });
  });

  it('says so to people', () => {
    const { code, out } = stopcopy(['validate', cutIn(GOOD, 200)]);
    expect(code).toBe(0);
    expect(out).toMatch(/incomplete:\s+the\s+recording\s+was\s+cut/);
  });

  it('is a violation when the cut comes after one, and none when it comes before', () => {
    const [violation] = validate([tracePath(BAD)]).report.violations;
    const line = violation!.line!;
    const after = validate([cutIn(BAD, line + 1)]);
    expect({ code: after.code, cut: after.report.inputs[0]?.cut }).toEqual({ code: 1, cut: true });
    expect(after.report.violations[0]).toMatchObject({ rule: violation!.rule, line });
    const before = validate([cutIn(BAD, line)]);
    expect({ code: before.code, cut: before.report.inputs[0]?.cut }).toEqual({ code: 0, cut: true });
  });

  it('does not take a part of a word for the word', () => {
    const lines = traceLines(GOOD);
    const number = lines.findIndex((line) => line.endsWith('state STOP_COPY'));
    const cut = lines
      .slice(0, number + 1)
      .join('\n')
      .replace(/_COPY$/, '');
    expect(validate([file(cut)])).toMatchObject({ code: 0, report: { violations: [] } });
  });

  it('in a compressed file too', () => {
    const whole = zlib.gzipSync(traceText(GOOD).repeat(4));
    const { code, report } = validate([file(whole.subarray(0, whole.length - 1000), 'src.log.gz')]);
    expect({ code, cut: report.inputs[0]?.cut }).toEqual({ code: 0, cut: true });
    expect(report.inputs[0]?.remarks.join()).toMatch(/gzip data is damaged or incomplete/);
  });
});

describe('foreign and damaged bytes between the lines of a log', () => {
  const FOREIGN = [
    "qemu-system-x86_64: warning: host doesn't support requested feature: CPUID.01H:ECX.vmx",
    '[   26.216236] mtty mtty: mtty_set_state -> 7',
    '{"event": "STOP", "timestamp": {"seconds": 1795231226, "microseconds": 1}}',
    'vfio: listener region add 0xfee00000 - 0xfeefffff',
    'kvm_run_exit cpu_index 0, reason 2',
    'SeaBIOS (version rel-1.17.0)',
    '',
    '   ',
    '\0\0\0\0',
    '\xff\xfe\x80 not UTF-8 \xc3\x28',
    '\x1b[31mred\x1b[0m',
    'x'.repeat(5000),
  ];

  it.each([GOOD, BAD])('changes nothing in the verdict on %s', (name) => {
    const lines = traceLines(name);
    const plain = meaning(validate([file(`${lines.join('\n')}\n`)]).report);
    for (const seed of [1, 2]) {
      const places = fc.sample(fc.nat(lines.length), { seed, numRuns: 60 });
      const mixed = lines.flatMap((line, at) => [
        ...places.filter((place) => place === at).map((_, n) => FOREIGN[(at + n) % FOREIGN.length]!),
        line,
      ]);
      const run = validate([file(`${mixed.join('\n')}\n`)]);
      expect(meaning(run.report)).toEqual(plain);
      expect(run.code).toBe(plain.verdict === 'violation' ? 1 : 0);
      expect(run.err).toBe('');
      expect(run.report.events.lines).toBe(mixed.length);
    }
  });

  it('names the right line all the same', () => {
    const lines = traceLines(BAD);
    const [first] = validate([file(`${lines.join('\n')}\n`)]).report.violations;
    const mixed = [...FOREIGN, ...lines];
    const [second] = validate([file(`${mixed.join('\n')}\n`)]).report.violations;
    expect(second?.line).toBe(first!.line! + FOREIGN.length);
  });

  it.each([GOOD, BAD])('reads CRLF: %s', (name) => {
    const lines = traceLines(name);
    const plain = validate([file(`${lines.join('\n')}\n`)]).report;
    const crlf = validate([file(`${lines.join('\r\n')}\r\n`)]).report;
    expect(meaning(crlf)).toEqual(meaning(plain));
    expect(crlf.violations.map(({ line }) => line)).toEqual(plain.violations.map(({ line }) => line));
  });

  it('takes a line with NUL bytes or broken UTF-8 in it for malformed or foreign, never for another', () => {
    for (const bytes of ['\0', '\xff', '\xc3\x28']) {
      const text = traceLines(GOOD)
        .map((line, n) => (n % 25 === 0 ? `${line.slice(0, 45)}${bytes}${line.slice(45)}` : line))
        .join('\n');
      const { code, err, report } = validate([file(`${text}\n`)]);
      expect(code).not.toBe(2);
      expect(err).toBe('');
      expect(report.events.lines).toBe(traceLines(GOOD).length);
    }
  });
});

describe('a thousand devices', { timeout: 60_000 }, () => {
  const DEVICES = 1000;
  const log = (name: string, edit?: (line: string, n: number) => string | undefined) =>
    file(`${[...multiplied(traceLines(name), DEVICES, edit)].join('\n')}\n`);

  it('are judged one by one', () => {
    const broken = new Set([7, 500, 999]);
    const path = log(GOOD, (line, n) => (broken.has(n) && line.includes('PRE_COPY_P2P') ? undefined : line));
    const { code, report, peak } = validate([path]);
    expect(code).toBe(1);
    expect(report.devices.length).toBe(DEVICES);
    const found = report.devices.filter(({ verdict }) => verdict === 'violation').map(({ id }) => id);
    expect(found).toEqual([...broken].map(deviceName));
    expect(report.devices.every(({ finalState }) => finalState === 'STOP')).toBe(true);
    expect(peak).toBeLessThan(200);
  });

  it('are conformant when all are', () => {
    const { code, report, peak } = validate([log(GOOD)]);
    expect({ code, violations: report.violations }).toEqual({ code: 0, violations: [] });
    expect(new Set(report.devices.map(({ verdict }) => verdict))).toEqual(new Set(['conformant']));
    expect(peak).toBeLessThan(200);
  });

  it('are violations when all are, also those whose findings are not listed', () => {
    const path = log(BAD);
    for (const most of ['100', '0']) {
      const { code, report } = validate([path], { flags: ['--max-findings', most] });
      expect(code).toBe(1);
      expect(report.violations.length).toBe(Number(most));
      expect(report.devices.filter(({ verdict }) => verdict === 'violation').length).toBe(DEVICES);
      expect(report.suppressed['VMM-MIG-07']).toBe(DEVICES - Number(most));
    }
  });

  it('fit on a screen', () => {
    const { code, out } = stopcopy(['validate', log(BAD)]);
    expect(code).toBe(1);
    expect(out.split('\n').length).toBeLessThan(200);
    expect(out).toMatch(/1,000 of 1,000 devices affected/);
  });

  it('that are more than can be followed leave the rest unjudged, and the verdict open', () => {
    const text = Array.from(
      { length: 20_000 },
      (_, n) => `vfio_migration_set_device_state  (${deviceName(n)}) state RUNNING\n`,
    );
    const { code, report, peak } = validate([file(text.join(''))]);
    expect({ code, verdict: report.verdict }).toEqual({ code: 3, verdict: 'inconclusive' });
    expect(report.reason).toMatch(/17,952 events of further devices were not judged/);
    expect(report.inputs[0]?.remarks.length).toBe(1);
    expect(peak).toBeLessThan(200);
  });
});

describe('inputs that cannot be judged at all', () => {
  const random = Buffer.from(
    fc.sample(fc.uint8Array({ minLength: 9000, maxLength: 9000 }), { seed: 5, numRuns: 1 })[0]!,
  );

  it.each<[string, () => string, RegExp]>([
    [
      'an unknown format',
      () => file('Lorem ipsum dolor sit amet\nconsectetur\n'.repeat(50)),
      /unknown format/,
    ],
    ['one word', () => file('hello'), /unknown format/],
    ['an empty file', () => file(''), /is empty/],
    ['newlines only', () => file('\n\n\n'), /unknown format/],
    ['gzip of an empty file', () => file(zlib.gzipSync(''), 'x.gz'), /is empty/],
    [
      'damaged gzip',
      () => file(Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), random])),
      /gzip data is damaged/,
    ],
    [
      'damaged zstd',
      () => file(Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), random])),
      /zstd data is damaged/,
    ],
    [
      'gzip of gzip',
      () => file(zlib.gzipSync(zlib.gzipSync(traceText(GOOD)))),
      /binary data of unknown format/,
    ],
    ['a directory', () => folder, /is a directory/],
    ['a binary', () => process.execPath, /binary data of unknown format/],
    ['random bytes', () => file(random), /unknown format/],
    ['zeros', () => file(Buffer.alloc(100_000)), /binary data of unknown format/],
    ['a missing file', () => join(folder, 'gone.log'), /no such file/],
    ['a file in a missing folder', () => join(folder, 'no/such/gone.log'), /no such file/],
    ['a file below a file', () => join(tracePath(BAD), 'x'), /not a directory/],
    ['a name with a NUL', () => `${folder}/a\\0b`, /no such file/],
    [
      'a log of protocol v1',
      () => file('vfio_migration_probe  (vf0) Region 9\nvfio_migration_set_state  (vf0) state 3\n'),
      /protocol v1/,
    ],
  ])('%s', (_what, path, words) => {
    expectRefusal(stopcopy(['validate', path()]), words);
  });

  it('and neither can they be converted', () => {
    for (const path of [folder, file(''), file(random)])
      expectRefusal(
        stopcopy(['convert', '-o', join(folder, 'out.ndjson'), path]),
        /directory|empty|unknown format/,
      );
  });

  it('an unknown format that was asked for', () => {
    expectRefusal(
      stopcopy(['validate', '--format', 'qemu', tracePath(BAD)]),
      /unknown format "qemu"; formats are/,
    );
  });

  it('a named format that the file does not have is read, and shows nothing', () => {
    const { code, report } = validate([file('Lorem ipsum\n'.repeat(10))], {
      flags: ['--format', 'qemu-log'],
    });
    expect({ code, verdict: report.verdict }).toEqual({ code: 3, verdict: 'inconclusive' });
    expectRefusal(
      stopcopy(['validate', '--format', 'qemu-simpletrace', tracePath(BAD)]),
      /no simpletrace header/,
    );
  });

  it.skipIf(process.getuid?.() === 0)('a file that must not be read', () => {
    const path = file(traceText(BAD));
    chmodSync(path, 0);
    expectRefusal(stopcopy(['validate', path]), /permission denied/);
  });
});

describe('known formats without one relevant event', () => {
  const head = '{"schema":"stopcopy-trace-1"}\n';

  it.each<[string, string]>([
    [
      'a QEMU log of something else',
      'kvm_run_exit cpu_index 0, reason 2\nmigrate_set_state new state setup\n',
    ],
    ['a QEMU log that opens its device', traceText('qemu-11.1/postcopy-cap/dst.trace.log')],
    [
      'a QMP stream',
      '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 1, "major": 11}}, "capabilities": []}}\n{"return": {}}\n',
    ],
    ['a kernel log', '[    0.000000] Linux version 7.2.12\n[    0.004000] Command line: console=ttyS0\n'],
    ['an strace', 'openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3\nread(3, "", 4096) = 0\nclose(3) = 0\n'],
    ['a canonical trace with its head only', head],
    ['a canonical trace of the VM only', `${head}{"kind":"run_state","host":"src","to":"running"}\n`],
  ])('%s is inconclusive', (_what, text) => {
    const { code, report, err } = validate([file(text)]);
    expect({ code, verdict: report.verdict, err }).toEqual({ code: 3, verdict: 'inconclusive', err: '' });
    expect(report.reason).toMatch(/\w/);
    expect(stopcopy(['validate', '--quiet', file(text)]).out).toMatch(/^verdict: INCONCLUSIVE .+\n$/);
  });
});

describe('standard input', () => {
  const text = traceText(BAD);
  const zstd = (zlib as { zstdCompressSync?: (data: string) => Buffer }).zstdCompressSync;
  const forms: [string, string | Uint8Array][] = [
    ['plain', text],
    ['gzip', zlib.gzipSync(text)],
    ['zstd', zstd === undefined ? storedZstd(Buffer.from(text)) : zstd(text)],
  ];

  it.each(forms)('%s', (_form, input) => {
    const { code, report } = validate(['-'], { input });
    expect(code).toBe(1);
    expect(meaning(report)).toEqual(meaning(validate([`stdin=${tracePath(BAD)}`]).report));
    expect(report.violations[0]?.file).toBe('stdin');
  });

  it('is read when no file is named', () => {
    const { code, out } = stopcopy(['validate', '--quiet'], { input: text });
    expect({ code, out }).toEqual({ code: 1, out: expect.stringContaining('VIOLATED') });
  });

  it('stands beside files', () => {
    const { code, report } = validate([tracePath('qemu-11.1/cancel-pre-switchover/dst.trace.log'), '-'], {
      input: text,
    });
    expect(code).toBe(1);
    expect(report.devices.map(({ host }) => host).sort()).toEqual(['dst', 'stdin']);
  });

  it('that ends at once is empty', () => expectRefusal(stopcopy(['validate', '-']), /stdin: is empty/));

  it('that is fed a byte at a time', async () => {
    const child = spawn(process.execPath, [MAIN, 'validate', '--quiet', '-'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const sent = Buffer.from(`${traceLines(BAD).slice(0, 40).join('\n')}\n`);
    const ended = new Promise((resolve) => child.on('close', resolve));
    for (let at = 0; at < 50; at++) {
      child.stdin.write(sent.subarray(at, at + 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    child.stdin.end(sent.subarray(50));
    expect(await ended).toBe(0);
  });
});

/** A zstd frame with uncompressed blocks, for runtimes that cannot compress. */
function storedZstd(data: Uint8Array): Uint8Array {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(data.length);
  const parts: Uint8Array[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0]), size];
  const most = 1 << 16;
  for (let at = 0; at < data.length; at += most) {
    const block = data.subarray(at, at + most);
    const last = at + most >= data.length ? 1 : 0;
    const head = Buffer.alloc(3);
    head.writeUIntLE((block.length << 3) | last, 0, 3);
    parts.push(head, block);
  }
  return new Uint8Array(Buffer.concat(parts));
}

describe('several inputs', () => {
  const both = (name: string) =>
    ['src', 'dst'].map((side) => tracePath(`qemu-11.1/${name}/${side}.trace.log`));

  it('source and destination logs together, in either order', () => {
    const [src, dst] = both('happy-default');
    for (const order of [
      [src!, dst!],
      [dst!, src!],
    ]) {
      const { code, report } = validate(order);
      expect(code).toBe(0);
      expect(report.devices.map(({ host, role }) => `${host} ${role}`).sort()).toEqual([
        'dst destination',
        'src source',
      ]);
    }
  });

  it('one that cannot be read: the others are judged, and the exit code is 2', () => {
    for (const [name, verdict] of [
      ['happy-default', 'conformant'],
      ['cancel-pre-switchover', 'violation'],
    ] as const) {
      const { code, err, report } = validate([...both(name), join(folder, 'gone.log')]);
      expect({ code, verdict: report.verdict }).toEqual({ code: 2, verdict });
      expectOneLine(err, /gone\.log: no such file/);
      expect(report.inputs.length).toBe(2);
    }
  });

  it('none that can be read: one line each, and nothing else', () => {
    const { code, out, err } = stopcopy(['validate', join(folder, 'one.log'), file(''), folder]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^(stopcopy: [^\n]+\n){3}$/);
  });

  it('the same file twice is two hosts, each judged by itself', () => {
    const path = tracePath(GOOD);
    const { code, report } = validate([path, path]);
    expect(code).toBe(0);
    expect(report.devices.map(({ host, verdict }) => `${host} ${verdict}`)).toEqual([
      'src conformant',
      'src#2 conformant',
    ]);
    expect(validate([tracePath(BAD), tracePath(BAD)]).code).toBe(1);
  });

  it('many files at once', () => {
    const paths = Array.from({ length: 300 }, () => tracePath('qemu-11.1/stop-cont/src.trace.log'));
    const { code, report, peak } = validate(paths);
    expect(code).toBe(0);
    expect(report.inputs.length).toBe(300);
    expect(peak).toBeLessThan(200);
  });
});

describe.skipIf(process.platform === 'win32')('pipes', () => {
  it('a FIFO is read as a file is', async () => {
    const fifo = join(folder, 'src.fifo');
    expect(spawnSync('mkfifo', [fifo]).status).toBe(0);
    const writer = spawn('sh', ['-c', 'cat "$0" > "$1"', file(traceText(BAD)), fifo]);
    const { code, report } = validate([fifo]);
    expect({ code, lines: report.events.lines }).toEqual({ code: 1, lines: traceLines(BAD).length });
    expect(meaning(report)).toEqual(meaning(validate([tracePath(BAD)]).report));
    writer.kill();
  });

  const big = () => file(`${[...multiplied(traceLines(BAD), 1000)].join('\n')}\n`);

  it('a reader that goes away early is no error', () => {
    for (const args of [
      ['validate', big()],
      ['validate', '--json', big()],
      ['convert', big()],
      ['explain'],
      ['explain', '--json'],
    ]) {
      const { stdout } = spawnSync(
        'sh',
        ['-c', `main="$1"; shift; "$0" "$main" "$@" 2>"$ERR" | head -1`, process.execPath, MAIN, ...args],
        { encoding: 'utf8', env: { ...process.env, ERR: join(folder, 'err') } },
      );
      expect(stdout).toMatch(/^[^\n]*\n$/);
      expect(readFileSync(join(folder, 'err'), 'utf8')).toBe('');
    }
  });

  it('a large report comes whole through a slow pipe', () => {
    const { stdout } = spawnSync(
      'sh',
      [
        '-c',
        `"$0" "$1" validate --json --max-findings 5000 "$2" | (sleep 1; "$0" -e "$3")`,
        process.execPath,
        MAIN,
        big(),
        'let t="";process.stdin.on("data",(d)=>{t+=d}).on("end",()=>{const r=JSON.parse(t);console.log(t.length>1e6,r.devices.length,r.violations.length)})',
      ],
      { encoding: 'utf8' },
    );
    expect(stdout).toMatch(/^true 1000 \d{4}\n$/);
  });
});
