import { readFileSync } from 'node:fs';
import type { PageParts } from '../validate/reporters/index.js';
import { packagePath } from './package.js';

/** Style and scripts of the HTML report, which has all of them in itself. */
export function htmlParts(): PageParts {
  const text = (path: string): string => readFileSync(packagePath(path), 'utf8');
  return {
    style: text('docs/theme/base.css') + text('docs/theme/report.css'),
    scripts: ['findings', 'timeline'].map((name) => text(`dist/viewer/${name}.js`)),
  };
}
