import { VHOST_ACCESS, VHOST_BACKEND_FEATURES, VHOST_IOTLB } from '../uapi/vhost.js';
import type { SharedMemory, VhostRegion } from '../uapi/vhost-backend.js';
import { featureBits, hasFeature, VIRTIO_FEATURES, VIRTIO_STATUS } from '../uapi/virtio.js';
import type { QueueFeatures, QueueMemory, QueueParts } from '../virtio/index.js';
import type { ControlState } from './control-state.js';
import type { VhostDeviceOptions } from './device.js';
import { IovaTree } from './iova-tree.js';
import { controlBytes, ShadowControl } from './shadow-control.js';
import { ShadowVirtqueue, shadowBytes } from './shadow-virtqueue.js';
import type { VhostRing, VirtioState } from './virtio-state.js';

export interface VdpaOptions extends VhostDeviceOptions {
  readonly guest: QueueMemory;
  readonly control: ControlState;
  /** The device has written guest memory. */
  mark(address: number, length: number): void;
}

const BACKEND_FEATURES = featureBits(
  VHOST_BACKEND_FEATURES.IOTLB_MSG_V2,
  VHOST_BACKEND_FEATURES.IOTLB_BATCH,
  VHOST_BACKEND_FEATURES.IOTLB_ASID,
  VHOST_BACKEND_FEATURES.SUSPEND,
  VHOST_BACKEND_FEATURES.RESUME,
  VHOST_BACKEND_FEATURES.ENABLE_AFTER_DRIVER_OK,
);
/** Features that shadow virtqueues cannot carry. */
const NOT_SHADOWED = [
  ['RING_PACKED', VIRTIO_FEATURES.RING_PACKED],
  ['IN_ORDER', VIRTIO_FEATURES.IN_ORDER],
] as const;

const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
/** Address space of the control queue, apart from that of the data queues. */
const CONTROL_ASID = 1;
/** I/O addresses of shadow rings begin above all guest memory that there may be. */
const SHADOW_IOVA = 2 ** 40;
/** Turns that a device gets to answer a control command. */
const PATIENCE = 10_000;

/** How a vDPA device is started and stopped: with its rings those of the guest, or shadow virtqueues. */
export class VdpaSession {
  isShadowed = false;
  readonly #options: VdpaOptions;
  #backendFeatures = 0n;
  #shadows = new Map<number, ShadowVirtqueue>();
  #control: ShadowControl | null = null;

  constructor(options: VdpaOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { backend } = this.#options;
    this.#backendFeatures = (await backend.getBackendFeatures()) & BACKEND_FEATURES;
    await backend.setStatus(0);
  }

  /** Why the device cannot migrate, or null. */
  blockerOf(offered: bigint): string | null {
    for (const [name, bit] of NOT_SHADOWED)
      if (hasFeature(offered, bit)) return `vdpa svq does not work with VIRTIO_F_${name}`;
    if (!hasFeature(offered, VIRTIO_FEATURES.ACCESS_PLATFORM))
      return 'vdpa svq needs VIRTIO_F_ACCESS_PLATFORM of the device';
    return null;
  }

  async start(state: VirtioState): Promise<void> {
    const { backend } = this.#options;
    await backend.setStatus(0);
    await backend.setStatus(ACKNOWLEDGE | DRIVER);
    await backend.setFeatures(state.features | featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM));
    await backend.setBackendFeatures(this.#backendFeatures);
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    const tree = new IovaTree(this.isShadowed ? SHADOW_IOVA : undefined);
    const extra: VhostRegion[] = [];
    const control = state.rings.find(({ index }) => index === state.controlQueue);
    if (control !== undefined) await this.#makeControl(control, state, extra);
    if (this.isShadowed) this.#makeShadows(state, tree, extra);
    // Where memory of user addresses is; a kernel's device knows it from the process.
    await backend.setMemTable([...this.#options.regions, ...extra]);
    for (const { gpa, size, uaddr } of this.#options.regions)
      await this.#map(0, this.isShadowed ? tree.map(gpa, size) : gpa, size, uaddr);
    for (const { gpa, size, uaddr } of extra)
      await this.#map(gpa === this.#controlIova ? CONTROL_ASID : 0, gpa, size, uaddr);
    for (const ring of state.rings) await this.#setUp(ring);
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    if (control !== undefined) await this.#restore(control);
    for (const { index } of state.rings)
      if (index !== state.controlQueue) await backend.setVringEnable(index, true);
  }

  /** Memory of shadow rings is known to the device by addresses of their own. */
  readonly #controlIova = SHADOW_IOVA * 2;

  async #makeControl(ring: VhostRing, state: VirtioState, extra: VhostRegion[]): Promise<void> {
    const { backend, guest, control } = this.#options;
    const group = await backend.getVringGroup(ring.index);
    await backend.setGroupAsid(group, CONTROL_ASID);
    const memory = this.#take(controlBytes(ring.size), this.#controlIova, extra);
    this.#control = new ShadowControl({
      ring,
      guest,
      memory,
      iova: this.#controlIova,
      features: queueFeatures(state),
      state: control,
      kick: () => backend.kick(ring.index),
      call: () => this.#options.call(ring.index),
    });
  }

