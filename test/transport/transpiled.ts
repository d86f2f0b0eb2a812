import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { FOLDER } from './scratch.js';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

/** The sources as a process of its own can run them, whatever was built last; the URL of the entry point. */
export function transpiled(): string {
  for (const folder of ['transport', 'uapi']) {
    const out = join(FOLDER, 'js', folder);
    mkdirSync(out, { recursive: true });
    for (const name of readdirSync(join(SRC, folder)).filter((each) => each.endsWith('.ts'))) {
      const { outputText } = ts.transpileModule(readFileSync(join(SRC, folder, name), 'utf8'), {
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
        },
      });
      writeFileSync(join(out, name.replace(/\.ts$/, '.js')), outputText);
    }
  }
  writeFileSync(join(FOLDER, 'js', 'package.json'), '{ "type": "module" }');
  return pathToFileURL(join(FOLDER, 'js/transport/index.js')).href;
}
