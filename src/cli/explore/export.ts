import { basename, dirname, join } from 'node:path';
import { type Model, toCSearch, toPromela, toTla } from '../../explore/index.js';
import { UsageError } from '../exit.js';

/**
 * A model in the language of another checker. Of TLA+ it is the module; TLC's configuration stands behind it,
 * as a comment.
 */
export function exported(model: Model, form: 'promela' | 'tla' | 'c'): string {
  if (form === 'promela') return toPromela(model);
  if (form === 'c') return toCSearch(model);
  const { module, config } = toTla(model);
  return `${module}\n\\* Configuration for TLC, a file of its own:\n${config.replace(/^/gm, '\\* ').trimEnd()}\n`;
}

/**
 * The files of a model in TLA+, when its module is to be `path`: the module first, the others beside it.
 * @throws UsageError when the file has not the name of the module
 */
export function tlaFiles(model: Model, path: string): { path: string; text: string }[] {
  const { files } = toTla(model);
  const wanted = files[0]!.name;
  if (basename(path) !== wanted)
    throw new UsageError(
      `TLC reads a module from a file of its name: use --output ${join(dirname(path), wanted)}`,
    );
  return files.map(({ name, text }) => ({ path: join(dirname(path), name), text }));
}
