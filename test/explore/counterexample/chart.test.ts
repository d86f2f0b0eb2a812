import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ModelBuilder } from '../../../src/explore/builder.js';
import { changes } from '../../../src/explore/counterexample/changes.js';
import { chartText } from '../../../src/explore/counterexample/chart.js';
import { chartMermaid } from '../../../src/explore/counterexample/mermaid.js';
import { eq, plus } from '../../../src/explore/expression.js';
import { initialState, step } from '../../../src/explore/interpret.js';
import type { ChartArrow, Model } from '../../../src/explore/model.js';
import type { Path } from '../../../src/explore/result.js';
import { dmaLogging } from '../../../src/machines/dma-logging.js';

const OPTIONS = { devices: 0, pages: 0, faults: 0, capabilities: [], variant: null };

/** A model whose only run draws these arrows, one after the other. */
function drawn(arrows: readonly ChartArrow[]): Model {
  const model = new ModelBuilder('drawn', 'Drawn', OPTIONS);
  const log = model.component('log', dmaLogging());
  const done = model.variable('done', 'how many', 255);
  for (const [index, chart] of arrows.entries())
    model.action(`action ${index}`, {
      when: eq(done, index),
      sync: index === 1 ? [log.on('START.ok')] : [],
      set: [done.to(plus(done, 1))],
      chart,
    });
  return model.build();
}

const whole = (model: Model, more: Partial<Path> = {}): Path => ({
  actions: model.actions.map(({ name }) => name),
  end: 'state',
  loop: null,
  ...more,
});

const arrow = (from: string, to: string | undefined, text: string): ChartArrow => ({ from, to, text });
const [SOURCE, VF, CHANNEL, DESTINATION] = ['source VMM', 'vf0', 'channel', 'destination VMM'] as const;

const MIGRATION = drawn([
  arrow(SOURCE, undefined, 'migrate'),
  arrow(SOURCE, VF, 'SET_STATE PRE_COPY'),
  arrow(VF, SOURCE, 'ok'),
  arrow(VF, undefined, 'writes to a page of the guest, which the log sees'),
  arrow(SOURCE, CHANNEL, 'page 0, version 1'),
  arrow(CHANNEL, DESTINATION, 'page 0, version 1'),
  arrow(DESTINATION, undefined, 'loads page 0, and has nothing else to do until the next one'),
  arrow(SOURCE, DESTINATION, 'SWITCHOVER_START'),
  arrow(DESTINATION, SOURCE, 'ACK'),
  arrow(SOURCE, VF, 'SET_STATE STOP_COPY'),
  arrow(VF, CHANNEL, 'its state in one piece, all of it'),
  arrow(CHANNEL, DESTINATION, 'its state'),
  arrow(DESTINATION, DESTINATION, 'loads'),
  arrow(CHANNEL, undefined, 'is cut'),
  arrow(SOURCE, undefined, 'rolls back'),
]);

describe('four lanes and fifteen steps', () => {
  test('as text', () => {
    expect(`\n${chartText(MIGRATION, whole(MIGRATION)).join('\n')}\n`).toMatchInlineSnapshot(`
      "
          source VMM              vf0                     channel                 destination VMM
       1  * migrate               |                       |                       |
       2  |-- SET_STATE PRE_COPY >|                       |                       |
       3  |<- ok -----------------|                       |                       |
       4  |                       * writes to a page of the guest, which the log sees
       5  |-- page 0, version 1 ------------------------->|                       |
       6  |                       |                       |-- page 0, version 1 ->|
       7  |           loads page 0, and has nothing else to do until the next one *
       8  |-- SWITCHOVER_START -------------------------------------------------->|
       9  |<- ACK ----------------------------------------------------------------|
      10  |- SET_STATE STOP_COPY >|                       |                       |
      11  |                       | its state in one piece, all of it             |
          |                       |---------------------->|                       |
      12  |                       |                       |-- its state --------->|
      13  |                       |                       |                       * loads
      14  |                       |                       * is cut                |
      15  * rolls back            |                       |                       |
      "
    `);
  });

  test('with what each step changes, and a cycle', () => {
    const states = [initialState(MIGRATION)];
    for (const action of MIGRATION.actions) states.push(step(MIGRATION, states.at(-1)!, action)!);
    const changed = states.slice(1).map((state, index) => changes(states[index]!, state));
    expect(changed.slice(0, 2)).toEqual([{ done: 1 }, { log: 'on', done: 2 }]);
    const path = whole(MIGRATION, { end: 'cycle', loop: 13 });
    const lines = chartText(MIGRATION, path, { changes: changed });
    expect(lines.slice(0, 5).join('\n')).toMatchInlineSnapshot(`
      "    source VMM              vf0                     channel                 destination VMM
       1  * migrate               |                       |                       |
            done = 1
       2  |-- SET_STATE PRE_COPY >|                       |                       |
            log = on, done = 2"
    `);
    expect(lines.slice(-6).join('\n')).toMatchInlineSnapshot(`
      "    -- from here on without end --
      14  |                       |                       * is cut                |
            done = 14
      15  * rolls back            |                       |                       |
            done = 15
          -- and again from step 14 --"
    `);
  });

  test('as Mermaid', () => {
    const path = whole(MIGRATION, { end: 'cycle', loop: 13 });
    expect(chartMermaid(MIGRATION, path).join('\n')).toMatchInlineSnapshot(`
      "sequenceDiagram
        autonumber
        participant p0 as source VMM
        participant p1 as vf0
        participant p2 as channel
        participant p3 as destination VMM
        Note over p0: migrate
        p0->>p1: SET_STATE PRE_COPY
        p1->>p0: ok
        Note over p1: writes to a page of the guest, which the log sees
        p0->>p2: page 0, version 1
        p2->>p3: page 0, version 1
        Note over p3: loads page 0, and has nothing else to do until the next one
        p0->>p3: SWITCHOVER_START
        p3->>p0: ACK
        p0->>p1: SET_STATE STOP_COPY
        p1->>p2: its state in one piece, all of it
        p2->>p3: its state
        Note over p3: loads
        loop without end
        Note over p2: is cut
        Note over p0: rolls back
        end"
    `);
  });
});

