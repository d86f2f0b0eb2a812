import { describe, expect, it } from 'vitest';
import { type MachineDescription, shortNames } from '../../src/document/description.js';
import { machineDot } from '../../src/document/dot.js';
import { machineMermaid } from '../../src/document/mermaid.js';
import { machineScxml, nameOfScxml, scxmlName } from '../../src/document/scxml.js';
import { machineText } from '../../src/document/text.js';
import { MIG_STATES } from '../../src/uapi/vfio.js';
import { elements, parseXml } from '../support/xml.js';
import { LAMP, ODD } from './machine-fixture.js';

/** The arcs of a chart as an SCXML reader finds them. */
function arcsOfScxml(text: string): { from: string; event: string; to: string }[] {
  return elements(parseXml(text), 'state').flatMap((state) =>
    elements(state, 'transition').map(({ attributes }) => ({
      from: nameOfScxml(state.attributes.id!),
      event: nameOfScxml(attributes.event!),
      to: nameOfScxml(attributes.target!),
    })),
  );
}

const plain = ({ arcs }: MachineDescription) => arcs.map(({ from, event, to }) => ({ from, event, to }));

describe('scxml', () => {
  it.each([
    ['ordinary', LAMP],
    ['odd', ODD],
  ])('reads back as the same arcs and states (%s names)', (_words, machine) => {
    const text = machineScxml(machine);
    expect(arcsOfScxml(text)).toEqual(plain(machine));
    const root = parseXml(text);
    expect(elements(root, 'state').map(({ attributes }) => nameOfScxml(attributes.id!))).toEqual(
      machine.states.map(({ name }) => name),
    );
    expect(nameOfScxml(root.attributes.initial!)).toBe(machine.states[0]!.name);
  });

  it('writes names that XML takes and reads each back', () => {
    for (const name of [
      'plain',
      'a b',
      '1',
      '-',
      '',
      '_x41_',
      '_x5f_x41_',
      'a_x',
      'é',
      '\u{1f600}',
      'SET.STOP_COPY',
    ]) {
      expect(scxmlName(name)).toMatch(/^(?:[\p{L}_][\p{L}\p{N}_.-]*)?$/u);
      expect(nameOfScxml(scxmlName(name))).toBe(name);
    }
  });
});

describe('mermaid', () => {
  it('draws a state diagram with one arrow for arcs between the same states', () => {
    expect(machineMermaid(LAMP)).toBe(
      [
        'stateDiagram-v2',
        '    [*] --> OFF',
        '    OFF --> ON_DIM : SET.ON_DIM, KNOB',
        '    ON_DIM --> ON : SET.ON',
        '    ON --> ON : GET.ON',
        '',
      ].join('\n'),
    );
  });

  it('gives ids to states that Mermaid would not read', () => {
    const text = machineMermaid(ODD);
    expect(text).toContain('    state "a b" as s0\n');
    expect(text).toContain('    state "end" as s2\n');
    expect(text).toContain('s0 --> s1 : GO#58; now#59; #60;#35;1#62;\n');
  });
});

describe('dot', () => {
  it('marks the initial state and quotes every name', () => {
    expect(machineDot(LAMP)).toContain('"__init_OFF" -> "OFF";');
    expect(machineDot(LAMP)).toContain('"OFF" -> "ON_DIM" [label="SET.ON_DIM\\nKNOB"];');
    expect(machineDot(ODD)).toContain('"1st \\"x\\"" -> "end"');
    expect(machineDot(ODD)).toContain('-> "a\\\\"');
  });
});

describe('text', () => {
  it('has states, arcs and the matrix of paths', () => {
    const lines = machineText(LAMP).split('\n');
    expect(lines).toContain('  *  OFF     lamp/off  dark');
    expect(lines).toContain('  ON_DIM  ->  ON      SET.ON      lamp/on');
    expect(lines.slice(-4).join('\n')).toBe(
      ['  OFF     OF  =   OD  OD ON', '  ON_DIM  OD  -   =   ON', '  ON      ON  -   -   =', ''].join('\n'),
    );
  });

  it('leaves the matrix out where there are no paths', () => {
    const { paths: _paths, ...machine } = LAMP;
    expect(machineText(machine)).not.toContain('paths');
  });
});

describe('short names', () => {
  it('are different for all device states', () => {
    const names = shortNames(MIG_STATES);
    expect(new Set(names.values()).size).toBe(MIG_STATES.length);
    for (const short of names.values()) expect(short.length).toBeLessThanOrEqual(3);
  });
});
