import type { ModelEntry } from '../model.js';
import { mailbox } from './mailbox.js';
import { multifd } from './multifd.js';
import { postcopy } from './postcopy.js';
import { precopy } from './precopy.js';
import { svqSwitch } from './svq-switch.js';
import { switchoverAck } from './switchover-ack.js';
import { twoPhaseStop } from './two-phase-stop.js';
import { vhostLogSwitch } from './vhost-log-switch.js';

/** Every model that is shipped. */
export const MODELS: readonly ModelEntry[] = [
  precopy,
  twoPhaseStop,
  switchoverAck,
  multifd,
  postcopy,
  vhostLogSwitch,
  svqSwitch,
  mailbox,
];

/** The model with this name, or undefined. */
export function modelNamed(name: string): ModelEntry | undefined {
  return MODELS.find((each) => each.name === name);
}