test.each([
  ['deadlock', null, ['    -- nothing more can happen --']],
  ['cycle', 15, ['    -- and nothing more has to happen --']],
  ['state', null, []],
] as const)('the end of a run by a %s is said', (end, loop, said) => {
  const lines = chartText(MIGRATION, whole(MIGRATION, { end, loop }));
  expect(lines.filter((line) => line.includes('--') && !line.includes('|'))).toEqual(said);
});

test('a run of no steps', () => {
  const path: Path = { actions: [], end: 'state', loop: null };
  expect(chartText(MIGRATION, path)).toEqual(['   (the initial state)']);
  expect(chartMermaid(MIGRATION, path)).toEqual(['sequenceDiagram', '  autonumber']);
});

test('what Mermaid takes as syntax is written as its entity', () => {
  const model = drawn([arrow('a:b', 'end', 'x; #1 <->\n"{y}"')]);
  expect(chartMermaid(model, whole(model)).slice(2)).toEqual([
    '  participant p0 as a#58;b',
    '  participant p1 as end',
    '  p0->>p1: x#59; #35;1 #60;-#62;#10;#34;#123;y#125;#34;',
  ]);
});

describe('any chart', () => {
  const lane = fc.nat(11).map((index) => `L${index}`);
  const words = fc.array(fc.constantFrom('SET_STATE', 'a', 'page', 'STOP_COPY', '0'), { minLength: 1 });
  const arrows = fc.array(
    fc
      .tuple(lane, fc.option(lane, { nil: undefined }), words)
      .map(([from, to, text]) => arrow(from, to, text.join(' '))),
    { minLength: 1, maxLength: 120 },
  );

  test('is at most 100 columns wide, and shows each step with its arrow, its text and its number', () => {
    fc.assert(
      fc.property(arrows, (list) => {
        const model = drawn(list);
        const [head, ...rows] = chartText(model, whole(model));
        expect(Math.max(...[head!, ...rows].map((row) => row.length))).toBeLessThanOrEqual(100);
        // A step has one row, or two.
        const numbers = rows.map((row) => /^ *(\d+) {2}/.exec(row)?.[1]).filter((number) => number);
        expect(numbers).toEqual(list.map((_, index) => `${index + 1}`));
        const column = columnsOfHead(head!);
        let row = 0;
        for (const { from, to, text } of list) {
          const isArrow = to !== undefined && to !== from;
          const short = text.slice(0, 20);
          expect(rows[row]!).toContain(short);
          if (isArrow && !/[<>]/.test(rows[row]!)) row++;
          const right = isArrow && column.get(from)! < column.get(to)!;
          if (!isArrow) expect(rows[row]![column.get(from)!]).toBe('*');
          else if (right) expect(rows[row]![column.get(to)! - 1]).toBe('>');
          else expect(rows[row]![column.get(to)! + 1]).toBe('<');
          row++;
        }
        expect(row).toBe(rows.length);
      }),
      { numRuns: 300 },
    );
  });

  /** Where the lanes stand. */
  function columnsOfHead(head: string): Map<string, number> {
    return new Map([...head.matchAll(/L\d+/g)].map(({ 0: name, index }) => [name, index]));
  }

  test('has the words of names below each other where lanes stand close', () => {
    const names = Array.from({ length: 11 }, (_, index) =>
      index % 2 ? `destination ${index}` : `of vf${index}`,
    );
    const model = drawn(names.map((name, index) => arrow(name, names[index + 1], 'go')));
    expect(chartText(model, whole(model)).slice(0, 4).join('\n')).toMatchInlineSnapshot(`
      "    of vf0  dest... of vf2  dest... of vf4  dest... of vf6  dest... of vf8  dest... of vf10
                  1               3               5               7               9
       1  |-- go >|       |       |       |       |       |       |       |       |       |
       2  |       |-- go >|       |       |       |       |       |       |       |       |"
    `);
  });

  test('of more lanes than there are columns is cut', () => {
    const many = Array.from({ length: 120 }, (_, index) => arrow(`l${index}`, `l${(index + 1) % 120}`, 'go'));
    const model = drawn(many);
    const lines = chartText(model, whole(model));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });
});
