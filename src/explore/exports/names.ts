import type { Model } from '../model.js';

/**
 * Identifiers of a model's parts, the same in every exported language. The prefix tells what each is and
 * keeps it apart from the words of all these languages: `m_` machine, `v_` variable, `a_` action, `p_` property.
 */
export interface Names {
  readonly module: string;
  readonly components: ReadonlyMap<string, string>;
  readonly variables: ReadonlyMap<string, string>;
  readonly actions: ReadonlyMap<string, string>;
  /** By id. */
  readonly properties: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
}

/** Makes the identifiers of a model; names that become equal get a number behind them. */
export function namesOf(model: Model): Names {
  const labels = [...new Set(model.actions.flatMap((each) => each.labels))];
  return {
    module: plain(model.name),
    components: identifiers('m', model.components),
    variables: identifiers('v', model.variables),
    actions: identifiers('a', model.actions),
    properties: identifiers(
      'p',
      model.properties.map(({ id }) => ({ name: id })),
    ),
    labels: identifiers(
      'l',
      labels.map((name) => ({ name })),
    ),
  };
}

function identifiers(prefix: string, parts: readonly { readonly name: string }[]): Map<string, string> {
  const taken = new Set<string>();
  const made = new Map<string, string>();
  for (const { name } of parts) {
    const wanted = `${prefix}_${plain(name)}`;
    let identifier = wanted;
    for (let count = 2; taken.has(identifier); count++) identifier = `${wanted}_${count}`;
    taken.add(identifier);
    made.set(name, identifier);
  }
  return made;
}

const plain = (name: string): string => name.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_|_$/g, '') || 'x';

/** Text that can stand in a comment of any of these languages: one line, and nothing that ends a comment. */
export const comment = (text: string): string =>
  text
    .replace(/\s+/g, ' ')
    .replaceAll('*/', '* /')
    .replaceAll('/*', '/ *')
    .replaceAll('*)', '* )')
    .replaceAll('(*', '( *')
    .replaceAll('\\', '/');
