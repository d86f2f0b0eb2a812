import { decodePackedBase } from '../uapi/vhost.js';
import type { VhostRegion } from '../uapi/vhost-backend.js';
import {
  hasFeature,
  PackedDesc,
  PackedEvent,
  splitBytes,
  VIRTIO_FEATURES,
  VRING_ALIGN,
} from '../uapi/virtio.js';
import { type ControlCommand, decodeCommands, encodeCommands, type VirtioState } from '../vhost/index.js';
import { MOST_DESCRIPTORS } from '../virtio/index.js';
import type { VmStateDescription, VmStateEntry } from '../vmstate/index.js';

/** What crosses of a virtio device. */
export interface SavedVirtio {
  readonly state: VirtioState;
  readonly control: readonly ControlCommand[];
  /** The back end's own state; null: it has none. */
  readonly backend: Uint8Array | null;
}

/** What a state that is loaded must fit to. */
export interface VirtioBounds {
  /** Guest memory: rings stand in it. */
  readonly regions: readonly VhostRegion[];
  /** Virtqueues of the device, the control queue included. */
  readonly queues: number;
  /** What device and driver can have negotiated. */
  readonly features: bigint;
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

/** @throws RangeError when a ring is none that a driver can have set up */
function checkRing(ring: RingFields, features: bigint, { regions, queues }: VirtioBounds): void {
  const { index, size, base } = ring;
  const isPacked = hasFeature(features, VIRTIO_FEATURES.RING_PACKED);
  const refuse = (words: string): never => {
    throw new RangeError(`ring ${index} ${words}`);
  };
  if (index >= queues) refuse(`is none of the device, which has ${queues}`);
  if (size < 1 || size > MOST_DESCRIPTORS)
    refuse(`has ${size} descriptors, and not 1 to ${MOST_DESCRIPTORS}`);
  if (!isPacked && (size & (size - 1)) !== 0) refuse(`has ${size} descriptors, no power of two`);
  const { avail, used } = decodePackedBase(base);
  const isInside = isPacked ? avail < size && used < size : base <= 0xffff;
  if (!isInside) refuse(`goes on at 0x${base.toString(16)}, which is outside of it`);
  const bytes = isPacked
    ? { desc: PackedDesc.size * size, avail: PackedEvent.size, used: PackedEvent.size }
    : { desc: splitBytes.desc(size), avail: splitBytes.avail(size), used: splitBytes.used(size) };
  const align = isPacked ? VRING_ALIGN.packed : VRING_ALIGN.split;
  for (const part of ['desc', 'avail', 'used'] as const) {
    const at = ring[part];
    const at16 = `0x${at.toString(16)}`;
    if (at % BigInt(align[part]) !== 0n) refuse(`has ${part} at ${at16}, no multiple of ${align[part]}`);
    const end = at + BigInt(bytes[part]);
    if (!regions.some(({ gpa, size: room }) => at >= BigInt(gpa) && end <= BigInt(gpa + room)))
      refuse(`has ${part} at ${at16}, outside of guest memory`);
  }
}

/** @throws RangeError when a state is none that the device can be in */
function checkState(loaded: Fields, bounds: VirtioBounds): void {
  const { features, rings, control_queue: control } = loaded;
  const unknown = features & ~bounds.features;
  if (unknown !== 0n) throw new RangeError(`features 0x${unknown.toString(16)} are none of the device`);
  for (const ring of rings) checkRing(ring, features, bounds);
  const indices = new Set(rings.map(({ index }) => index));
  if (indices.size < rings.length) throw new RangeError('a ring comes twice');
  if (control !== NO_CONTROL_QUEUE && !indices.has(control))
    throw new RangeError(`the control queue is ring ${control}, which does not come`);
  decodeCommands(loaded.control);
}

interface Fields {
  present: boolean;
  features: bigint;
  control_queue: number;
  count: number;
  rings: RingFields[];
  control_length: number;
  control: Uint8Array;
  has_backend: boolean;
  backend_length: number;
  backend: Uint8Array;
}

/** The section of the stream that carries a virtio device. */
export class VirtioStateSection {
  readonly entry: VmStateEntry;
  #loaded = false;
  readonly #target: Fields = {
    present: false,
    features: 0n,
    control_queue: NO_CONTROL_QUEUE,
    count: 0,
    rings: [],
    control_length: 0,
    control: NOTHING,
    has_backend: false,
    backend_length: 0,
    backend: NOTHING,
  };

  /**
   * @param device name of the device
   * @param bounds what is loaded must fit to: else it is a VmStateError that says why
   */
  constructor(device: string, bounds: VirtioBounds) {
    const postLoad = () => {
      if (this.#target.present) checkState(this.#target, bounds);
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
    const isLoaded = this.#loaded;
    this.#loaded = false;
    if (!isLoaded || !target.present) return null;
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
