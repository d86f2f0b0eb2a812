import { Ajv } from 'ajv';
import type { Log } from 'sarif';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../src/validate/report.js';
import { githubSummary } from '../../src/validate/reporters/github.js';
import { elements, parseXml } from '../support/xml.js';
import { rendered } from './rendered.js';
import { emptyReport, finding, HOSTILE, sampleReport } from './report-fixture.js';

describe('sarif', () => {
  const text = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } };
  /** What consumers rely on, out of the schema of SARIF 2.1.0. */
  const schema = {
    type: 'object',
    required: ['version', 'runs'],
    properties: {
      version: { const: '2.1.0' },
      runs: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          required: ['tool', 'results'],
          properties: {
            tool: {
              type: 'object',
              required: ['driver'],
              properties: {
                driver: {
                  type: 'object',
                  required: ['name', 'rules'],
                  properties: {
                    rules: {
                      type: 'array',
                      items: {
                        type: 'object',
                        required: ['id'],
                        properties: { id: { type: 'string' }, shortDescription: text, help: text },
                      },
                    },
                  },
                },
              },
            },
            results: {
              type: 'array',
              items: {
                type: 'object',
                required: ['message', 'ruleId', 'ruleIndex', 'partialFingerprints'],
                properties: {
                  message: text,
                  level: { enum: ['none', 'note', 'warning', 'error'] },
                  locations: {
                    type: 'array',
                    items: {
                      type: 'object',
                      properties: {
                        physicalLocation: {
                          type: 'object',
                          required: ['artifactLocation'],
                          properties: {
                            artifactLocation: {
                              type: 'object',
                              properties: { uri: { type: 'string', pattern: '^[!-~]+$' } },
                            },
                            region: {
                              type: 'object',
                              properties: { startLine: { type: 'integer', minimum: 1 } },
                            },
                          },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  };
  const parsed = async (report: Report) => JSON.parse(await rendered('sarif', report)) as Log;

  it('has the structure of SARIF 2.1.0', async () => {
    const validate = new Ajv({ strict: false }).compile(schema);
    for (const report of [sampleReport(), emptyReport()]) {
      expect(validate(await parsed(report)), JSON.stringify(validate.errors)).toBe(true);
    }
  });

  it('points from results to rules and files', async () => {
    const [run] = (await parsed(sampleReport())).runs;
    for (const { ruleId, ruleIndex } of run!.results!)
      expect(run!.tool.driver.rules![ruleIndex!]!.id).toBe(ruleId);
    const uris = run!.results!.map(({ locations }) => locations![0]!.physicalLocation?.artifactLocation);
    expect(uris[0]).toEqual({ uri: 'logs/src.trace.log', uriBaseId: 'SRCROOT' });
    expect(uris[2]).toEqual({ uri: 'file:///elsewhere/dst:1,2.log' });
    expect(uris.slice(3)).toEqual([undefined, undefined]);
    expect(run!.results!.map(({ level }) => level)).toEqual(['error', 'error', 'warning', 'error', 'note']);
  });

  it('gives a finding the same fingerprint at another line, and another one on another device', async () => {
    const prints = async (changes: Parameters<typeof finding>[0]) => {
      const report = { ...sampleReport(), violations: [finding(changes)] };
      return (await parsed(report)).runs[0]!.results![0]!.partialFingerprints;
    };
    expect(await prints({ line: 7, t: 1 })).toEqual(await prints({}));
    expect(await prints({ device: 'other' })).not.toEqual(await prints({}));
  });
});

describe('junit', () => {
  it('is well-formed and its totals are true', async () => {
    const root = parseXml(await rendered('junit', sampleReport()));
    expect(root.name).toBe('testsuites');
    for (const suite of [root, ...elements(root, 'testsuite')]) {
      expect(Number(suite.attributes.tests)).toBe(elements(suite, 'testcase').length);
      const failed = elements(suite, 'testcase').filter((test) => elements(test, 'failure').length > 0);
      expect(Number(suite.attributes.failures)).toBe(failed.length);
      expect(Number(suite.attributes.skipped)).toBe(elements(suite, 'skipped').length);
    }
  });

  it('has a suite for each device and keeps notes from failing', async () => {
    const root = parseXml(await rendered('junit', sampleReport()));
    const names = elements(root, 'testsuite').map(({ attributes }) => attributes.name!);
    expect(names[0]).toBe('src/0000:af:01.0');
    expect(names[1]).toContain(']]> <b>"x" & \'y\'');
    const [first] = elements(root, 'testsuite');
    const note = elements(first!, 'testcase').find(({ attributes }) =>
      attributes.name!.startsWith('NOTE-01'),
    );
    expect(elements(note!, 'failure')).toEqual([]);
    expect(elements(note!, 'system-out')).toHaveLength(1);
  });

  it('makes an inconclusive verdict an error', async () => {
    const root = parseXml(await rendered('junit', emptyReport()));
    expect(root.attributes.errors).toBe('1');
    expect(elements(root, 'error')[0]!.attributes.message).toContain('no event of a VFIO device');
  });
});

describe('github', () => {
  it('escapes commands, so a device name cannot give one', async () => {
    const lines = (await rendered('github', sampleReport())).trimEnd().split('\n');
    expect(lines.filter((line) => line.startsWith('::'))).toHaveLength(4);
    expect(lines[0]).toMatch(
      /^::error file=logs\/src\.trace\.log,line=3,title=FSM-02%3A a blocked arc was taken::the device/,
    );
    const hostile = lines.find((line) => line.startsWith('::warning'))!;
    expect(hostile.slice(0, hostile.indexOf('::', 2))).toContain('%3A%3Aerror%3A%3Aowned');
    expect(hostile).toContain('%250A');
    expect(hostile).not.toContain('file=');
  });

  it('warns about an inconclusive verdict', async () => {
    expect(await rendered('github', emptyReport())).toMatch(
      /^::warning title=stopcopy%3A inconclusive::the input/,
    );
  });

  it('writes a summary whose table a device name cannot leave', () => {
    const rows = githubSummary(sampleReport())
      .split('\n')
      .filter((line) => line.startsWith('|'));
    for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(8);
    expect(githubSummary(sampleReport())).not.toMatch(/<b>|@me/);
  });
});

describe('tap', () => {
  it('plans as many tests as it has', async () => {
    for (const report of [sampleReport(), emptyReport()]) {
      const lines = (await rendered('tap', report)).split('\n');
      const tests = lines.filter((line) => /^(not )?ok /.test(line));
      expect(lines[0]).toBe('TAP version 14');
      expect(lines[1]).toBe(`1..${tests.length}`);
      expect(tests.map((line) => /^(?:not )?ok (\d+) /.exec(line)![1])).toEqual(
        tests.map((_, n) => String(n + 1)),
      );
    }
  });

  it('skips what was not observable, and lets notes pass', async () => {
    const text = await rendered('tap', sampleReport());
    expect(text).toContain(
      'ok 6 - DATA-01 title of DATA-01 # SKIP not observable: the input cannot show data_read, data_write',
    );
    expect(text).toMatch(/^not ok 5 - NOTE-01 .* # TODO level note$/m);
    expect(await rendered('tap', sampleReport(), { failOn: 'note' })).not.toContain('# TODO');
    expect(await rendered('tap', emptyReport())).toMatch(/^not ok 1 - verdict: inconclusive/m);
  });
});

describe('perfetto', () => {
  interface Event {
    ph: string;
    pid: number;
    tid: number;
    id?: string;
    cat?: string;
    name: string;
    ts?: number;
    args?: Record<string, unknown>;
  }
  const parsed = async (report: Report) =>
    JSON.parse(await rendered('perfetto', report)) as { traceEvents: Event[] };

  it('opens and closes every span, in order of time', async () => {
    const { traceEvents } = await parsed(sampleReport());
    const open = new Map<string, Event[]>();
    for (const event of traceEvents) {
      if (event.ph !== 'b' && event.ph !== 'e') continue;
      const key = `${event.cat}/${event.id}`;
      const stack = open.get(key) ?? [];
      open.set(key, stack);
      if (event.ph === 'b') stack.push(event);
      else {
        const begin = stack.pop()!;
        expect(begin.name).toBe(event.name);
        expect(event.ts!).toBeGreaterThanOrEqual(begin.ts!);
      }
    }
    expect(open.size).toBeGreaterThan(2);
    for (const stack of open.values()) expect(stack).toEqual([]);
  });

  it('has hosts as processes, devices as threads and findings as instants', async () => {
    const { traceEvents } = await parsed(sampleReport());
    const named = (kind: string) =>
      traceEvents.filter(({ name }) => name === kind).map(({ args }) => args!.name);
    expect(named('process_name')).toEqual(['src (QEMU 11.1.2)', 'dst']);
    expect(named('thread_name')).toContain(HOSTILE);
    const instants = traceEvents.filter(({ ph }) => ph === 'i');
    expect(instants).toHaveLength(4);
    expect(instants[0]!.args).toMatchObject({ rule: 'FSM-02', line: 3 });
    expect(Math.min(...traceEvents.flatMap(({ ts }) => ts ?? []))).toBe(0);
  });

  it('has the curves as counters', async () => {
    const { traceEvents } = await parsed(sampleReport());
    const counters = traceEvents.filter(({ ph }) => ph === 'C');
    expect(counters.map(({ name, ts, args }) => [name, ts, args])).toEqual([
      ['dirty pages', 100_000, { pages: 10 }],
      ['dirty pages', 1_100_000, { pages: 4 }],
    ]);
  });

  it('has migrations with their downtime, and says of a finding all that is known, its line too', async () => {
    const excerpts = new Map([['logs/src.trace.log', new Map([[3, 'vfio_migration_set_state ...']])]]);
    const { traceEvents } = JSON.parse(await rendered('perfetto', sampleReport(), { excerpts })) as {
      traceEvents: Event[];
    };
    const attempts = traceEvents.filter(({ ph, cat }) => ph === 'b' && cat === 'migration');
    expect(attempts.map(({ name, ts }) => [name, ts])).toEqual([
      ['failed', 100_000],
      ['downtime', 100_000 + 3_210_000 - 120_400],
    ]);
    expect(traceEvents.find(({ ph }) => ph === 'i')!.args).toMatchObject({
      raw: 'vfio_migration_set_state ...',
      cause: 'The driver does not check the state it is in.',
      clauseText: 'include/uapi/linux/vfio.h: It is blocked.',
    });
  });

  it('aligns hosts whose clocks do not share their zero', async () => {
    const report = sampleReport();
    report.hosts[1]!.statuses = [{ name: 'active', start: 1.7e15, end: 1.7e15 + 5 }];
    const { traceEvents } = await parsed(report);
    expect(Math.max(...traceEvents.flatMap(({ ts }) => ts ?? []))).toBeLessThan(1e8);
  });

  it('takes 100,000 spans', async () => {
    const report = sampleReport();
    report.devices[0]!.states = Array.from({ length: 100_000 }, (_, n) => ({
      name: 'STOP',
      start: n,
      end: n + 1,
    }));
    expect((await parsed(report)).traceEvents.length).toBeGreaterThan(200_000);
  });
});
