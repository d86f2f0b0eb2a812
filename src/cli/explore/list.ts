import { table } from '../../document/table.js';
import { type ModelEntry, modelOptions } from '../../explore/index.js';
import { MODELS } from '../../explore/models/index.js';
import { hanging, WIDTH, wrap } from '../../text/words.js';

/** Name and version of the JSON of both lists. */
const MODELS_SCHEMA = 'stopcopy-models-1';

/** All models, as a table. */
export function modelsText(): string[] {
  const rows = MODELS.map((entry) => [entry.name, sizes(entry), entry.title]);
  return [
    ...table([['MODEL', 'SIZE', 'TITLE'], ...rows], ''),
    '',
    'stopcopy explore MODEL explores one; stopcopy explore MODEL --list shows its properties and variants.',
  ];
}

/** A model with its properties and variants. */
export function modelText(entry: ModelEntry): string[] {
  const { properties } = entry.make(modelOptions(entry));
  return [
    `${entry.name}: ${entry.title}`,
    '',
    ...wrap(entry.words, WIDTH),
    '',
    `options: ${sizes(entry)}`,
    '',
    'properties:',
    ...properties.flatMap(({ id, kind, words }) => hanging(`  ${id} (${kind}): `, words)),
    '',
    'variants:',
    ...entry.variants.flatMap(({ name, kind, breaks, title }) =>
      hanging(`  ${name} (${kind}): `, `${title} Breaks ${breaks.join(', ')}.`),
    ),
  ];
}

/** What both lists hold, as data. */
export function modelsData(entries: readonly ModelEntry[]): unknown {
  return {
    schema: MODELS_SCHEMA,
    models: entries.map((entry) => ({
      name: entry.name,
      title: entry.title,
      words: entry.words,
      ranges: entry.ranges,
      properties: entry
        .make(modelOptions(entry))
        .properties.map(({ id, kind, words }) => ({ id, kind, words })),
      variants: entry.variants,
    })),
  };
}

function sizes({ ranges }: ModelEntry): string {
  return Object.entries(ranges)
    .map(([name, { least, most, usual }]) => `${name} ${least}-${most} (${usual})`)
    .join(', ');
}
