import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { CAPABILITY_SETS, capabilityNames, nextHop } from '../../src/machines/index.js';
import { RULES } from '../../src/rules/index.js';
import { MIG_STATES } from '../../src/uapi/vfio.js';
import { reportSchema } from '../../src/validate/report-schema.js';
import { ROOT, stopcopy, validate } from '../support/cli.js';
import { tracePath } from '../support/qemu-trace.js';
import { parseXml } from '../support/xml.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

const BAD = tracePath('qemu-11.1/cancel-pre-switchover/src.trace.log');

/** The recorded runs of QEMU 11.1, each with its logs. */
const RUNS = readdirSync(join(ROOT, 'test/traces/qemu-11.1')).map((run) => {
  const logs = readdirSync(join(ROOT, 'test/traces/qemu-11.1', run)).filter((name) =>
    /trace\.log/.test(name),
  );
  return [run, logs.map((name) => join(ROOT, 'test/traces/qemu-11.1', run, name))] as const;
});

describe('validate --json', () => {
  it('has the fields that others rely on', () => {
    const { code, report } = validate(RUNS.find(([run]) => run === 'cancel-pre-switchover')![1]);
    expect(code).toBe(1);
    reportSchema.parse(report);
    expect(report).toMatchObject({ schema: 'stopcopy-validate-1', verdict: 'violation' });
    expect(report.devices.length).toBe(2);
    for (const device of report.devices)
      expect(device).toMatchObject({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        host: expect.stringMatching(/^(src|dst)$/),
        verdict: expect.stringMatching(/^(conformant|violation)$/),
        capabilities: ['stop-copy', 'p2p', 'pre-copy'],
        finalState: expect.stringMatching(/^[A-Z_0-9]+$/),
        transitions: expect.any(Number),
      });
    expect(report.violations[0]).toMatchObject({
      rule: 'VMM-MIG-07',
      party: 'vmm',
      level: 'should',
      device: '11111111-1111-4111-8111-111111111111',
      file: expect.stringMatching(/src\.trace\.log$/),
      line: 241,
      message: expect.stringContaining('RUNNING'),
      expected: expect.arrayContaining(['RUNNING_P2P']),
      clause: { id: expect.any(String), source: expect.any(String), text: expect.any(String) },
    });
    expect(Object.keys(report.rules).sort()).toEqual(['checked', 'notApplicable', 'notObservable']);
    const { lines, decoded, ignored, malformed } = report.events;
    expect(decoded + ignored + malformed).toBe(lines);
    expect(report.measurements).toHaveProperty('migrations');
  });
});

describe('each reporter prints a document of its kind on a real violation', () => {
  const print = (name: string) => {
    const { code, out, err } = stopcopy(['validate', '--reporter', name, BAD]);
    expect({ code, err }).toEqual({ code: 1, err: '' });
    return out;
  };

  it('people', () => {
    expect(print('people')).toMatch(/^warning\[VMM-MIG-07\]: [\s\S]+\nverdict: VIOLATED .+\n$/);
  });

  it('json', () => {
    expect(reportSchema.parse(JSON.parse(print('json'))).violations[0]?.rule).toBe('VMM-MIG-07');
  });

  it('sarif', () => {
    const { version, runs } = JSON.parse(print('sarif')) as {
      version: string;
      runs: { results: { ruleId: string; locations: object[] }[]; tool: { driver: { rules: object[] } } }[];
    };
    expect(version).toBe('2.1.0');
    expect(runs[0]?.results[0]).toMatchObject({
      ruleId: 'VMM-MIG-07',
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: expect.stringContaining('src.trace.log') },
            region: { startLine: 241 },
          },
        },
      ],
    });
    expect(runs[0]?.tool.driver.rules.length).toBe(RULES.length);
  });

  it('junit', () => {
    const text = print('junit');
    expect(() => parseXml(text)).not.toThrow();
    expect(text).toMatch(/<testcase [^>]*VMM-MIG-07[\s\S]*?<failure /);
  });

  it('github', () => {
    expect(print('github')).toMatch(/^::warning [^\n]*line=241[^\n]*::[^\n]+$/m);
  });

  it('tap', () => {
    const lines = print('tap').split('\n');
    expect(lines[0]).toBe('TAP version 14');
    const plan = /^1\.\.(\d+)$/.exec(lines[1] ?? '')?.[1];
    expect(lines.filter((line) => /^(not )?ok \d+/.test(line)).length).toBe(Number(plan));
    expect(lines.some((line) => /^not ok \d+ .*VMM-MIG-07/.test(line))).toBe(true);
  });

  it('perfetto', () => {
    const { traceEvents } = JSON.parse(print('perfetto')) as { traceEvents: { ph: string; name: string }[] };
    expect(traceEvents.some(({ ph, name }) => ph === 'b' && name === 'PRE_COPY')).toBe(true);
  });
});

