import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type PromelaProperty, toPromela } from '../../../src/explore/exports/promela.js';
import type { Model } from '../../../src/explore/model.js';

const call = promisify(execFile);

/** Why a program cannot be used here, in words; null when it can. */
export async function whyNot(...programs: readonly string[]): Promise<string | null> {
  for (const program of programs) {
    const version = program === 'spin' ? '-V' : '--version';
    const found = await call(program, [version]).then(
      () => true,
      () => false,
    );
    if (!found) return `skipped: there is no ${program} here`;
  }
  return null;
}

/** What one run of Spin said. */
export interface SpinRun {
  states: number;
  /** Transitions, without the one that Spin counts for the initial state. */
  edges: number;
  errors: number;
  /** Indices of actions that happened; only of runs for a property that asks. */
  happened: Set<number>;
  /** Of pan alone. */
  seconds: number;
}

/** Runs work in a folder that is gone after it. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'stopcopy-export-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** How far one run may go. */
export interface SpinLimits {
  /** Longest path of the depth-first search. */
  depth?: number;
  /** The hash table has 2 to the power of this many places. */
  table?: number;
  /** More flags for the compiler. */
  flags?: readonly string[];
}

/**
 * Explores a model with Spin: whole, or for one property.
 * @throws Error when a program fails, and when the search was not complete
 */
export function runSpin(model: Model, property?: PromelaProperty, limits: SpinLimits = {}): Promise<SpinRun> {
  return inFolder(async (cwd) => {
    const { depth = 2_000_000, table = 22, flags = [] } = limits;
    await writeFile(join(cwd, 'model.pml'), toPromela(model));
    await call('spin', ['-a', ...(property ? [`-D${property.define}`] : []), 'model.pml'], { cwd });
    const live = property?.run === 'liveness';
    const optimize = live || property ? '-O1' : '-O2';
    const define = live ? ['-DNOREDUCE'] : ['-DNOREDUCE', '-DSAFETY'];
    await call('cc', ['-w', optimize, ...define, ...flags, '-o', 'pan', 'pan.c'], { cwd });
    const begun = performance.now();
    // pan ends with an exit code of its own when it finds errors; its text tells.
    const { stdout } = await call('./pan', [`-m${depth}`, `-w${table}`, '-n', ...(live ? ['-a'] : [])], {
      cwd,
      maxBuffer: 1 << 26,
    }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }));
    return { ...readPan(stdout), seconds: (performance.now() - begun) / 1000 };
  });
}

/** Reads the report of pan. @throws Error when it is none, or of a search that is not complete */
export function readPan(text: string): Omit<SpinRun, 'seconds'> {
  const number = (pattern: RegExp): number => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`pan says no ${pattern}:\n${text.slice(-2000)}`);
    // From 100,000,000 on pan prints eight digits and an exponent.
    if (!/^\d+$/.test(found)) throw new Error(`pan has counted ${found}, which is no exact number`);
    return Number(found);
  };
  const errors = number(/errors: (\d+)/);
  if (/max search depth too small|out of memory|truncated/i.test(text))
    throw new Error(`pan did not see everything:\n${text.slice(-2000)}`);
  return {
    states: number(/^\s*(\S+) states, stored/m),
    edges: number(/^\s*(\S+) transitions \(/m) - 1,
    errors,
    happened: new Set([...text.matchAll(/^happened: (\d+)$/gm)].map(([, index]) => Number(index))),
  };
}

/** Whether Spin holds a property to be broken. */
export async function brokenBySpin(
  model: Model,
  property: PromelaProperty,
  limits: SpinLimits = {},
): Promise<boolean> {
  const { errors, happened } = await runSpin(model, property, limits);
  if (property.error === 'actions') return happened.size < model.actions.length;
  return errors > 0 === (property.error === 'violated');
}
