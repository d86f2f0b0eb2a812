import type { CapabilitySet } from '../machines/index.js';
import { type Case, optionalCallOf } from '../suite/index.js';
import { makeCase } from './case.js';
import type { GenerateContext } from './context.js';
import { Walk } from './steps.js';

/** What the cases of a part of the criteria depend on. */
export type ScriptContext = Pick<GenerateContext, 'capabilities' | 'lacks'>;

/** Collects cases that are written as walks. One that needs a call that the target lacks is left out. */
export class Scripts {
  readonly cases: Case[] = [];

  constructor(
    readonly criterion: string,
    readonly context: ScriptContext,
  ) {}

  get capabilities(): CapabilitySet {
    return this.context.capabilities;
  }

  /**
   * Adds a case.
   * @param name readable part of its id
   * @param script walks it, from RUNNING with no session
   */
  add(name: string, title: string, script: (walk: Walk) => unknown): void {
    const walk = new Walk(this.capabilities);
    script(walk);
    const lacked = walk.steps.some((step) => this.context.lacks.has(optionalCallOf(step.do) ?? ''));
    if (!lacked) this.cases.push(makeCase(this.criterion, name, title, walk.steps));
  }
}
