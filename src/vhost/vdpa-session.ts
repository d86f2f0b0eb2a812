import { DeviceError, refusalOf } from '../uapi/device.js';
import { VHOST_ACCESS, VHOST_BACKEND_FEATURES, VHOST_IOTLB } from '../uapi/vhost.js';
import type { SharedMemory, VhostRegion } from '../uapi/vhost-backend.js';
import { featureBits, hasFeature, VIRTIO_FEATURES, VIRTIO_STATUS } from '../uapi/virtio.js';
import type { QueueFeatures, QueueMemory, QueueParts } from '../virtio/index.js';
import type { ControlState } from './control-state.js';
import type { VhostDeviceOptions } from './device.js';
import { IovaTree } from './iova-tree.js';
import { controlBytes, ShadowControl } from './shadow-control.js';
import { ShadowVirtqueue, shadowBytes } from './shadow-virtqueue.js';
import { usedIndexOf, type VhostRing, type VirtioState } from './virtio-state.js';

export interface VdpaOptions extends Omit<VhostDeviceOptions, 'regions'> {
  /** Guest memory, as it is now. */
  regions(): readonly VhostRegion[];
  readonly guest: QueueMemory;
  readonly control: ControlState;
  /** The device has written guest memory. */
  mark(address: number, length: number): void;
}

type AllocatedMemory = ReturnType<VhostDeviceOptions['allocate']>;
type OwnRegion = VhostRegion & { readonly memory: AllocatedMemory };

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
/** The I/O address of the control queue's memory, behind those of shadow rings and what they show. */
const CONTROL_IOVA = 2 * SHADOW_IOVA;
/** Turns that a device gets to answer a control command. */
const PATIENCE = 10_000;

/** How a vDPA device is started and stopped: with its rings those of the guest, or shadow virtqueues. */
export class VdpaSession {
  isShadowed = false;
  readonly #options: VdpaOptions;
  #backendFeatures = 0n;
  readonly #shadows = new Map<number, ShadowVirtqueue>();
  #control: ShadowControl | null = null;
  /** I/O addresses of guest memory while there are shadow virtqueues; null: they are the guest's. */
  #tree: IovaTree | null = null;
  /** Memory of the VMM's own that the device reaches, at the I/O address in the place of the guest's. */
  #own: OwnRegion[] = [];
  /** Memory of earlier starts, which no device reaches any more. */
  #spare: AllocatedMemory[] = [];

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

