import { isRunning } from 'stopcopy/machines';
import { DeviceError, type MigState } from 'stopcopy/uapi';
import type { ArcCallbacks, SaveSession } from '../migratable.js';
import { compactLog } from './compact-log.js';
import { digestOfVfState } from './digest.js';
import { encodeShortestImageA, imageASize } from './image-a.js';
import { encodeImageB } from './image-b.js';
import { IMAGE_FILE_SIZE } from './image-error.js';
import { stateOfImageA } from './load-a.js';
import type { Personality, VfParts } from './personality.js';
import { MESSAGE_LOG_LIMIT } from './pf/message-log.js';
import { PrecopyFrame } from './precopy-frame.js';
import { completeImageOfStateA } from './save-a.js';
import { completeImageOfStateB } from './save-b.js';
import { UapiLoad } from './uapi-load.js';
import { PrecopySave, wholeSave } from './uapi-save.js';
import type { VfState } from './vf-state.js';
import { assignVfState } from './vf-state-copy.js';

/**
 * As the uAPI wants it: the VF stops for good when it leaves RUNNING and starts again when it comes back; all
 * of its state is in the stream; a stream is refused as early as it can be, and takes effect at the arc from
 * RESUMING to STOP, as a whole.
 */
export class UapiPersonality implements Personality {
  readonly #vf: VfParts;
  #precopy: PrecopySave | null = null;
  #load: UapiLoad | null = null;
  /** Length of the log when it was looked at last. */
  #seen = 0;

  constructor(vf: VfParts) {
    this.#vf = vf;
  }

  readonly arcs: ArcCallbacks = {
    'RUNNING>RUNNING_P2P': () => this.#suspend(),
    'RUNNING_P2P>RUNNING': () => this.#resume(),
    'PRE_COPY>PRE_COPY_P2P': () => this.#suspend(),
    'PRE_COPY_P2P>PRE_COPY': () => this.#resume(),
    'RUNNING>PRE_COPY': () => this.#startPrecopy(),
    'RUNNING_P2P>PRE_COPY_P2P': () => this.#startPrecopy(),
    'PRE_COPY_P2P>STOP_COPY': () => this.#precopy!.finish(),
    'STOP>STOP_COPY': () => {
      this.#precopy = null;
      return wholeSave(this.#image());
    },
    'STOP>RESUMING': () => {
      this.#load = new UapiLoad(this.#vf.generation, this.#vf.identity);
      return this.#load;
    },
    'RESUMING>STOP': () => {
      assignVfState(this.#vf.state, { ...this.#load!.state(), filtersInstalled: false });
      this.#load = null;
    },
  };

  dataSize(): number {
    return this.#image().length + (this.#precopy === null ? 0 : PrecopyFrame.size);
  }

  onReset(): void {
    this.#precopy = null;
    this.#load = null;
    this.#resume();
  }

  /** Generation A: a log that has grown long is shortened, in count or in bytes. */
  afterTick(): void {
    const { generation, state } = this.#vf;
    const { log } = state.pf;
    if (generation === 'b' || log.length === this.#seen) return;
    this.#seen = log.length;
    if (log.length >= LONG_LOG || imageASize(log) > LARGE_LOG) this.#shortenLog();
  }

  isReached(state: MigState): boolean {
    return isRunning(state);
  }

  /** Interrupts are held back first, so that those of the last packets wait with the VF. */
  #suspend(): void {
    const { hardware, pf, state } = this.#vf;
    pf.finishReset();
    hardware.paused = true;
    hardware.drainAndStop();
    this.afterTick();
    state.filtersInstalled = false;
  }

  #resume(): void {
    const { hardware, state } = this.#vf;
    state.filtersInstalled = true;
    hardware.restart();
    hardware.paused = false;
  }

  #startPrecopy(): SaveSession {
    this.afterTick();
    this.#precopy = new PrecopySave(() => this.#image());
    return this.#precopy;
  }

  #image(): Uint8Array {
    const { generation, state } = this.#vf;
    if (generation === 'b') return encodeImageB(completeImageOfStateB(state));
    return encodeShortestImageA(completeImageOfStateA(state));
  }

  /** Replaces the log by a shorter one, if a VF that replays that is this VF. */
  #shortenLog(): void {
    const { identity, state } = this.#vf;
    const log = compactLog(state);
    if (log.length >= state.pf.log.length) return;
    const wanted = { ...state, filtersInstalled: true, pf: { ...state.pf, log } };
    const made = loaded(() => stateOfImageA(completeImageOfStateA(wanted), identity));
    if (made !== null && digestOfVfState(made) === digestOfVfState(wanted)) state.pf.log = log;
  }
}

/** Messages from which on a log is shortened: half of what it can hold. */
const LONG_LOG = MESSAGE_LOG_LIMIT / 2;
/** Bytes of an image from which on it is shortened: half of the file. */
const LARGE_LOG = IMAGE_FILE_SIZE / 2;

/** What a load makes, or null when it is refused. */
function loaded(load: () => VfState): VfState | null {
  try {
    return load();
  } catch (error) {
    if (error instanceof DeviceError) return null;
    throw error;
  }
}
