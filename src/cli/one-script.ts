const IMPORT = /^import \{([^}]*)\} from '\.\/([\w-]+)\.js';\n/gm;
const EXPORT = /^export (?=(?:class|const|function) (\w+))/gm;
/** What the two above do not know: it would be lost without a word. */
const OTHER = /^(?:import|export)\b.*/m;

/**
 * The modules of a folder that one of them needs, as one script: a page in a single file has nowhere to import from.
 * Each keeps a scope of its own. Modules import each other by names, and export what they declare.
 * @throws Error when a module is written in another way
 */
export function oneScript(entry: string, read: (name: string) => string): string {
  const done = new Set<string>();
  const parts: string[] = [];
  const add = (name: string): void => {
    if (done.has(name)) return;
    done.add(name);
    const text = read(name);
    for (const [, , needed] of text.matchAll(IMPORT)) add(needed!);
    const exported = [...text.matchAll(EXPORT)].map(([, each]) => each);
    const body = text
      .replace(
        IMPORT,
        (_, names: string, from: string) => `const {${names.replaceAll(' as ', ': ')}} = ${idOf(from)};\n`,
      )
      .replace(EXPORT, '')
      .replace(/^export \{\};\n/m, '');
    const other = OTHER.exec(body);
    if (other !== null) throw new Error(`${name}: '${other[0]}' cannot be put into one script`);
    parts.push(`const ${idOf(name)} = (() => {\n${body}return { ${exported.join(', ')} };\n})();\n`);
  };
  add(entry);
  return parts.join('');
}

function idOf(name: string): string {
  return `module_${name.replaceAll('-', '_')}`;
}
