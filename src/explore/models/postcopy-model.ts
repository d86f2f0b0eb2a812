import type { Model, ModelEntry, ModelOptions } from '../model.js';
import { fail, recover, rollBack } from './postcopy-failure.js';
import { end, send, wait } from './postcopy-pages.js';
import { Postcopy } from './postcopy-parts.js';
import { postcopyProperties } from './postcopy-properties.js';
import { begin, precopy, switchOver } from './postcopy-switch.js';

export function buildPostcopy(entry: ModelEntry, options: ModelOptions): Model {
  const parts = new Postcopy(entry, options);
  begin(parts);
  switchOver(parts);
  fail(parts);
  rollBack(parts);
  recover(parts);
  end(parts);
  for (const page of parts.pages) {
    precopy(parts, page);
    wait(parts, page);
    send(parts, page);
  }
  postcopyProperties(parts);
  parts.model.symmetric(
    'pages',
    parts.pages.map(({ dirty, way, at, fault, late }) =>
      [dirty, way, at, fault, ...(late ? [late] : [])].map(({ variable }) => variable),
    ),
  );
  return parts.model.build();
}
