import type { Suite } from '../../suite/index.js';
import { emitC } from './c.js';
import { emitJson } from './json.js';
import { emitVitest } from './vitest.js';

/** Forms that a suite can be written in. */
export const EMIT_FORMATS = ['json', 'vitest', 'c'] as const;
export type EmitFormat = (typeof EMIT_FORMATS)[number];

export interface EmitOptions {
  /** Where the vitest files take `createTestModel` from; default `@xstate/test`. */
  testModel?: '@xstate/test' | 'xstate/graph';
}

/** A file of an emitted suite; the name has no folder. */
export interface EmittedFile {
  readonly name: string;
  readonly text: string;
}

/** The suite as files, to stand in one folder. The same suite gives the same bytes. */
export function emit(suite: Suite, format: EmitFormat, options: EmitOptions = {}): EmittedFile[] {
  switch (format) {
    case 'json':
      return emitJson(suite);
    case 'vitest':
      return emitVitest(suite, options);
    case 'c':
      return emitC(suite);
  }
}
