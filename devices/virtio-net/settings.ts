import { VIRTIO_NET_ACK, VIRTIO_NET_CTRL, VIRTIO_NET_S, VirtioNetConfig } from 'stopcopy/uapi';

/** Most MACs of one table, as most NICs and QEMU take; more stand for "all". */
export const MAC_TABLE_ENTRIES = 64;
/** Ids of VLANs. */
const VLANS = 4096;
/** Addresses that the bridge behind the device remembers. */
export const FDB_ENTRIES = 64;

/** Which frames are taken beside those for the own MAC (5.1.6.5.1). */
export const RX_MODES = ['promisc', 'allmulti', 'alluni', 'nomulti', 'nouni', 'nobcast'] as const;
export type RxMode = (typeof RX_MODES)[number];

/** The commands of the receive modes, by number. */
const RX_COMMANDS: readonly RxMode[] = (() => {
  const { PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST } = VIRTIO_NET_CTRL.RX;
  const modes: RxMode[] = [];
  modes[PROMISC] = 'promisc';
  modes[ALLMULTI] = 'allmulti';
  modes[ALLUNI] = 'alluni';
  modes[NOMULTI] = 'nomulti';
  modes[NOUNI] = 'nouni';
  modes[NOBCAST] = 'nobcast';
  return modes;
})();

export interface SettingsOptions {
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly queuePairs: number;
  readonly mtu?: number;
}

/**
 * What the guest has set by the control queue, what the configuration space shows, and what the device has
 * learned of its guest: all that is the device's own beside the rings.
 */
export class NetSettings {
  readonly queuePairs: number;
  readonly #factoryMac: Uint8Array;
  readonly #mtu: number;
  mac: Uint8Array;
  status: number = VIRTIO_NET_S.LINK_UP;
  /** Queue pairs that the guest uses. */
  pairs = 1;
  /** As after a reset: everything comes through until the guest asks for less. */
  readonly modes: Record<RxMode, boolean> = {
    promisc: true,
    allmulti: false,
    alluni: false,
    nomulti: false,
    nouni: false,
    nobcast: false,
  };
  unicast: string[] = [];
  multicast: string[] = [];
  readonly vlans = new Set<number>();
  offloads = 0n;
  /** The guest has acknowledged the announcement it was asked for. */
  announced = 0;
  /** MACs that were seen behind the guest, and the queue pair that each was seen on; the last one is the newest. */
  readonly fdb = new Map<string, number>();

  constructor({ mac, queuePairs, mtu = 1500 }: SettingsOptions) {
    if (mac.length !== 6) throw new RangeError(`a MAC has 6 bytes, not ${mac.length}`);
    this.#factoryMac = mac.slice();
    this.mac = mac.slice();
    this.queuePairs = queuePairs;
    this.#mtu = mtu;
  }

  /** As after a reset of the device. */
  reset(): void {
    this.mac = this.#factoryMac.slice();
    this.status = VIRTIO_NET_S.LINK_UP;
    this.pairs = 1;
    for (const mode of RX_MODES) this.modes[mode] = mode === 'promisc';
    this.unicast = [];
    this.multicast = [];
    this.vlans.clear();
    this.offloads = 0n;
    this.announced = 0;
    this.fdb.clear();
  }

  /** The configuration space. */
  config(): Uint8Array {
    return VirtioNetConfig.encode({
      mac: this.mac,
      status: this.status,
      max_virtqueue_pairs: this.queuePairs,
      mtu: this.#mtu,
    });
  }

  /** Asks the guest to announce itself. */
  askForAnnouncement(): void {
    this.status |= VIRTIO_NET_S.ANNOUNCE;
  }

  /**
   * A command of the control queue.
   * @param bytes class, command, and what belongs to it
   * @returns the ack byte
   */
  command(bytes: Uint8Array): number {
    if (bytes.length < 2) return VIRTIO_NET_ACK.ERR;
    const data = bytes.subarray(2);
    return this.#perform(bytes[0]!, bytes[1]!, data) ? VIRTIO_NET_ACK.OK : VIRTIO_NET_ACK.ERR;
  }

