import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The sources of the package's entry points. */
function entryPoints(): string[] {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string }>;
  };
  return Object.values(exports).map(({ default: built }) => {
    const source = built.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts');
    return join(ROOT, source.startsWith('devices/') ? source : `src/${source}`);
  });
}

test('every exported symbol says what it is', () => {
  const config = ts.readConfigFile(join(ROOT, 'test/tsconfig.json'), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, join(ROOT, 'test'));
  const files = entryPoints();
  const program = ts.createProgram(files, { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  const silent = new Set<string>();
  let count = 0;
  for (const file of files) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      const place = symbol.declarations?.[0]?.getSourceFile().fileName ?? '';
      if (!place.startsWith(ROOT) || place.includes('node_modules')) continue;
      count++;
      if (!isDocumented(symbol, checker)) silent.add(`${place.slice(ROOT.length)}: ${symbol.name}`);
    }
  }
  expect(count).toBeGreaterThan(500);
  expect([...silent].sort()).toEqual([]);
});

/** A comment of its own; a type that has the name of a value, such as the union of a list's members, shares its. */
function isDocumented(symbol: ts.Symbol, checker: ts.TypeChecker): boolean {
  if (symbol.getDocumentationComment(checker).length > 0) return true;
  return (symbol.declarations ?? []).some((declaration) => isBehindItsList(declaration));
}

/** `export type X = (typeof XS)[number]` right behind a documented list says the same as the list. */
function isBehindItsList(declaration: ts.Declaration): boolean {
  if (!ts.isTypeAliasDeclaration(declaration)) return false;
  const { statements } = declaration.getSourceFile();
  const before = statements[statements.indexOf(declaration) - 1];
  return (
    before !== undefined &&
    ts.isVariableStatement(before) &&
    ts.getJSDocCommentsAndTags(before).length > 0 &&
    /typeof/.test(declaration.type.getText())
  );
}
