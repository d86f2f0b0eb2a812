import { DeviceError } from 'stopcopy/uapi';
import type { ArcCallbacks, SaveSession } from '../migratable.js';
import { encodeImageA } from './image-a.js';
import { encodeImageB, type ImageB } from './image-b.js';
import { IMAGE_FILE_SIZE } from './image-error.js';
import { loadPublishedA } from './load-a.js';
import { loadPublishedB } from './load-b.js';
import type { Personality, VfParts } from './personality.js';
import { MESSAGE_LOG_LIMIT } from './pf/message-log.js';
import { ResumeFile } from './resume-file.js';
import { type InterruptRegisters, imageOfStateA, interruptRegistersOf } from './save-a.js';
import { beforeStopB, publishedImageOfStateB } from './save-b.js';
import { wholeSave } from './uapi-save.js';

const NO_MAC = new Uint8Array(6);

/**
 * As the drivers were posted. Both stop the VF on the way to RUNNING_P2P, never start it again, and load a
 * stream on the way from STOP to RUNNING_P2P without having looked at it before. What stops is the rings:
 * the mailbox goes on in every state.
 */
abstract class Published implements Personality {
  #resume: ResumeFile | null = null;

  constructor(protected readonly vf: VfParts) {}

  readonly arcs: ArcCallbacks = {
    'RUNNING>RUNNING_P2P': () => this.suspend(),
    'STOP>STOP_COPY': () => this.save(),
    'STOP>RESUMING': () => {
      this.#resume = new ResumeFile(this.vf.generation);
      return this.#resume;
    },
    'STOP>RUNNING_P2P': () => this.#loadResumed(),
  };

  dataSize(): number {
    return IMAGE_FILE_SIZE;
  }

  onReset(): void {
    this.#resume?.disable();
    this.#resume = null;
    const { hardware, identity, state } = this.vf;
    // The host's administrator gives the VF its MAC again.
    state.pf.hostMac = identity.hostMac.slice();
    state.filtersInstalled = true;
    hardware.restart();
  }

  isReached(): boolean {
    return true;
  }

  protected abstract suspend(): void;
  protected abstract save(): SaveSession;
  protected abstract load(bytes: Uint8Array): void;

  protected removeFilters(): void {
    const { state } = this.vf;
    state.filtersInstalled = false;
    state.pf.hostMac = NO_MAC.slice();
    state.pf.deviceMac = NO_MAC.slice();
  }

  /**
   * After an error the file stays, and the next attempt loads it again. Without a file the posted code takes
   * a null pointer; a host that survives that has a VF that stays suspended.
   */
  #loadResumed(): void {
    if (this.#resume === null) return;
    this.load(this.#resume.bytes());
    this.#resume.disable();
    this.#resume = null;
  }
}

/** Generation A. */
export class PublishedA extends Published {
  #interrupts: InterruptRegisters | null = null;

  /** The VFIO driver does not look at what this comes to. */
  protected override suspend(): void {
    const { hardware, pf, state } = this.vf;
    this.#interrupts = null;
    pf.finishReset();
    if (!state.pf.queuesEnabled || state.pf.log.length > MESSAGE_LOG_LIMIT) return;
    this.#interrupts = interruptRegistersOf(state);
    this.removeFilters();
    hardware.drainAndStop();
  }

  protected override save(): SaveSession {
    const { state } = this.vf;
    return wholeSave(encodeImageA(imageOfStateA(state, this.#interrupts ?? state)));
  }

  protected override load(bytes: Uint8Array): void {
    loadPublishedA(bytes, this.vf.state, this.vf.pf);
  }

  override onReset(): void {
    super.onReset();
    this.#interrupts = null;
  }
}

/** Generation B. */
export class PublishedB extends Published {
  /** The records, from the suspend that made them to the save that consumes them. */
  #image: ImageB | null = null;

  protected override suspend(): void {
    const { hardware, pf, state, target } = this.vf;
    pf.finishReset();
    const before = target() === 'RESUMING' ? null : beforeStopB(state);
    // Without an enabled queue there is nothing to stop, as when a VM starts: its devices pass RUNNING_P2P.
    if (state.pf.queuesEnabled) {
      this.removeFilters();
      state.pf.macs = [];
      state.pf.vlans = [];
      hardware.drainAndStop();
    }
    this.#image = before && publishedImageOfStateB(before, state);
  }

  protected override save(): SaveSession {
    if (this.#image === null)
      throw new DeviceError('EIO', `${this.vf.name} has no records of its state: it was not suspended since`);
    const bytes = encodeImageB(this.#image);
    this.#image = null;
    return wholeSave(bytes);
  }

  protected override load(bytes: Uint8Array): void {
    loadPublishedB(bytes, this.vf);
  }

  override onReset(): void {
    super.onReset();
    this.#image = null;
  }
}
