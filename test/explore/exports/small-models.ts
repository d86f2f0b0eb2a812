import { ModelBuilder } from '../../../src/explore/builder.js';
import {
  and,
  either,
  eq,
  ge,
  gt,
  implies,
  le,
  lt,
  max,
  min,
  minus,
  ne,
  not,
  or,
  plus,
} from '../../../src/explore/expression.js';
import type { Model, ModelOptions } from '../../../src/explore/model.js';
import { dmaLogging } from '../../../src/machines/dma-logging.js';
import { CAPABILITY_SETS } from '../../../src/machines/index.js';
import { vfioDevice } from '../../../src/machines/vfio-device.js';

/** Models that are small enough for every second opinion, and use all that models can say. */

const options = (devices: number): ModelOptions => ({
  devices,
  pages: 2,
  faults: 0,
  capabilities: [],
  variant: null,
});

/** A device that logs its writes. In the mutant some are not logged, and it may come to a halt. */
export function logged(mutant = false): Model {
  const model = new ModelBuilder('logged', 'A log, with a comment */ in its title', options(1));
  const log = model.component('log', dmaLogging());
  const dirty = model.variable('dirty', 'pages in the log', 2);
  const lost = model.variable('lost', 'a write was not logged', 1);
  // Read by a property alone.
  const reported = model.variable('reported', 'a page was in a report', 1);
  model.action('log: START', { sync: [log.on('START.ok')] });
  model.action('log: REPORT', {
    sync: [log.on('REPORT.ok')],
    when: gt(dirty, 0),
    set: [dirty.to(0), reported.to(1)],
  });
  model.action('log: start', { sync: [log.on('STOP.ok')], when: eq(dirty, 3) });
  model.action('device: write', {
    when: and(log.in('dma-logging', 'on'), lt(dirty, 2)),
    set: [dirty.to(plus(dirty, 1))],
    labels: ['dma'],
  });
  if (mutant) {
    model.action('device: write unlogged', { labels: ['dma'], when: not(lost), set: [lost.to(1)] });
    model.action('log: RESET', { sync: [log.on('RESET.ok')], when: eq(dirty, 1) });
    model.action('log: STOP', { sync: [log.on('STOP.ok')], when: and(lost, eq(dirty, 2)) });
  }
  model.never('no-page-lost', 'No write is lost.', eq(lost, 1));
  model.always(
    'dirty only where logged',
    'Dirty pages are in a log.',
    implies(dirty, not(log.in('dma-logging', 'off'))),
  );
  model.neverStep('no-dma-unlogged', 'No DMA without log.', 'dma', log.in('dma-logging', 'off'));
  model.sometimes('full', 'The log is full.', eq(dirty, 2));
  model.sometimes('reported', 'A page is in a report.', eq(reported, 1));
  model.sometimes('reset', 'A reset has come.', log.in('dma-logging', 'after_reset'));
  model.sound(log.in('dma-logging', 'off'));
  return model.build();
}

/**
 * Every operator; assignments that read each other; several regions; more bits than a word has. `wide` further
 * variables fill the first word of packed states.
 */
export function everything(wide = 0): Model {
  const model = new ModelBuilder('everything', 'Every operator', options(2));
  const vf = [0, 1].map((index) => model.component(`vf${index}`, vfioDevice(CAPABILITY_SETS[3]!)));
  for (let index = 0; index < wide; index++) model.variable(`pad ${index}`, 'never changes', 255, index);
  const a = model.variable('a', 'a', 5, 2);
  const b = model.variable('b', 'b', 6, 1);
  const c = model.variable('a!', 'as an identifier the same as a', 3);
  const stopped = (index: number) => vf[index]!.in('device', 'STOP', 'STOP_COPY');
  model.action('swap', { when: ne(a, b), set: [a.to(min(b, 5)), b.to(a)], labels: ['swap'] });
  model.action('turn', {
    when: and(le(a, 3), le(b, 3)),
    set: [a.to(b), b.to(c), c.to(a)],
    labels: ['swap'],
  });
  model.action('more', {
    when: or(stopped(0), eq(a, 0)),
    set: [a.to(min(5, plus(a, b, c), max(a, 4))), c.to(either(lt(minus(a, b), 0), 0, min(3, plus(c, 1))))],
  });
  for (const [index, device] of vf.entries())
    for (const event of ['SET.STOP', 'SET.STOP_COPY', 'SET.PRE_COPY.data_fd', 'FAIL.STOP.ERROR', 'RESET.ok'])
      model.action(`vf${index}: ${event}`, {
        sync: [device.on(event)],
        when: either(device.takes('SET.PRE_COPY.data_fd'), le(a, 4), or(and(gt(b, 0)), not(c))),
        labels: ['move'],
      });
  model.action('both: RUNNING', {
    sync: vf.map((each) => each.on('SET.RUNNING')),
    set: [a.to(c)],
    labels: ['move'],
  });
  model.always('in range', 'a and b are small', le(plus(a, b), 11));
  model.never('both stopped', 'Both are stopped', and(stopped(0), stopped(1)));
  model.never('a large', 'a is large while stopped', and(stopped(0), ge(a, 5)));
  model.sometimes('all three', 'a, b and c are 3', and(eq(a, 3), eq(b, 3), eq(c, 3)));
  model.sound(0);
  return model.build();
}

/** Work that comes, is done or dropped, and other things that can always happen. */
export function response(): Model {
  const model = new ModelBuilder('response', 'Work that is done', options(1));
  const work = model.variable('work', 'waiting', 2);
  const done = model.variable('done', 'parity of what was done', 1);
  const noise = model.variable('noise', 'something else', 1);
  model.action('come', { when: lt(work, 2), set: [work.to(plus(work, 1))], labels: ['come'] });
  model.action('do', {
    when: and(gt(work, 0), eq(noise, 0)),
    set: [work.to(minus(work, 1)), done.to(minus(1, done))],
    labels: ['progress'],
  });
  model.action('noise', { when: eq(noise, 0), set: [noise.to(1)], labels: ['noise'] });
  model.action('quiet', { when: eq(noise, 1), set: [noise.to(0)], labels: ['quiet', 'progress'] });
  model.action('nothing', { labels: ['still'] });
  model.leadsTo('quiet comes', 'Noise ends, when its end is fair.', noise, not(noise), ['quiet']);
  model.leadsTo('quiet unfair', 'Noise ends, without fairness.', noise, not(noise), []);
  // Noise comes and goes, so that doing is never enabled without end: weak fairness does not help it.
  model.leadsTo('weak', 'Waiting work is done.', eq(work, 2), lt(work, 2), ['quiet', 'progress']);
  model.leadsTo('wrong class', 'Noise ends by what does not end it.', noise, not(noise), ['still', 'come']);
  model.leadsTo('never asked', 'Whatever.', eq(plus(work, noise), 4), 0, ['still']);
  model.sound(0);
  return model.build();
}

/** One thing that can happen, and need not. */
export function mayStay(): Model {
  const model = new ModelBuilder('may-stay', 'What need not happen', options(0));
  const gone = model.variable('gone', 'it has happened', 1);
  model.action('go', { when: not(gone), set: [gone.to(1)], labels: ['go', 'any'] });
  model.action('rest', { labels: ['any'] });
  model.leadsTo('fair', 'It happens when it is fair.', 1, gone, ['go']);
  model.leadsTo('unfair', 'It happens without fairness.', 1, gone, []);
  // A run may rest for ever, which is to do something again and again, though it changes nothing.
  model.leadsTo('any', 'It happens when something has to.', 1, gone, ['any']);
  model.sound(gone);
  return model.build();
}
