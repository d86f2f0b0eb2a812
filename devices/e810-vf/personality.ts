import type { MigState } from 'stopcopy/uapi';
import type { ArcCallbacks } from '../migratable.js';
import type { E810Hardware } from './hardware/hardware.js';
import type { E810Pf } from './pf/pf.js';
import type { VfIdentity, VfState } from './vf-state.js';

/** What a personality works on. */
export interface VfParts {
  readonly name: string;
  readonly generation: 'a' | 'b';
  readonly identity: VfIdentity;
  readonly state: VfState;
  readonly hardware: E810Hardware;
  readonly pf: E810Pf;
  /** The state that user space has asked for, while the arcs to it are walked. */
  target(): MigState;
}

/** How a VF migrates: what its arcs do, and what goes with them. */
export interface Personality {
  readonly arcs: ArcCallbacks;
  /** Answer to MIG_DATA_SIZE. */
  dataSize(): number;
  /** Time has gone by: messages of the guest may have come. */
  afterTick?(): void;
  /** VFIO_DEVICE_RESET, before the PF driver resets the VF. */
  onReset(): void;
  /** Whether writes to registers, and reads that change them, reach the VF in this state. */
  isReached(state: MigState): boolean;
}
