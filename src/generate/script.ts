import type { CapabilitySet } from '../machines/index.js';
import type { Case, StepKind } from '../suite/index.js';
import { makeCase } from './case.js';
import type { GenerateContext } from './context.js';
import { Walk } from './steps.js';

/** What the cases of a part of the criteria depend on. */
export type ScriptContext = Pick<GenerateContext, 'capabilities' | 'lacks'>;

/** The names of `OptionalCall` by the steps that make the call. */
const OPTIONAL: Partial<Record<StepKind, string>> = {
  reset: 'reset',
  reopen: 'reopen',
  data_size: 'data_size',
  precopy_info: 'precopy_info',
  precopy_info_v2: 'precopy_info_v2',
  read_region: 'read_region',
  log_start: 'dma_logging',
  log_stop: 'dma_logging',
  log_report: 'dma_logging',
};

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
    const lacked = walk.steps.some((step) => this.context.lacks.has(OPTIONAL[step.do] ?? ''));
    if (!lacked) this.cases.push(makeCase(this.criterion, name, title, walk.steps));
  }
}
