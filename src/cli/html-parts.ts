import { readFileSync } from 'node:fs';
import type { PageParts } from '../validate/reporters/index.js';
import { oneScript } from './one-script.js';
import { packagePath } from './package.js';

/** Style and script of the HTML report, which has all of them in itself. */
export function htmlParts(): PageParts {
  const text = (path: string): string => readFileSync(packagePath(path), 'utf8');
  return {
    style: text('docs/theme/base.css') + text('docs/theme/report.css'),
    scripts: [oneScript('main', (name) => text(`dist/viewer/${name}.js`))],
  };
}
