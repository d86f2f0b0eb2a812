import { namesOf } from '../../../src/explore/exports/names.js';
import { toTla } from '../../../src/explore/exports/tla.js';
import type { Model } from '../../../src/explore/model.js';
import { brokenAtLast } from './tla-live.js';
import { exploreTla, readTla } from './tla-reader.js';

/** The ids of the properties that the exported modules break; whether each action happens is not judged. */
export function brokenByTla(model: Model): string[] {
  const names = namesOf(model);
  const { module, config, files } = toTla(model);
  const witness = files.find(({ name }) => name.endsWith('_witness.cfg'))?.text ?? '';
  const base = readTla(module);
  const liveText = files.find(({ name }) => name.endsWith('_live.tla'))?.text;
  const { broken } = exploreTla(base, config + witness);
  if (broken.has('TypeOK')) throw new Error('a variable left its range');
  return model.properties
    .filter((property) => {
      const name = names.properties.get(property.id)!;
      if (property.kind === 'leadsTo') return brokenAtLast(base, liveText!, name);
      if ('everyAction' in property) return false;
      return property.kind === 'sometimes' ? !broken.has(`NoWitnessOf_${name}`) : broken.has(name);
    })
    .map(({ id }) => id)
    .sort();
}
