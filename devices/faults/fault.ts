import type { Device } from 'stopcopy/uapi';
import type { WatchedMemory } from './watched-memory.js';

/** What a device must have for a fault to show. */
export type FaultNeed = 'pre-copy' | 'p2p' | 'dma' | 'dma-logging';

/** What a fault may use beside the device. */
export interface FaultTools {
  /** Whole numbers from 0 on, below `below`; the same ones for the same seed. */
  random(below: number): number;
  /** Guest memory as the device reaches it; null when that is not known. */
  readonly memory: WatchedMemory | null;
}

/** A mistake that a driver was seen to make, put around any device. */
export interface Fault {
  /** For the command line. */
  readonly name: string;
  /** What the device does wrong, in a sentence. */
  readonly title: string;
  /** Where it was seen, in words. */
  readonly origin: string;
  /** Where it sits: in the answers to calls, in the bytes of the data_fd, or in guest memory and its dirty log. */
  readonly layer: 'vfio' | 'stream' | 'memory';
  readonly needs: readonly FaultNeed[];
  /** Ids of rules that can find it; which of them does depends on device and VMM. */
  readonly caughtBy: readonly string[];
  /** The same device with this fault. The device is not to be used beside it. */
  apply(device: Device, tools: FaultTools): Device;
}
