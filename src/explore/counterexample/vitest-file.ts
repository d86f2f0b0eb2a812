import { plural, WIDTH, wrap } from '../../text/words.js';
import type { Model, Property } from '../model.js';
import type { Path } from '../result.js';
import { chartText } from './chart.js';

/**
 * A vitest file that makes the model, replays the run on its machines, and expects that it breaks the property
 * (of a `sometimes`: that it is a witness).
 */
export function vitestFile(model: Model, property: Property, { actions, end, loop }: Path): string {
  const path: Path = { actions, end, loop };
  const verb = property.kind === 'sometimes' ? 'is shown by' : 'is broken by';
  const title = `${model.name}${model.options.variant === null ? '' : ` as ${model.options.variant}`}: ${property.id} ${verb} ${plural(actions.length, 'step')}`;
  return `import { modelNamed, modelOptions, replay } from 'stopcopy/explore';
import { expect, test } from 'vitest';

/*
${comment([...wrap(property.words, WIDTH - 3), '', ...chartText(model, path)])}
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

function comment(lines: readonly string[]): string {
  return lines.map((line) => ` * ${line.replaceAll('*/', '* /')}`.trimEnd()).join('\n');
}
