import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { toCSearch } from '../../../src/explore/exports/c-search.js';
import type { Model } from '../../../src/explore/model.js';
import { inFolder } from './spin.js';

const call = promisify(execFile);

export interface CRun {
  states: number;
  edges: number;
  depth: number;
  seconds: number;
  bytes: number;
}

/** Compiles and runs the C search of a model. @throws Error with its message when it fails */
export function runCSearch(model: Model, { most }: { most?: number } = {}): Promise<CRun> {
  return inFolder(async (cwd) => {
    await writeFile(join(cwd, 'search.c'), toCSearch(model));
    await call('cc', ['-O2', '-Wall', '-Werror', '-Wno-unused-variable', '-o', 'search', 'search.c'], {
      cwd,
    });
    const { stdout } = await call('./search', most === undefined ? [] : [String(most)], { cwd });
    const words = stdout.trim().split(' ');
    const field = (name: string): number => Number(words[words.indexOf(name) + 1]);
    return {
      states: field('states'),
      edges: field('edges'),
      depth: field('depth'),
      seconds: field('seconds'),
      bytes: field('bytes'),
    };
  });
}
