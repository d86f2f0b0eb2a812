import { DeviceError } from '../../uapi/device.js';
import type { VhostInterface } from '../../uapi/vhost-backend.js';
import { CaseFailure, type RigOptions, type VhostRig } from './rig.js';

/** One thing that is tried with a back end that was opened for it. */
export interface VhostCase {
  readonly id: string;
  readonly title: string;
  /** Interfaces that have it; absent: all. */
  readonly interfaces?: readonly VhostInterface[];
  /** How the rig is made. */
  readonly rig?: Pick<RigOptions, 'ringSize' | 'packed' | 'usedAt'>;
  /**
   * What is done. What the rules of the trace say of it counts beside what is thrown.
   * @throws CaseFailure what is wrong, CaseSkipped when the back end has nothing for it
   */
  run(rig: VhostRig): Promise<void>;
}

/** Frames that go round a small ring more than twice. */
export const FRAMES = 40;
/** Bytes of a frame for the guest. */
export const RECEIVED_BYTES = 1200;

export async function begin(rig: VhostRig): Promise<void> {
  await rig.negotiate();
  await rig.start();
}

/** As `begin`, with logging. @throws CaseSkipped when the back end has no log */
export async function beginLogged(rig: VhostRig): Promise<void> {
  await rig.negotiate();
  rig.needLog();
  await rig.start();
  await rig.startLog();
}

/** @throws CaseFailure when the back end does not use all of them in time */
export async function sendAll(rig: VhostRig, frames = FRAMES): Promise<void> {
  const done = await rig.send(frames);
  if (done < frames) throw new CaseFailure(`of ${frames} frames the back end has used ${done}, and no more`);
}

/** The index that a split ring stands at after so many buffers. */
export function expectBase(rig: VhostRig, taken: number): void {
  const { base } = rig.transmit;
  if (base !== (taken & 0xffff))
    throw new CaseFailure(`GET_VRING_BASE gives ${base} after ${taken} buffers were taken and returned`);
}

/** Has the peer send frames to the guest, where it can. @returns whether it can */
export async function injectFrames(rig: VhostRig, count: number): Promise<boolean> {
  const { inject } = rig.target;
  if (inject === undefined) return false;
  const frame = new Uint8Array(RECEIVED_BYTES).fill(0x5a);
  frame.fill(0xff, 0, 6);
  for (let n = 0; n < count; n++) await inject.call(rig.target, frame);
  return true;
}

/** Has frames come to the guest, for which it has offered buffers. @returns whether some came */
export async function receiveSome(rig: VhostRig, count: number): Promise<boolean> {
  if (!(await injectFrames(rig, count))) return (await rig.received(1, 200)).length > 0;
  const frames = await rig.received(count);
  if (frames.length < count)
    throw new CaseFailure(`of ${count} frames for the guest ${frames.length} arrived, and no more`);
  return true;
}

/** Nobody but a back end that must not has written. @throws CaseFailure */
export async function expectSilence(rig: VhostRig, when: string): Promise<void> {
  await rig.pause();
  const [first] = rig.memory.changes();
  if (first !== undefined) throw new CaseFailure(`page 0x${first[0].toString(16)} was written ${when}`);
}

/** A request that must fail. @throws CaseFailure when it succeeds */
export async function refused(request: () => unknown, words: string): Promise<void> {
  try {
    await request();
  } catch (error) {
    if (error instanceof DeviceError) return;
    throw error;
  }
  throw new CaseFailure(`${words} succeeded`);
}