  /** Whether a frame from the wire is for the guest. */
  accepts(frame: Uint8Array): boolean {
    const { modes } = this;
    if (!this.#acceptsVlan(frame)) return false;
    if (modes.promisc) return true;
    const to = textOf(frame.subarray(0, 6));
    if (to === BROADCAST) return !modes.nobcast;
    if ((frame[0]! & 1) !== 0) return !modes.nomulti && (modes.allmulti || this.multicast.includes(to));
    if (modes.nouni) return false;
    return modes.alluni || to === textOf(this.mac) || this.unicast.includes(to);
  }

  /** A frame of the guest: its sender is behind this queue pair. */
  learn(frame: Uint8Array, pair: number): void {
    const from = textOf(frame.subarray(6, 12));
    this.fdb.delete(from);
    this.fdb.set(from, pair);
    if (this.fdb.size > FDB_ENTRIES) this.fdb.delete(this.fdb.keys().next().value!);
  }

  /** The queue pair that a frame for this receiver goes to, if it is known. */
  pairOf(frame: Uint8Array): number | undefined {
    return this.fdb.get(textOf(frame.subarray(0, 6)));
  }

  #perform(kind: number, command: number, data: Uint8Array): boolean {
    const { RX, MAC, VLAN, ANNOUNCE, MQ, GUEST_OFFLOADS } = VIRTIO_NET_CTRL;
    switch (kind) {
      case RX.class:
        return this.#setMode(command, data);
      case MAC.class:
        if (command === MAC.ADDR_SET) return this.#setMac(data);
        return command === MAC.TABLE_SET && this.#setTable(data);
      case VLAN.class:
        return this.#setVlan(command, data);
      case ANNOUNCE.class:
        if (command !== ANNOUNCE.ACK || data.length > 0) return false;
        this.status &= ~VIRTIO_NET_S.ANNOUNCE;
        this.announced++;
        return true;
      case MQ.class:
        return command === MQ.VQ_PAIRS_SET && this.#setPairs(data);
      case GUEST_OFFLOADS.class:
        if (command !== GUEST_OFFLOADS.SET || data.length !== 8) return false;
        this.offloads = viewOf(data).getBigUint64(0, true);
        return true;
      default:
        return false;
    }
  }

  #setMode(command: number, data: Uint8Array): boolean {
    const mode = RX_COMMANDS[command];
    if (mode === undefined || data.length !== 1) return false;
    this.modes[mode] = data[0] !== 0;
    return true;
  }

  #setMac(data: Uint8Array): boolean {
    if (data.length !== 6) return false;
    this.mac = data.slice();
    return true;
  }

  /** Two tables, each a number and so many MACs: unicast, then multicast. */
  #setTable(data: Uint8Array): boolean {
    const tables: string[][] = [];
    let at = 0;
    for (let table = 0; table < 2; table++) {
      if (data.length < at + 4) return false;
      const count = viewOf(data).getUint32(at, true);
      at += 4;
      if (count > MAC_TABLE_ENTRIES || data.length < at + 6 * count) return false;
      tables.push(Array.from({ length: count }, (_, n) => textOf(data.subarray(at + 6 * n, at + 6 * n + 6))));
      at += 6 * count;
    }
    if (at !== data.length) return false;
    [this.unicast, this.multicast] = tables as [string[], string[]];
    return true;
  }

  #setVlan(command: number, data: Uint8Array): boolean {
    if (data.length !== 2) return false;
    const id = viewOf(data).getUint16(0, true);
    if (id >= VLANS) return false;
    if (command === VIRTIO_NET_CTRL.VLAN.ADD) this.vlans.add(id);
    else if (command === VIRTIO_NET_CTRL.VLAN.DEL) this.vlans.delete(id);
    else return false;
    return true;
  }

  #setPairs(data: Uint8Array): boolean {
    if (data.length !== 2) return false;
    const pairs = viewOf(data).getUint16(0, true);
    if (pairs < 1 || pairs > this.queuePairs) return false;
    this.pairs = pairs;
    return true;
  }

  /** Without a filter, or without a tag, a frame comes through. */
  #acceptsVlan(frame: Uint8Array): boolean {
    if (this.vlans.size === 0 || frame.length < 16) return true;
    const view = viewOf(frame);
    return view.getUint16(12) !== ETHERTYPE_VLAN || this.vlans.has(view.getUint16(14) & 0xfff);
  }
}

const ETHERTYPE_VLAN = 0x8100;
const BROADCAST = 'ffffffffffff';

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A MAC as text without separators. */
export const textOf = (mac: Uint8Array): string =>
  Buffer.from(mac.buffer, mac.byteOffset, mac.byteLength).toString('hex');
