import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { acme, judge, ndjson, run } from '../../docs/examples/device.js';
import { entry } from '../../docs/examples/machine.js';
import { acmeLogReader } from '../../docs/examples/reader.js';
import { lookAfterFailure } from '../../docs/examples/rule.js';
import { compile, ruleNamed, validateEvents, validateInputs } from '../../src/index.js';
import { CLAUSES } from '../../src/machines/index.js';
import { chartStep } from '../../src/machines/xstate.js';
import { RULES } from '../../src/rules/index.js';
import { READERS, type TraceEvent, traceEventSchema } from '../../src/trace/index.js';
import { Engine } from '../../src/validate/engine.js';
import { countsText, feed } from '../trace/feed.js';
import { notInOutput, page, quotes } from './quotes.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGES = ['README.md', 'CONTRIBUTING.md', 'docs/exec-target.md', 'docs/explore.md', 'docs/learn.md'].map(
  (name) => [name, page(name)] as const,
);

describe('the pages quote what is there', () => {
  const all = PAGES.flatMap(([, text]) => quotes(text));

  test.each(all.filter(({ source }) => source.startsWith('docs/')))('$source', ({ source, block }) => {
    expect(block).toBe(page(source));
  });

  test('every example is quoted', () => {
    // The Python device has a page of its own, which tells how it is run.
    const files = readdirSync(join(ROOT, 'docs/examples'))
      .filter((name) => !name.endsWith('.py'))
      .map((name) => `docs/examples/${name}`);
    const quoted = all.map(({ source }) => source).filter((source) => source.startsWith('docs/'));
    expect(quoted.sort()).toEqual(files.sort());
  });

  test.each(all.filter(({ source }) => /^(node|stopcopy) /.test(source)))('$source', ({ source, block }) => {
    const args = source
      .replace(/^stopcopy/, 'node dist/cli/main.js')
      .split(' ')
      .slice(1);
    const { stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    expect(notInOutput(block, stdout)).toEqual([]);
  });
});

describe('links lead somewhere', () => {
  test.each(PAGES)('%s', (name, text) => {
    const folder = dirname(name);
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, target]) => target!);
    for (const target of targets) expect(() => page(join(folder, target)), target).not.toThrow();
  });
});

describe('the reader', () => {
  const log = [
    '1.000000 acme 0000:3b:00.1: set_state PRE_COPY = 0',
    'systemd[1]: Started something.',
    '2.500000 acme 0000:3b:00.1: set_state STOP_COPY = -5',
    '3.000000 acme 0000:3b:00.1: set_state SIDEWAYS = 0',
  ].join('\n');

  test('gives events and counts every line', () => {
    const on = { host: 'src', file: 'input', device: '0000:3b:00.1' };
    const { events, counts } = feed(acmeLogReader, log);
    expect(events).toEqual([
      { kind: 'set_state', ...on, line: 1, t: 1e6, state: 'PRE_COPY' },
      { kind: 'set_state_result', ...on, line: 1, t: 1e6, errno: 0, state: 'PRE_COPY' },
      { kind: 'set_state', ...on, line: 3, t: 2.5e6, state: 'STOP_COPY' },
      { kind: 'set_state_result', ...on, line: 3, t: 2.5e6, errno: 5 },
    ]);
    expect(countsText(counts)).toBe('4 = 2 + 1 + 1');
  });

  test('does not care where blocks end', () => {
    const whole = feed(acmeLogReader, log);
    for (let cut = 0; cut < log.length; cut += 7)
      expect(feed(acmeLogReader, log, { cuts: [cut] })).toEqual(whole);
  });

  test('knows its format, which no other reader takes', () => {
    const head = Buffer.from(log);
    expect(acmeLogReader.detect(head, 'acme.log')).toBeGreaterThan(0.3);
    for (const reader of READERS) expect(reader.detect(head, 'acme.log'), reader.format).toBeLessThan(0.3);
    expect(READERS.map(({ format }) => format)).not.toContain(acmeLogReader.format);
  });
});

describe('the rule', () => {
  function findings(events: readonly TraceEvent[]) {
    const engine = new Engine([...RULES, lookAfterFailure], { limit: 100 });
    for (const event of events) engine.process(traceEventSchema.parse(event));
    engine.finish();
    return { rules: engine.findings.standing().map(({ rule }) => rule), checked: engine.checked };
  }

  test('is kept by its conformant example and broken by the other', () => {
    const kept = findings(lookAfterFailure.conformant);
    expect(kept.rules).toEqual([]);
    expect(kept.checked).toContain(lookAfterFailure.id);
    expect(findings(lookAfterFailure.violating).rules).toEqual([lookAfterFailure.id]);
  });

  test('has a clause, and an id of its own', () => {
    expect(CLAUSES[lookAfterFailure.clause]).toBeDefined();
    expect(ruleNamed(lookAfterFailure.id)).toBeUndefined();
  });
});

test('the machine compiles to what the chart does', () => {
  const chart = entry.make(entry.capabilitySets[0]!);
  const automaton = compile(chart);
  expect(automaton.states).toEqual([['v1'], ['v2']]);
  for (const [state, configuration] of automaton.states.entries())
    for (const [event, name] of automaton.events.entries()) {
      const to = automaton.next[state * automaton.events.length + event]!;
      expect(chartStep(chart, configuration, name)).toEqual(to < 0 ? null : automaton.states[to]);
    }
});

describe('the device', () => {
  test('is judged, and a profile makes a known deviation a note', () => {
    const brief = (profile?: string) =>
      judge(profile).violations.map(({ rule, level, known }) => [rule, level, known]);
    expect(judge().verdict).toBe('violation');
    expect(brief()).toEqual([['VFIO-PRE-01', 'should', null]]);
    expect(judge('hisi_acc').verdict).toBe('conformant');
    expect(brief('hisi_acc')).toEqual([['VFIO-PRE-01', 'note', expect.any(String)]]);
  });

  test('has a profile whose deviations are rules', () => {
    for (const rule of Object.keys(acme.deviations)) expect(ruleNamed(rule), rule).toBeDefined();
  });

  test('gives the same verdict as a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-docs-'));
    try {
      const file = join(folder, 'run.ndjson');
      writeFileSync(file, ndjson);
      const { verdict, violations, events } = await validateInputs([{ file }]);
      expect(verdict).toBe(validateEvents(run).verdict);
      expect(violations.map(({ rule }) => rule)).toEqual(['VFIO-PRE-01']);
      expect(events.decoded).toBe(run.length);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('every entry point of the package can be imported', () => {
  const paths = Object.keys(JSON.parse(page('package.json')).exports as object);
  const imports = paths.map((path) => `await import('stopcopy${path.slice(1)}');`).join('\n');
  execFileSync(process.execPath, ['--input-type=module', '-e', imports], { cwd: ROOT });
});