  #makeShadows(state: VirtioState, tree: IovaTree, extra: VhostRegion[]): void {
    const { backend, guest, mark } = this.#options;
    const features = queueFeatures(state);
    for (const ring of state.rings) {
      if (ring.index === state.controlQueue) continue;
      const size = shadowBytes(ring.size);
      const iova = tree.take(size);
      const memory = this.#take(size, iova, extra);
      const shadow = new ShadowVirtqueue({
        ring,
        features,
        guest,
        memory,
        iova,
        iovaOf: (gpa, length) => tree.iovaOf(gpa, length),
        markDirty: mark,
        kick: () => backend.kick(ring.index),
        call: () => this.#options.call(ring.index),
      });
      this.#shadows.set(ring.index, shadow);
    }
  }

  #take(size: number, iova: number, extra: VhostRegion[]): SharedMemory {
    const memory = this.#options.allocate(size);
    extra.push({ gpa: iova, size: memory.bytes.length, uaddr: memory.address, offset: 0, memory });
    return memory;
  }

  #map(asid: number, iova: number, size: number, uaddr: number): void | Promise<void> {
    const message = { type: VHOST_IOTLB.UPDATE, asid, iova, size, uaddr, perm: VHOST_ACCESS.RW };
    return this.#options.backend.iotlb(message);
  }

  async #setUp(ring: VhostRing): Promise<void> {
    const { backend, call } = this.#options;
    const { index, size } = ring;
    const shadow = this.#shadowOf(index);
    await backend.setVringNum(index, size);
    await backend.setVringBase(index, shadow === null ? ring.base : 0);
    const parts: QueueParts = shadow === null ? ring.parts : shadow.parts;
    await backend.setVringAddr(index, { ...parts, logGuestAddr: 0, log: false });
    await backend.setVringKick(index, true);
    await backend.setVringCall(index, shadow === null ? () => call(index) : () => shadow.complete());
  }

  #shadowOf(index: number): ShadowVirtqueue | ShadowControl | null {
    if (this.#control?.ring.index === index) return this.#control;
    return this.#shadows.get(index) ?? null;
  }

  /** The control queue runs first, and brings the device to what the guest has set. */
  async #restore({ index }: VhostRing): Promise<void> {
    const { backend, control, tell } = this.#options;
    await backend.setVringEnable(index, true);
    for (const command of control.commands()) {
      const ok = await this.#answered(this.#control!.send(command));
      tell?.({ kind: 'vdpa_cvq_command', class: command.class, command: command.command, ok });
    }
  }

  async #answered(answer: Promise<boolean>): Promise<boolean> {
    const { settle } = this.#options;
    let result: boolean | null = null;
    void answer.then((ok) => {
      result = ok;
    });
    for (let turn = 0; result === null; turn++) {
      if (turn > PATIENCE) throw new RangeError('the device does not answer a command of the control queue');
      await settle?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return result;
  }

  async stop({ rings }: VirtioState): Promise<void> {
    const { backend, tell } = this.#options;
    const suspends = hasFeature(this.#backendFeatures, VHOST_BACKEND_FEATURES.SUSPEND);
    if (suspends) await backend.suspend();
    for (const ring of rings) {
      const shadow = this.#shadows.get(ring.index);
      const known = shadow?.end() ?? (this.#control?.ring === ring ? this.#control.base : undefined);
      if (known !== undefined) {
        ring.base = known;
        const { index } = ring;
        tell?.({ kind: 'vring_base_read', interface: 'vdpa', index, num: known, shadow: true });
      } else if (suspends) ring.base = await backend.getVringBase(ring.index);
      else ring.base = this.#usedIndex(ring);
    }
    await backend.setStatus(0);
    this.#shadows.clear();
    this.#control = null;
  }

  /** Without SUSPEND the index is that of the used ring: what was in flight is done again. */
  #usedIndex({ parts }: VhostRing): number {
    const word = new Uint8Array(2);
    this.#options.guest.read(parts.used + 2, word);
    return word[0]! | (word[1]! << 8);
  }

  /** Whether the device has a ring of the VMM in the place of the guest's. */
  shadows(index: number): boolean {
    return this.#shadowOf(index) !== null;
  }

  kick(index: number): void {
    const shadow = this.#shadowOf(index);
    if (shadow === null) this.#options.backend.kick(index);
    else shadow.forward();
  }
}

function queueFeatures({ features }: VirtioState): QueueFeatures {
  return {
    eventIdx: hasFeature(features, VIRTIO_FEATURES.EVENT_IDX),
    indirect: hasFeature(features, VIRTIO_FEATURES.INDIRECT_DESC),
  };
}
