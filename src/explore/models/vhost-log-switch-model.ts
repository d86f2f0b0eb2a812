import { and, type Expression, either, eq } from '../expression.js';
import type { Assignment, Model, ModelOptions } from '../model.js';
import { addCancel, addSwitchover, addTransfer } from './vhost-log-switch-migration.js';
import { BACK_END, isAttached, LogParts, namesOf, type Page } from './vhost-log-switch-parts.js';
import { addProperties } from './vhost-log-switch-properties.js';
import { addStart, addStop } from './vhost-log-switch-start.js';
import { addExchange, addSwitchOn } from './vhost-log-switch-switch.js';

/** Makes the model `vhost-log-switch`. */
export function buildVhostLogSwitch(options: ModelOptions, title: string): Model {
  const parts = new LogParts(options, title);
  addStart(parts);
  addStop(parts);
  addWrites(parts);
  addSwitchOn(parts);
  addExchange(parts);
  addTransfer(parts);
  addSwitchover(parts);
  addCancel(parts);
  addProperties(parts);
  parts.model.symmetric('pages', parts.buffers.map(namesOf));
  parts.model.symmetric(
    'rings',
    parts.rings.map(({ chart, used, ready }) => [chart.name, ready.variable, ...namesOf(used)]),
  );
  return parts.model.build();
}

/** The back end writes buffers and used parts, and marks them as its two gates say. */
function addWrites(parts: LogParts): void {
  const marks = (page: Page, gate: Expression): Assignment[] => [
    page.stale.to(1),
    page.logged.to(either(and(gate, parts.logAll, parts.hasBase, eq(parts.released, 0)), 1, page.logged)),
  ];
  for (const ring of parts.rings) {
    for (const page of parts.buffers)
      parts.model.action(`ring ${ring.index}: writes ${page.name}`, {
        when: isAttached(ring),
        set: marks(page, 1),
        chart: { from: BACK_END, text: `writes ${page.name} (ring ${ring.index})` },
        labels: ['write'],
      });
    parts.model.action(`ring ${ring.index}: writes its used part`, {
      when: isAttached(ring),
      set: marks(ring.used, ring.chart.in('logging', 'logged')),
      chart: { from: BACK_END, text: `writes ${ring.used.name}` },
      labels: ['write'],
    });
  }
}
