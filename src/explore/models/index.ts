import type { ModelEntry } from '../model.js';
import { switchoverAck } from './switchover-ack.js';
import { twoPhaseStop } from './two-phase-stop.js';
import { vhostLogSwitch } from './vhost-log-switch.js';

/** Every model that is shipped. */
export const MODELS: readonly ModelEntry[] = [twoPhaseStop, switchoverAck, vhostLogSwitch];

/** The model with this name, or undefined. */
export function modelNamed(name: string): ModelEntry | undefined {
  return MODELS.find((each) => each.name === name);
}
