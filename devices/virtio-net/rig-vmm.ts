import {
  featureBits,
  type InflightRegion,
  type SharedMemory,
  VHOST_ACCESS,
  VHOST_FEATURES,
  VHOST_IOTLB,
  VHOST_LOG_PAGE,
  VHOST_USER_PROTOCOL_FEATURES,
  type VhostBackend,
  type VringAddresses,
  vhostLogBytes,
} from 'stopcopy/uapi';
import type { RigGuest } from './rig-guest.js';
import type { RigMemory } from './rig-memory.js';
import { planFeatures, type RigPlan } from './rig-plan.js';

const PROTOCOL = featureBits(
  VHOST_USER_PROTOCOL_FEATURES.MQ,
  VHOST_USER_PROTOCOL_FEATURES.LOG_SHMFD,
  VHOST_USER_PROTOCOL_FEATURES.RARP,
  VHOST_USER_PROTOCOL_FEATURES.REPLY_ACK,
  VHOST_USER_PROTOCOL_FEATURES.DEVICE_STATE,
);
const INFLIGHT = featureBits(
  VHOST_USER_PROTOCOL_FEATURES.INFLIGHT_SHMFD,
  VHOST_USER_PROTOCOL_FEATURES.GET_VRING_BASE_INFLIGHT,
);

const EXTRA_UADDR = 0x7f44_0000_0000;

/** The switches of the dirty log as a VMM has set them. */
export interface LogSwitches {
  logAll: boolean;
  /** Of each ring. */
  readonly rings: boolean[];
}

/**
 * The VMM of a rig: it makes the requests in QEMU's order, and can make each of them at another time as well,
 * where that is legal.
 */
export class RigVmm {
  readonly backend: VhostBackend;
  readonly plan: RigPlan;
  readonly memory: RigMemory;
  readonly guest: RigGuest;
  readonly switches: LogSwitches;
  readonly bases: number[];
  running = false;
  /** Has the back end do what it thinks it has to, between requests. */
  readonly #settle: () => void;
  #log: SharedMemory | null = null;

  /** What records requests in flight, where that was agreed on. */
  inflight: InflightRegion | null;

  constructor(
    backend: VhostBackend,
    plan: RigPlan,
    memory: RigMemory,
    guest: RigGuest,
    bases: readonly number[],
    settle: () => void,
    inflight: InflightRegion | null = null,
  ) {
    this.backend = backend;
    this.plan = plan;
    this.memory = memory;
    this.guest = guest;
    this.bases = [...bases];
    this.inflight = inflight;
    this.#settle = settle;
    this.switches = { logAll: false, rings: plan.sizes.map(() => false) };
  }

  /** What is done once. */
  async open(): Promise<void> {
    const { backend, plan } = this;
    await backend.setOwner();
    await backend.getFeatures();
    if (plan.face === 'user') {
      await backend.getProtocolFeatures();
      await backend.setProtocolFeatures(PROTOCOL | (plan.inflightRegion ? INFLIGHT : 0n));
    } else {
      await backend.getBackendFeatures();
    }
  }

  /** Sets the rings up and starts them, where they stopped. */
  async start(): Promise<void> {
    const { backend, plan } = this;
    await this.#setFeatures();
    await backend.setMemTable(this.memory.regions);
    if (plan.iova !== null) await this.mapAll();
    if (plan.inflightRegion) {
      this.inflight ??= await backend.getInflight(plan.sizes.length, Math.max(...plan.sizes));
      await backend.setInflight(this.inflight);
    }
    for (const index of plan.sizes.keys()) {
      await backend.setVringNum(index, plan.sizes[index]!);
      await backend.setVringBase(index, this.bases[index]!);
      await backend.setVringAddr(index, this.#addresses(index));
      this.#settle();
      await backend.setVringKick(index, true);
      await backend.setVringCall(index, () => {
        this.guest.counts.calls++;
      });
    }
    for (const index of plan.sizes.keys()) {
      if (plan.face === 'user') await backend.setVringEnable(index, true);
      else await backend.setBackend(index, true);
    }
    this.running = true;
    // What the guest has made available while nobody looked.
    for (const index of plan.sizes.keys()) backend.kick(index);
  }

  /** Stops all rings, and learns where. */
  async stop(): Promise<void> {
    const { backend, plan } = this;
    for (const index of plan.sizes.keys()) {
      if (plan.face === 'kernel') await backend.setBackend(index, false);
    }
    for (const index of plan.sizes.keys()) {
      this.bases[index] = await backend.getVringBase(index);
      if (plan.face === 'kernel') await backend.setVringKick(index, false);
    }
    this.running = false;
  }

  /** Maps all memory for the device, each block in two pieces. */
  async mapAll(): Promise<void> {
    for (const { gpa, size, uaddr } of this.memory.blocks) {
      const cut = Math.floor(size / VHOST_LOG_PAGE / 3) * VHOST_LOG_PAGE;
      await this.#map(gpa, cut, uaddr);
      await this.#map(gpa + cut, size - cut, uaddr + cut);
    }
  }

  async mapBuffers(): Promise<void> {
    const { gpa, size, uaddr } = this.memory.blocks[1]!;
    await this.#map(gpa, size, uaddr);
  }

  async unmapBuffers(): Promise<void> {
    const { gpa, size } = this.memory.blocks[1]!;
    await this.backend.iotlb({
      type: VHOST_IOTLB.INVALIDATE,
      asid: 0,
      iova: gpa + this.plan.iova!,
      size,
      uaddr: 0,
      perm: 0,
    });
  }

  async #map(gpa: number, size: number, uaddr: number): Promise<void> {
    const iova = gpa + this.plan.iova!;
    await this.backend.iotlb({ type: VHOST_IOTLB.UPDATE, asid: 0, iova, size, uaddr, perm: VHOST_ACCESS.RW });
  }

