import { type ControlCommand, decodeCommands, encodeCommands, type VirtioState } from '../vhost/index.js';
import type { VmStateDescription, VmStateEntry } from '../vmstate/index.js';

/** What crosses of a virtio device. */
export interface SavedVirtio {
  readonly state: VirtioState;
  readonly control: readonly ControlCommand[];
  /** The back end's own state; null: it has none. */
  readonly backend: Uint8Array | null;
}

/** Most rings, most bytes of control commands and of a back end's state that a stream may bring. */
const MOST = { rings: 64, control: 64 << 10, backend: 16 << 20 } as const;
const NO_CONTROL_QUEUE = 0xffff;

const RING: VmStateDescription = {
  name: 'virtio/vq',
  version: 1,
  minimumVersion: 1,
  fields: [
    { name: 'index', type: 'u16' },
    { name: 'size', type: 'u16' },
    { name: 'desc', type: 'u64' },
    { name: 'avail', type: 'u64' },
    { name: 'used', type: 'u64' },
    { name: 'base', type: 'u32' },
  ],
};

const DESCRIPTION: VmStateDescription = {
  name: 'virtio-net',
  version: 1,
  minimumVersion: 1,
  fields: [
    { name: 'present', type: 'bool' },
    { name: 'features', type: 'u64' },
    { name: 'control_queue', type: 'u16' },
    { name: 'count', type: 'u16' },
    { name: 'rings', type: { structs: RING, varray: 'count', most: MOST.rings } },
    { name: 'control_length', type: 'u32' },
    { name: 'control', type: { varray: 'control_length', of: 'u8', most: MOST.control } },
    { name: 'has_backend', type: 'bool' },
    { name: 'backend_length', type: 'u32' },
    { name: 'backend', type: { varray: 'backend_length', of: 'u8', most: MOST.backend } },
  ],
};

interface RingFields {
  index: number;
  size: number;
  desc: bigint;
  avail: bigint;
  used: bigint;
  base: number;
}

const NOTHING = new Uint8Array();

/** The section of the stream that carries a virtio device. */
export class VirtioStateSection {
  readonly entry: VmStateEntry;
  #loaded = false;
  readonly #target = {
    present: false,
    features: 0n,
    control_queue: NO_CONTROL_QUEUE,
    count: 0,
    rings: [] as RingFields[],
    control_length: 0,
    control: NOTHING,
    has_backend: false,
    backend_length: 0,
    backend: NOTHING,
  };

  /** @param device name of the device */
  constructor(device: string) {
    const postLoad = () => {
      this.#loaded = true;
    };
    const description = { ...DESCRIPTION, postLoad };
    this.entry = { idstr: `${device}/virtio-net`, instance: 0, description, target: this.#target };
  }

  /** What is saved; null: no driver has set the device up. */
  put(saved: SavedVirtio | null): void {
    const control = encodeCommands(saved?.control ?? []);
    const backend = saved?.backend ?? NOTHING;
    Object.assign(this.#target, {
      present: saved !== null,
      features: saved?.state.features ?? 0n,
      control_queue: saved?.state.controlQueue ?? NO_CONTROL_QUEUE,
      count: saved?.state.rings.length ?? 0,
      rings: (saved?.state.rings ?? []).map(({ index, size, base, parts }) => ({
        index,
        size,
        desc: BigInt(parts.desc),
        avail: BigInt(parts.avail),
        used: BigInt(parts.used),
        base,
      })),
      control_length: control.length,
      control,
      has_backend: saved !== null && saved.backend !== null,
      backend_length: backend.length,
      backend,
    });
  }

  /** What was loaded since the last call; null: nothing, or a device that no driver has set up. */
  take(): SavedVirtio | null {
    const target = this.#target;
    if (!this.#loaded || !target.present) return null;
    this.#loaded = false;
    const rings = target.rings.map(({ index, size, desc, avail, used, base }) => ({
      index,
      size,
      base,
      parts: { desc: Number(desc), avail: Number(avail), used: Number(used) },
    }));
    const controlQueue = target.control_queue === NO_CONTROL_QUEUE ? null : target.control_queue;
    return {
      state: { features: target.features, rings, controlQueue },
      control: decodeCommands(target.control),
      backend: target.has_backend ? target.backend : null,
    };
  }
}
