import type { VmStateDescription } from './description.js';

/** A state that crosses as a FULL section of its own. */
export interface VmStateEntry {
  /** Name of the section, such as `cpu` or `0000:00:04.0/wire`. */
  readonly idstr: string;
  readonly instance: number;
  readonly description: VmStateDescription;
  /** The object whose fields are saved, and set when the state is loaded. */
  readonly target: object;
}
