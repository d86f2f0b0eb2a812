import { expect, test } from 'vitest';
import { oneScript } from '../../src/cli/one-script.js';

const MODULES: Readonly<Record<string, string>> = {
  main: "import { twice as double, NAME } from './math.js';\nimport { add } from './add-on.js';\nconst SECRET = 1;\nglobalThis.result = [double(21), NAME, add(SECRET)];\nexport {};\n",
  math: "import { add } from './add-on.js';\nconst SECRET = 5;\nexport const NAME = 'math';\nexport function twice(value) {\n    return add(value) - SECRET + value;\n}\n",
  'add-on': 'const SECRET = 5;\nexport function add(value) {\n    return value + SECRET;\n}\n',
};

test('modules are one script, each once and with a scope of its own', () => {
  const script = oneScript('main', (name) => MODULES[name]!);
  expect(script.match(/function add\(/g)).toHaveLength(1);
  const scope: { result?: unknown } = {};
  new Function('globalThis', script)(scope);
  expect(scope.result).toEqual([42, 'math', 6]);
});

test.each([["import fs from 'node:fs';\n"], ["export * from './math.js';\n"], ['export default 3;\n']])(
  'what it does not know is refused: %j',
  (text) => {
    expect(() => oneScript('main', () => text)).toThrow(/cannot be put into one script/);
  },
);