  /** Memory grows by so many pages behind its end, or is as before. The log covers it before, as in QEMU. */
  async setMemory(extraPages: number): Promise<void> {
    const memory = { bytes: new Uint8Array(extraPages * VHOST_LOG_PAGE) };
    const extra = { gpa: this.memory.end, size: memory.bytes.length, uaddr: EXTRA_UADDR, offset: 0, memory };
    await this.backend.setMemTable([...this.memory.regions, ...(extraPages > 0 ? [extra] : [])]);
  }

  /** A log for all of memory, and some pages more. */
  newLog(slackPages: number): SharedMemory {
    return { bytes: new Uint8Array(vhostLogBytes(this.memory.end + slackPages * VHOST_LOG_PAGE)) };
  }

  get log(): SharedMemory | null {
    return this.#log;
  }

  /** The log is another one. @returns what the old one has collected */
  async setLog(log: SharedMemory): Promise<number[]> {
    const before = this.#log;
    await this.backend.setLogBase(log);
    this.#log = log;
    return before === null ? [] : takePages(before.bytes);
  }

  /** Takes what the log has collected. */
  harvest(): number[] {
    return this.#log === null ? [] : takePages(this.#log.bytes);
  }

  async setLogAll(on: boolean): Promise<void> {
    this.switches.logAll = on;
    await this.#setFeatures();
  }

  async setRingLog(index: number, on: boolean): Promise<void> {
    this.switches.rings[index] = on;
    await this.backend.setVringAddr(index, this.#addresses(index));
  }

  /** In QEMU's order: log, features, then each ring. @returns what an old log has collected */
  async startLogging(): Promise<number[]> {
    const old = await this.setLog(this.newLog(0));
    await this.setLogAll(true);
    for (const index of this.plan.sizes.keys()) await this.setRingLog(index, true);
    return old;
  }

  async stopLogging(): Promise<void> {
    await this.setLogAll(false);
    for (const index of this.plan.sizes.keys()) await this.setRingLog(index, false);
  }

  async #setFeatures(): Promise<void> {
    const log = this.switches.logAll ? featureBits(VHOST_FEATURES.LOG_ALL) : 0n;
    await this.backend.setFeatures(planFeatures(this.plan) | log);
  }

  #addresses(index: number): VringAddresses {
    const { desc, avail, used } = this.guest.queues[index]!.parts;
    const { iova, logByAlias } = this.plan;
    const at = (gpa: number) => (iova === null ? this.memory.uaddrOf(gpa) : gpa + iova);
    return {
      desc: at(desc),
      avail: at(avail),
      used: at(used),
      logGuestAddr: logByAlias ? this.memory.aliasOf(used) : used,
      log: this.switches.rings[index]!,
    };
  }
}

/** Reads and clears a log, as a VMM does: what was set while it reads stays for the next time. */
export function takePages(log: Uint8Array): number[] {
  const words = new BigUint64Array(log.buffer, log.byteOffset, log.byteLength >> 3);
  const pages: number[] = [];
  for (let word = 0; word < words.length; word++) {
    if (words[word] === 0n) continue;
    const bits = Atomics.exchange(words, word, 0n);
    for (let bit = 0; bit < 64; bit++) if ((bits >> BigInt(bit)) & 1n) pages.push(64 * word + bit);
  }
  return pages;
}
