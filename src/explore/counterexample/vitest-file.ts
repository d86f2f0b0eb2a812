import type { Model, Property } from '../model.js';
import type { Path } from '../result.js';
import { chartText } from './chart.js';

/**
 * A vitest file that makes the model, replays the run on its machines, and expects that it breaks the property
 * (of a `sometimes`: that it is a witness).
 */
export function vitestFile(model: Model, property: Property, path: Path): string {
  const verb = property.kind === 'sometimes' ? 'is shown by' : 'is broken by';
  const title = `${model.name}${model.options.variant === null ? '' : ` as ${model.options.variant}`}: ${property.id} ${verb} ${path.actions.length} steps`;
  return `import { modelNamed, modelOptions, replay } from 'stopcopy/explore';
import { expect, test } from 'vitest';

/*
 * ${property.words}
 *
${chartText(model, path)
  .map((line) => ` * ${line.replaceAll('*/', '* /')}`.trimEnd())
  .join('\n')}
 */
test(${JSON.stringify(title)}, () => {
  const entry = modelNamed(${JSON.stringify(model.name)})!;
  const model = entry.make(modelOptions(entry, ${JSON.stringify(model.options)}));
  const property = model.properties.find(({ id }) => id === ${JSON.stringify(property.id)})!;
  const path = ${JSON.stringify(path, null, 2).replaceAll('\n', '\n  ')} as const;
  expect(replay(model, property, path).problem).toBe(null);
});
`;
}
