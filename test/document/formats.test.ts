import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { stateIn } from 'xstate';
import { compile } from '../../src/automaton/index.js';
import { machineCHeader } from '../../src/document/c-header.js';
import { machineCsv } from '../../src/document/csv.js';
import { describeEntry } from '../../src/document/describe.js';
import type { MachineDescription } from '../../src/document/description.js';
import { machineDot } from '../../src/document/dot.js';
import { identifiers } from '../../src/document/identifiers.js';
import { machineMermaid } from '../../src/document/mermaid.js';
import { machinePlantUml } from '../../src/document/plantuml.js';
import { machineRvgen } from '../../src/document/rvgen.js';
import { machineScxml, nameOfScxml } from '../../src/document/scxml.js';
import { machineStately } from '../../src/document/stately.js';
import { MACHINES } from '../../src/machines/index.js';
import { createMachine, regionsOf } from '../../src/machines/xstate.js';
import { MIG_STATES } from '../../src/uapi/vfio.js';
import { elements, parseXml } from '../support/xml.js';

const scratch = mkdtempSync(join(tmpdir(), 'stopcopy-formats-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const sorted = (arcs: readonly (readonly string[])[]): string[] =>
  [...new Set(arcs.map((arc) => arc.join(' | ')))].sort();
/** The arcs of a machine, without what says more than from, event and to. */
const arcsOf = ({ arcs }: MachineDescription): string[] =>
  sorted(arcs.map(({ from, event, to }) => [from, event, to]));

/** Characters that Mermaid and PlantUML have as numbers. */
const decoded = (text: string): string =>
  text.replace(/&?#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));

const ALL = MACHINES.flatMap((entry) =>
  entry.capabilitySets.map((caps, index) => ({ name: `${entry.name} ${index}`, entry, caps })),
);

describe.each(ALL)('$name', ({ entry, caps }) => {
  const machine = describeEntry(entry, caps);
  const chart = entry.make(caps);
  const automaton = compile(chart);
  const width = automaton.events.length;

  test('Mermaid and PlantUML have its arcs', () => {
    const mermaid = machineMermaid(machine);
    const names = new Map(
      [...mermaid.matchAll(/^ {4}state "(.*)" as (\w+)$/gm)].map(([, name, id]) => [id!, decoded(name!)]),
    );
    const arrows = [...mermaid.matchAll(/^ {4}(\w+) --> (\w+) : (.*)$/gm)].flatMap(([, from, to, events]) =>
      events!.split(', ').map((event) => [names.get(from!) ?? from!, decoded(event), names.get(to!) ?? to!]),
    );
    expect(sorted(arrows)).toEqual(arcsOf(machine));
    const plant = machinePlantUml(machine);
    const ids = new Map(
      [...plant.matchAll(/^state "(.*)" as (\w+)$/gm)].map(([, name, id]) => [id!, decoded(name!)]),
    );
    const lines = [...plant.matchAll(/^(\w+) --> (\w+) : (.*)$/gm)].flatMap(([, from, to, events]) =>
      events!.split('\\n').map((event) => [ids.get(from!)!, decoded(event), ids.get(to!)!]),
    );
    expect(sorted(lines)).toEqual(arcsOf(machine));
    const initial = [...plant.matchAll(/^\[\*\] --> (\w+)$/gm)].map(([, id]) => ids.get(id!));
    expect(initial).toEqual(machine.states.filter((state) => state.initial).map(({ name }) => name));
  });

  test('DOT and SCXML have its arcs', () => {
    const edges = [...machineDot(machine).matchAll(/^ {2}"(.*?)" -> "(.*?)" \[label="(.*)"\];$/gm)].flatMap(
      ([, from, to, events]) => events!.split('\\n').map((event) => [from!, event, to!]),
    );
    expect(sorted(edges)).toEqual(arcsOf(machine));
    const transitions = elements(parseXml(machineScxml(machine)), 'state').flatMap((state) =>
      elements(state, 'transition').map(({ attributes }) => [
        nameOfScxml(state.attributes.id!),
        nameOfScxml(attributes.event!),
        nameOfScxml(attributes.target!),
      ]),
    );
    expect(sorted(transitions)).toEqual(arcsOf(machine));
  });

  test('the JSON for Stately is read back as the same machine', () => {
    const config = JSON.parse(machineStately(chart), (key, value) =>
      key === 'guard' ? stateIn(value.params) : value,
    );
    expect(regionsOf(createMachine(config))).toEqual(regionsOf(chart));
  });

  test('the dialect of rvgen has each transition of the automaton, under names that C takes', () => {
    const text = machineRvgen(chart);
    const states = identifiers(automaton.states.map((each) => each.join('_').toLowerCase()));
    const events = identifiers(automaton.events.map((each) => each.toLowerCase()));
    const edges = [...text.matchAll(/^\t"(\w+)" -> "(\w+)" \[ label = "(\w+)" \];$/gm)];
    const wanted = states.flatMap((from, state) =>
      events.flatMap((event, index) => {
        const to = automaton.next[state * width + index]!;
        return to < 0 ? [] : [[from, event, states[to]!]];
      }),
    );
    expect(sorted(edges.map(([, from, to, event]) => [from!, event!, to!]))).toEqual(sorted(wanted));
    expect(text).toContain(`\t"__init_${states[0]}" -> "${states[0]}";\n`);
    expect(text.match(/shape = doublecircle/g)).toHaveLength(1);
  });

  test('CSV: the matrix of requests, or the arcs', () => {
    const [head = [], ...rows] = machineCsv(machine)
      .trimEnd()
      .split('\n')
      .map((line) => line.split(','));
    if (machine.paths === undefined) {
      expect(sorted(rows.map(([from, event, to]) => [from!, event!, to!]))).toEqual(arcsOf(machine));
      return;
    }
    expect(head.slice(1)).toEqual([...MIG_STATES]);
    for (const [from, ...cells] of rows)
      for (const [index, cell] of cells.entries()) {
        const path = machine.paths[from!]![MIG_STATES[index]!]!;
        const wanted = path === null ? '' : path.length === 0 ? '=' : path.join(' ');
        expect(cell).toBe(wanted);
      }
    expect(rows).toHaveLength(MIG_STATES.length);
  });
});

const hasGcc = spawnSync('gcc', ['--version']).status === 0;

describe.skipIf(!hasGcc)('the C header', () => {
  test('compiles without a warning, and has the table of each machine', () => {
    const entries = MACHINES.map((entry) => ({ entry, caps: entry.capabilitySets.at(-1)! }));
    const headers = entries.map(({ entry, caps }) =>
      machineCHeader(entry.make(caps), describeEntry(entry, caps)),
    );
    const names = entries.map(({ entry }) => entry.name.replaceAll('-', '_'));
    const program = [
      '#include <stdio.h>',
      ...headers,
      ...names.map(
        (name) => `static void print_${name}(void) {
  for (int state = 0; state < ${name.toUpperCase()}_STATES; state++)
    for (int event = 0; event < ${name.toUpperCase()}_EVENTS; event++)
      printf("${name} %s %s %d\\n", ${name}_state_names[state], ${name}_event_names[event], ${name}_next[state][event]);
}`,
      ),
      `int main(void) { ${names.map((name) => `print_${name}();`).join(' ')} return 0; }`,
    ].join('\n');
    writeFileSync(join(scratch, 'tables.c'), program);
    execFileSync('gcc', ['-std=c99', '-Wall', '-Wextra', '-Werror', '-o', 'tables', 'tables.c'], {
      cwd: scratch,
    });
    const printed = execFileSync(join(scratch, 'tables'), { encoding: 'utf8', maxBuffer: 1 << 28 })
      .trimEnd()
      .split('\n');
    const wanted = entries.flatMap(({ entry, caps }, at) => {
      const { states, events, next } = compile(entry.make(caps));
      return states.flatMap((state, index) =>
        events.map(
          (event, number) =>
            `${names[at]} ${state.join('.')} ${event} ${next[index * events.length + number]}`,
        ),
      );
    });
    expect(printed).toEqual(wanted);
  });
});

test('names that C takes are distinct, whatever the names were', () => {
  expect(identifiers(['a.b', 'a-b', 'a b', '1', '', 'a_b'])).toEqual([
    'a_b',
    'a_b_2',
    'a_b_3',
    '_1',
    '_',
    'a_b_4',
  ]);
});