  /**
   * Starts the device. When that fails it is reset, and no buffer of the guest was taken.
   * @throws DeviceError of the back end; EIO when it refuses what the guest has set by its control queue
   */
  async start(state: VirtioState): Promise<void> {
    try {
      await this.#start(state);
    } catch (error) {
      const isReset = (await refusalOf(() => this.#options.backend.setStatus(0))) === null;
      this.#forget(isReset);
      throw error;
    }
  }

  async #start(state: VirtioState): Promise<void> {
    const { backend, regions } = this.#options;
    await backend.setStatus(0);
    await backend.setStatus(ACKNOWLEDGE | DRIVER);
    await backend.setFeatures(state.features | featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM));
    await backend.setBackendFeatures(this.#backendFeatures);
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    this.#tree = this.isShadowed ? new IovaTree(SHADOW_IOVA) : null;
    const control = state.rings.find(({ index }) => index === state.controlQueue);
    const asid = control === undefined ? 0 : await this.#makeControl(control, state);
    if (this.#tree !== null) this.#makeShadows(state, this.#tree);
    // Where memory of user addresses is; a kernel's device knows it from the process.
    await backend.setMemTable([...regions(), ...this.#own]);
    for (const region of regions()) await this.#mapGuest(region);
    for (const { gpa, size, uaddr } of this.#own)
      await this.#map(gpa === CONTROL_IOVA ? asid : 0, gpa, size, uaddr);
    for (const ring of state.rings) await this.#setUp(ring);
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    if (control !== undefined) await this.#restore(control);
    for (const { index } of state.rings)
      if (index !== state.controlQueue) await backend.setVringEnable(index, true);
  }

  /** Guest memory is other than it was, while the device works: what is gone is taken away first. */
  async changeMemory(before: readonly VhostRegion[]): Promise<void> {
    const { backend, regions } = this.#options;
    const isIn = (list: readonly VhostRegion[], { gpa, size, uaddr }: VhostRegion) =>
      list.some((each) => each.gpa === gpa && each.size === size && each.uaddr === uaddr);
    const now = regions();
    for (const { gpa, size } of before.filter((region) => !isIn(now, region))) {
      const iova = this.#tree === null ? gpa : this.#tree.unmap(gpa, size)!;
      await backend.iotlb({ type: VHOST_IOTLB.INVALIDATE, asid: 0, iova, size, uaddr: 0, perm: 0 });
    }
    await backend.setMemTable([...now, ...this.#own]);
    for (const region of now.filter((each) => !isIn(before, each))) await this.#mapGuest(region);
  }

  /** @returns the address space of the control queue: one of its own, where the device has one for it */
  async #makeControl(ring: VhostRing, state: VirtioState): Promise<number> {
    const { backend, guest, control, broken } = this.#options;
    const { index } = ring;
    this.#control = new ShadowControl({
      ring,
      guest,
      memory: this.#take(controlBytes(ring.size), CONTROL_IOVA),
      iova: CONTROL_IOVA,
      features: queueFeatures(state),
      state: control,
      kick: () => backend.kick(index),
      call: () => this.#options.call(index),
      broken: broken && ((error) => broken(index, error)),
    });
    if (!hasFeature(this.#backendFeatures, VHOST_BACKEND_FEATURES.IOTLB_ASID)) return 0;
    const group = await backend.getVringGroup(index);
    for (const other of state.rings)
      if (other !== ring && (await backend.getVringGroup(other.index)) === group) return 0;
    await backend.setGroupAsid(group, CONTROL_ASID);
    return CONTROL_ASID;
  }

  #makeShadows(state: VirtioState, tree: IovaTree): void {
    const { backend, guest, mark, broken } = this.#options;
    const features = queueFeatures(state);
    for (const ring of state.rings) {
      const { index } = ring;
      if (index === state.controlQueue) continue;
      const size = shadowBytes(ring.size);
      const iova = tree.take(size);
      const shadow = new ShadowVirtqueue({
        ring,
        features,
        guest,
        memory: this.#take(size, iova),
        iova,
        piecesOf: (segment) => tree.piecesOf(segment),
        markDirty: mark,
        kick: () => backend.kick(index),
        call: () => this.#options.call(index),
        broken: broken && ((error) => broken(index, error)),
      });
      this.#shadows.set(index, shadow);
    }
  }

  #take(size: number, iova: number): SharedMemory {
    const memory = this.#spare.find(({ bytes }) => bytes.length === size) ?? this.#options.allocate(size);
    this.#spare = this.#spare.filter((each) => each !== memory);
    memory.bytes.fill(0);
    this.#own.push({ gpa: iova, size: memory.bytes.length, uaddr: memory.address, offset: 0, memory });
    return memory;
  }

  #mapGuest({ gpa, size, uaddr }: VhostRegion): void | Promise<void> {
    return this.#map(0, this.#tree === null ? gpa : this.#tree.map(gpa, size), size, uaddr);
  }

  #map(asid: number, iova: number, size: number, uaddr: number): void | Promise<void> {
    const message = { type: VHOST_IOTLB.UPDATE, asid, iova, size, uaddr, perm: VHOST_ACCESS.RW };
    return this.#options.backend.iotlb(message);
  }

  async #setUp(ring: VhostRing): Promise<void> {
    const { backend, call } = this.#options;
    const { index } = ring;
    const shadow = this.#shadowOf(index);
    await backend.setVringNum(index, shadow === null ? ring.size : shadow.size);
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
      const { class: kind, command: number } = command;
      tell?.({ kind: 'vdpa_cvq_command', class: kind, command: number, ok });
      if (!ok)
        throw new DeviceError(
          'EIO',
          `the device refuses command ${number} of class ${kind} on its control queue`,
        );
    }
  }

  async #answered(answer: Promise<boolean>): Promise<boolean> {
    let isWaiting = true;
    const end = () => {
      isWaiting = false;
    };
    answer.then(end, end);
    for (let turn = 0; isWaiting; turn++) {
      if (turn > PATIENCE)
        throw new DeviceError('ETIMEDOUT', 'the device does not answer a command of the control queue');
      await this.#options.settle?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return answer;
  }

  /** @throws DeviceError of the back end, the first one: the device is left alone all the same */
  async stop({ rings }: VirtioState): Promise<void> {
    const { backend, tell, guest } = this.#options;
    const offersSuspend = hasFeature(this.#backendFeatures, VHOST_BACKEND_FEATURES.SUSPEND);
    const errors = [offersSuspend ? await refusalOf(() => backend.suspend()) : null];
    const isSuspended = offersSuspend && errors[0] === null;
    const reset = () => refusalOf(() => backend.setStatus(0));
    // Only of a device that does nothing any more can be read how far it came.
    let refusal = isSuspended ? null : await reset();
    for (const ring of rings) {
      const { index } = ring;
      const known = this.#shadowOf(index)?.end();
      if (known !== undefined) {
        ring.base = known;
        tell?.({ kind: 'vring_base_read', interface: 'vdpa', index, num: known, shadow: true });
        continue;
      }
      const read = async () => {
        ring.base = await backend.getVringBase(index);
      };
      const error = isSuspended ? await refusalOf(read) : null;
      if (!isSuspended || error !== null) ring.base = usedIndexOf(ring, guest);
      errors.push(error);
    }
    if (isSuspended) refusal = await reset();
    errors.push(refusal);
    this.#forget(refusal === null);
    const first = errors.find((error) => error !== null);
    if (first) throw first;
  }

  /** @param isReset the device does not reach the VMM's memory any more, which can be used again */
  #forget(isReset: boolean): void {
    this.#shadows.clear();
    this.#control = null;
    this.#tree = null;
    if (isReset) this.#spare.push(...this.#own.map(({ memory }) => memory));
    this.#own = [];
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
