import fc from 'fast-check';
import { ModelBuilder } from '../../src/explore/builder.js';
import {
  and,
  type Expression,
  either,
  eq,
  le,
  lt,
  min,
  minus,
  ne,
  not,
  or,
  plus,
} from '../../src/explore/expression.js';
import type { Model } from '../../src/explore/model.js';
import { dmaLogging } from '../../src/machines/dma-logging.js';
import { switchoverAck } from '../../src/machines/switchover-ack.js';

/** What a member of a group does, of itself and of what all share. */
interface Draft {
  members: number;
  rules: { when: number; set: number; event: number; shared: boolean; label: number }[];
  properties: { kind: number; of: number }[];
  fair: boolean;
}

const draft: fc.Arbitrary<Draft> = fc.record({
  members: fc.integer({ min: 1, max: 3 }),
  rules: fc.array(
    fc.record({
      when: fc.nat(11),
      set: fc.nat(9),
      event: fc.integer({ min: -1, max: 6 }),
      shared: fc.boolean(),
      label: fc.nat(2),
    }),
    { minLength: 2, maxLength: 7 },
  ),
  properties: fc.array(fc.record({ kind: fc.nat(5), of: fc.nat(11) }), { minLength: 1, maxLength: 4 }),
  fair: fc.boolean(),
});

const LABELS = ['progress', 'dma', 'fault'];

/** Small models of identical members with a machine and a variable each, beside a machine and variables of all. */
export const randomModel: fc.Arbitrary<Model> = draft.map(buildModel);

function buildModel({ members, rules, properties, fair }: Draft): Model {
  const options = { devices: members, pages: 0, faults: 0, capabilities: [], variant: null };
  const model = new ModelBuilder('random', 'A random model', options);
  const ack = model.component('ack', switchoverAck());
  const total = model.variable('total', 'a number of all', 3);
  const turn = model.variable('turn', 'a number of all', 1, 1);
  const own = Array.from({ length: members }, (_, index) => ({
    log: model.component(`log${index}`, dmaLogging()),
    count: model.variable(`count${index}`, 'a number of its own', 2),
  }));
  const events = ['START.ok', 'STOP.ok', 'REPORT.ok', 'RESET.ok'];
  const common = ['ACK.needed', 'ACK.all', 'SWITCHOVER', 'SETUP'];
  const guard = (choice: number, { log, count }: (typeof own)[number]): Expression =>
    [
      1,
      eq(count, 0),
      lt(count, 2),
      log.in('dma-logging', 'on'),
      not(log.in('dma-logging', 'off')),
      lt(total, 3),
      and(eq(turn, 1), lt(0, total)),
      or(...own.map((each) => eq(each.count, 2))),
      and(...own.map((each) => le(each.count, 1))),
      ack.takes('SWITCHOVER'),
      ne(plus(...own.map((each) => each.count)), 1),
      le(min(count, total), 1),
    ][choice]!;
  for (const [index, rule] of rules.entries())
    for (const [at, member] of own.entries()) {
      const { log, count } = member;
      const event = rule.event;
      const set = [
        [],
        [count.to(either(lt(count, 2), plus(count, 1), 0))],
        [count.to(min(2, plus(count, total)))],
        [total.to(min(3, plus(total, count)))],
        [total.to(count), count.to(min(2, total))],
        [turn.to(minus(1, turn))],
        [count.to(0), total.to(0)],
        [total.to(either(eq(total, 0), 3, minus(total, 1)))],
        [count.to(either(log.in('dma-logging', 'on'), 2, 0))],
        [turn.to(either(eq(count, 2), 1, 0)), count.to(1)],
      ][rule.set]!;
      model.action(`rule ${index} of ${at}`, {
        when: guard(rule.when, member),
        sync: event < 0 ? [] : event < 4 ? [log.on(events[event]!)] : [ack.on(common[event - 4]!)],
        set,
        labels: [LABELS[rule.label]!, 'any'],
      });
    }
  const some = (of: number) => or(...own.map((member) => guard(of, member)));
  const all = (of: number) => and(...own.map((member) => guard(of, member)));
  for (const [index, { kind, of }] of properties.entries()) {
    const id = `property-${index}`;
    const words = 'A random property.';
    if (kind === 0) model.always(id, words, some(of));
    if (kind === 1) model.never(id, words, and(all(of), eq(total, 2)));
    if (kind === 2) model.sometimes(id, words, and(all(of), eq(total, 3)));
    if (kind === 3) model.neverStep(id, words, 'any', and(all(of), eq(turn, 0)));
    if (kind >= 4)
      model.leadsTo(id, words, some(of), kind === 4 ? eq(total, 0) : all(of), fair ? ['any'] : []);
  }
  model.sound(eq(turn, 0));
  model.symmetric(
    'members',
    own.map((_, index) => [`log${index}`, `count${index}`]),
  );
  return model.build();
}
