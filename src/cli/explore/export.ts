import { type Model, toCSearch, toPromela, toTla } from '../../explore/index.js';

/** A model in the language of another checker. TLC's configuration stands behind the module, as a comment. */
export function exported(model: Model, form: 'promela' | 'tla' | 'c'): string {
  if (form === 'promela') return toPromela(model);
  if (form === 'c') return toCSearch(model);
  const { module, config } = toTla(model);
  return `${module}\n\\* Configuration for TLC, a file of its own:\n${config.replace(/^/gm, '\\* ').trimEnd()}\n`;
}