describe('describe', () => {
  it.each(CAPABILITY_SETS.map((caps) => [capabilityNames(caps).join(','), caps] as const))(
    'vfio-device with %s has every requested transition',
    (names, caps) => {
      const { code, out } = stopcopy(['describe', 'vfio-device', '--caps', names, '--format', 'json']);
      expect(code).toBe(0);
      const machine = JSON.parse(out) as {
        capabilities: string[];
        states: string[];
        arcs: { from: string; to: string }[];
        paths: Record<string, Record<string, string[] | null>>;
      };
      expect(machine.capabilities).toEqual(capabilityNames(caps));
      expect(Object.keys(machine.paths).sort()).toEqual([...MIG_STATES].sort());
      for (const from of MIG_STATES)
        for (const to of MIG_STATES) {
          const path = machine.paths[from]?.[to];
          expect(path?.[0] ?? null).toBe(from === to && path?.length === 0 ? null : nextHop(from, to, caps));
          if (path) expect([from, ...path].at(-1)).toBe(to);
        }
      for (const { from, to } of machine.arcs) expect(machine.paths[from]?.[to]).toEqual([to]);
    },
  );

  it.each(['vfio-device', 'vmm-source'])('%s in every format', (name) => {
    for (const format of ['text', 'json', 'mermaid', 'dot', 'scxml']) {
      const { code, out, err } = stopcopy(['describe', name, '--format', format]);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out.length).toBeGreaterThan(100);
    }
  });
});

describe('explain', () => {
  it('has a page for every rule', () => {
    const { rules } = JSON.parse(stopcopy(['explain', '--json']).out) as { rules: { id: string }[] };
    expect(rules.map(({ id }) => id).sort()).toEqual(RULES.map(({ id }) => id).sort());
  });

  it('prints the rules that real traces break, in any case of letters', () => {
    for (const id of ['VMM-MIG-07', 'vfio-rst-02', 'VFIO-DMA-08']) {
      const { code, out } = stopcopy(['explain', id]);
      expect(code).toBe(0);
      expect(out).toContain(id.toUpperCase());
      expect(out.split('\n').length).toBeGreaterThan(10);
    }
  });
});

describe('record', () => {
  it('prints the bpftrace program', () => {
    const { code, out } = stopcopy(['record', '--print']);
    expect(code).toBe(0);
    expect(out).toMatch(/BEGIN[\s\S]*ioctl[\s\S]*\n$/);
    expect(stopcopy(['record', '--print', '--pid', '4711']).out).not.toBe(out);
  });

  it('prints kprobes', () => {
    const { code, out } = stopcopy(['record', '--kprobes', '--driver', 'mlx5vf_pci_set_device_state']);
    expect(code).toBe(0);
    expect(out).toMatch(/p:\S*vfio_next vfio_mig_get_next_state/);
    expect(out).toContain('mlx5vf_pci_set_device_state');
  });
});

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('for %s names every command', (shell) => {
    const { code, out } = stopcopy(['completion', shell]);
    expect(code).toBe(0);
    for (const command of ['validate', 'describe', 'explain', 'record', 'convert', 'completion'])
      expect(out).toContain(command);
  });
});

describe('convert', () => {
  it.each(RUNS)('%s is judged as its logs are', (run, logs) => {
    const path = join(folder, `${run}.ndjson`);
    expect(stopcopy(['convert', ...logs, '-o', path])).toMatchObject({ code: 0, out: '', err: '' });
    const direct = validate(logs);
    const converted = validate([path]);
    expect(converted.code).toBe(direct.code);
    const { verdict, devices, hosts, violations, rules, measurements } = direct.report;
    expect(converted.report).toMatchObject({ verdict, devices, hosts, violations, rules, measurements });
    for (const { events } of [direct.report, converted.report])
      expect(events).toMatchObject({ malformed: 0, unknown: {} });
    const { checked, notObservable, notApplicable } = rules;
    const sorted = [...checked, ...notObservable.map(({ rule }) => rule), ...notApplicable];
    expect(sorted.sort()).toEqual(RULES.map(({ id }) => id).sort());
  });

  it('prints to standard output, and gives the same again when it reads what it wrote', () => {
    const first = stopcopy(['convert', BAD]);
    const second = stopcopy(['convert', '-'], { input: first.out });
    const events = (text: string) =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { kind?: string })
        .filter(({ kind }) => kind !== undefined);
    expect(events(second.out)).toEqual(events(first.out));
    expect(events(first.out).length).toBeGreaterThan(100);
  });

  it('says when there is nothing to convert', () => {
    const { code, err } = stopcopy(['convert', '-'], {
      input: 'kvm_run_exit cpu_index 0, reason 2\nmigrate_pending_x 1\n',
    });
    expect(code).not.toBe(0);
    expect(err).toMatch(/^stopcopy: [^\n]+\n$/);
  });
});

describe('the published files', () => {
  it('are what the command prints', () => {
    const schema = readFileSync(join(ROOT, 'docs/schema/trace-event.schema.json'), 'utf8');
    const { out } = stopcopy(['describe', 'events', '--format', 'json-schema']);
    expect(JSON.parse(out)).toEqual(JSON.parse(schema));
  });
});
