import { type ArcCallbacks, DmaLog, Uart } from '../../devices/index.js';
import { drain as drainTo } from '../../devices/lab/transfer.js';
import { validateEvents } from '../../src/index.js';
import { ARCS, type CapabilitySet, requestedPath, statesOf } from '../../src/machines/index.js';
import { recorded } from '../../src/target/index.js';
import { type TraceEvent, traceEventSchema } from '../../src/trace/index.js';
import { type DataFd, type Device, DeviceError, refusalOf } from '../../src/uapi/index.js';
import type { MigState } from '../../src/uapi/vfio.js';

/** Whole numbers from 0 on, below `below`: the same for the same seed. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The error that a call of a device gives, or undefined. Errors of another class fail the test. */
export async function refusal(call: () => unknown): Promise<DeviceError | undefined> {
  return (await refusalOf(call)) ?? undefined;
}

/** The name of the errno, or undefined for success. */
export const code = async (call: () => unknown): Promise<string | undefined> => (await refusal(call))?.code;

/** Reads to the end for now (ENOMSG) or for ever (0), in pieces of so many bytes. */
export const drain = (fd: DataFd, piece = 64): Promise<Uint8Array> => drainTo(fd, piece);

/** Writes bytes in pieces whose sizes come from `size`. */
export async function pour(fd: DataFd, bytes: Uint8Array, size: () => number): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += await fd.write(bytes.subarray(at, at + Math.max(1, size())));
}

/** The state of a device, by a save that passes through no PRE_COPY; the device is left in STOP_COPY. */
export async function stateOf(device: Device): Promise<Uint8Array> {
  const fd = await device.setState('STOP_COPY');
  const bytes = await drain(fd!);
  await fd!.close();
  return bytes;
}

/** A UART whose arcs fail when they are told to, and which has DMA logging, though no DMA. */
export class LabUart extends Uart {
  override readonly dmaLogging = new DmaLog();
  /** Decides the fate of each arc. */
  fate: (from: MigState, to: MigState) => 'works' | 'fails' | 'breaks' = () => 'works';
  /** Arcs that were walked to their end. */
  readonly walked: string[] = [];

  constructor(name?: string, capabilities?: CapabilitySet) {
    super(name, capabilities);
    const own = this.arcs;
    const arcs = ARCS.map(({ from, to }) => {
      const callback = () => {
        const fate = this.fate(from, to);
        if (fate !== 'works') throw new DeviceError('EIO', 'as told', { fatal: fate === 'breaks' });
        const result = own[`${from}>${to}`]?.();
        this.walked.push(`${from}>${to}`);
        return result;
      };
      return [`${from}>${to}`, callback];
    });
    (this as unknown as { arcs: ArcCallbacks }).arcs = Object.fromEntries(arcs);
  }
}

/** A recorded device, and the verdict on all that was recorded of it. */
export function inLab<D extends Device>(model: D, host = 'lab') {
  const events: TraceEvent[] = [];
  const device = recorded(model, { host, emit: (event) => events.push(traceEventSchema.parse(event)) });
  return { model, device, events, report: () => validateEvents(events) };
}

/** Findings that make a verdict, in words. */
export function broken(events: readonly TraceEvent[]): string[] {
  const { violations, suppressed } = validateEvents(events);
  const serious = violations.filter(({ level }) => level !== 'note');
  return [...serious.map(({ rule, message }) => `${rule}: ${message}`), ...Object.keys(suppressed)];
}

/** The states to ask for, one after another, to come from RUNNING to a state by arcs alone. */
export const wayTo = (state: MigState, caps: CapabilitySet): MigState[] =>
  requestedPath('RUNNING', state, caps) ?? [];

/** The states that can be asked for. */
export const statesToAsk = (caps: CapabilitySet): MigState[] =>
  statesOf(caps).filter((state) => state !== 'ERROR');

/** Makes a UART's registers and FIFO something that can be told from a fresh one. */
export async function fill(device: Device, seed: number): Promise<void> {
  const random = randomNumbers(seed);
  const put = (at: number, value: number) => device.writeRegion(0, at, Uint8Array.of(value));
  await put(3, 0x83);
  await device.writeRegion(0, 0, Uint8Array.of(random(256), random(256)));
  await put(3, random(0x80));
  await put(1, random(16));
  await put(7, random(256));
  await put(4, 0x10);
  for (let count = 1 + random(15); count > 0; count--) await put(0, random(256));
  await put(4, 0x10 | random(16));
}
