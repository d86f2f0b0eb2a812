import type { Model, ModelEntry, ModelOptions } from '../model.js';
import { addDestination } from './multifd-destination.js';
import { addFailures } from './multifd-failure.js';
import { Multifd } from './multifd-parts.js';
import { multifdProperties } from './multifd-properties.js';
import { addSource } from './multifd-source.js';

export function buildMultifd(entry: ModelEntry, options: ModelOptions): Model {
  const parts = new Multifd(entry, options);
  addSource(parts);
  addDestination(parts);
  addFailures(parts);
  multifdProperties(parts);
  // Pages and devices stand as numbers in the channels: they cannot be exchanged as well.
  parts.model.symmetric(
    'channels',
    parts.channels.map(({ slot, owed, held, closed }) =>
      [slot, owed, held, closed].map(({ variable }) => variable),
    ),
  );
  return parts.model.build();
}
