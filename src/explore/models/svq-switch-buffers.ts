import { and, type Expression, either, eq, gt, lt, minus, not, plus } from '../expression.js';
import type { Assignment, Sync } from '../model.js';
import * as told from './svq-switch-events.js';
import { INDEX, LANE, type Ring, type SvqParts } from './svq-switch-parts.js';

/** Buffers go from the guest to the device and back. */
export function addBuffers(
  parts: SvqParts,
  { index, chart, made, used, taken, base, stale, marked }: Ring,
): void {
  const model = parts.model;
  const waiting = minus(made, plus(taken, used));
  const runs = and(chart.in('vdpa-vring', 'running'), parts.works());
  const written = stale.to(either(parts.at('none'), stale, 1));
  model.action(`ring ${index}: the guest makes a buffer available`, {
    when: and(
      eq(parts.driver, 1),
      lt(made, parts.options.pages),
      not(parts.at('switchover', 'final', 'completed')),
    ),
    set: [made.to(plus(made, 1))],
    chart: { from: LANE.guest, text: `a buffer in ring ${index}` },
    labels: ['guest'],
  });
  model.action(`ring ${index}: the device takes a buffer`, {
    when: and(eq(parts.svq, 0), runs, lt(0, waiting)),
    set: [taken.to(plus(taken, 1))],
    chart: { from: LANE.device, text: `takes a buffer of ring ${index}` },
    labels: ['device'],
  });
  model.action(`ring ${index}: the VMM shows a buffer to the device`, {
    when: and(eq(parts.svq, 1), parts.vmmIs('running'), lt(0, waiting)),
    set: [taken.to(plus(taken, 1))],
    chart: { from: LANE.vmm, to: LANE.device, text: `a buffer in shadow ring ${index}` },
    labels: ['device'],
  });
  const write = [parts.device.on('WRITE.memory'), chart.on('WRITE.memory')];
  const finish = (
    name: string,
    svq: number,
    set: readonly Assignment[],
    when: Expression,
    sync: readonly Sync[],
  ) =>
    model.action(`ring ${index}: the device ${name}`, {
      when: and(eq(parts.svq, svq), gt(taken, 0), when),
      sync,
      set: [taken.to(minus(taken, 1)), written, ...set],
      chart: { from: LANE.device, text: `${name}, ring ${index}` },
      events: [told.written(index)],
      labels: ['device', 'dma'],
    });
  const toGuest = [made.to(minus(made, 1)), base.to(INDEX.early)];
  finish('writes and uses a buffer', 0, toGuest, 1, write);
  finish(
    'writes and uses a buffer of the VMM',
    1,
    [used.to(plus(used, 1))],
    parts.is('device-never-finishes') ? 0 : 1,
    write,
  );
  if (parts.is('works-while-suspended'))
    finish('uses a buffer though it is suspended', 0, toGuest, parts.device.in('suspend', 'suspended'), []);
  model.action(`ring ${index}: the VMM gives a buffer back`, {
    when: and(eq(parts.svq, 1), parts.vmmIs('running'), gt(used, 0)),
    set: [used.to(minus(used, 1)), made.to(minus(made, 1)), ...parts.marking(marked, 1)],
    chart: { from: LANE.vmm, to: LANE.guest, text: `a buffer of ring ${index}` },
    labels: ['device'],
  });
}
