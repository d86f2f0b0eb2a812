import {
  VFGEN_RSTAT,
  VIRTCHNL_DEFAULT_ALLOWLIST,
  VIRTCHNL_LIMITS,
  VIRTCHNL_RSS_ALG,
  VIRTCHNL_RSS_HASHCFG_ALL,
} from 'stopcopy/uapi';

/**
 * Everything that an E810 VF is, as plain data: the hardware's part and the PF driver's part. Hardware model,
 * PF model and the migration of both generations work on one such object; nothing about the VF is kept
 * anywhere else, so what a migration leaves out is lost, as it is on real hosts.
 */

/** Queue pairs that a VF can have, and elements of the register arrays of generation A. */
export const VF_LIMITS = { queues: 16, vectors: 65, itrIndexes: 4 } as const;

/** One direction of the mailbox, as its registers hold it (u32 each). */
export interface MailboxQueue {
  bal: number;
  bah: number;
  /** Length in bits 9:0, ENABLE in bit 31. */
  len: number;
  head: number;
  tail: number;
}

/** What is common to Tx and Rx queues. A queue has its context from CONFIG_VSI_QUEUES on. */
interface Queue {
  configured: boolean;
  enabled: boolean;
  /** Address of the ring in guest memory, in bytes. */
  base: number;
  /** Descriptors in the ring. */
  count: number;
  /** Next descriptor that the hardware will use. */
  head: number;
  /** Tail register: the first descriptor that the guest has not handed over. */
  tail: number;
  /** MSI-X vector, 1 and up; null before CONFIG_IRQ_MAP. */
  vector: number | null;
  /** ITR index. */
  itr: number;
}

export type TxQueue = Queue;

export interface RxQueue extends Queue {
  /** Bytes of a receive buffer. */
  bufferSize: number;
  /** Longest frame, in bytes. */
  maxFrame: number;
  /** Descriptor format. */
  rxdid: number;
  crcStrip: boolean;
}

/** A virtchnl message of the guest, as it was received. */
export interface LoggedMessage {
  opcode: number;
  payload: Uint8Array;
}

/** Counters of the VSI, in the order of virtchnl's ethernet statistics. */
export interface VfStats {
  rx_bytes: bigint;
  rx_unicast: bigint;
  rx_multicast: bigint;
  rx_broadcast: bigint;
  rx_discards: bigint;
  rx_unknown_protocol: bigint;
  tx_bytes: bigint;
  tx_unicast: bigint;
  tx_multicast: bigint;
  tx_broadcast: bigint;
  tx_discards: bigint;
  tx_errors: bigint;
}

/** What the PF driver knows about the VF. */
export interface PfState {
  /** VF state bits of the PF driver. */
  init: boolean;
  active: boolean;
  queuesEnabled: boolean;
  disabled: boolean;
  unicastPromisc: boolean;
  multicastPromisc: boolean;
  /** virtchnl version that the guest told. */
  version: { major: number; minor: number };
  /** Capabilities that were negotiated by GET_VF_RESOURCES. */
  caps: number;
  /** Opcodes that the guest may send now. */
  allowlist: Set<number>;
  /** MAC that the host gave, six bytes. */
  hostMac: Uint8Array;
  /** MAC that the guest uses, six bytes. */
  deviceMac: Uint8Array;
  /** The host's administrator set the MAC. */
  macSetByHost: boolean;
  trusted: boolean;
  spoofCheck: boolean;
  linkForced: boolean;
  linkUp: boolean;
  portVlan: { tpid: number; vid: number; prio: number };
  minTxRate: number;
  maxTxRate: number;
  /** MAC filters, six bytes each. */
  macs: Uint8Array[];
  vlans: { tpid: number; vid: number }[];
  innerStrip: boolean;
  outerStrip: boolean;
  vlanV2Caps: Uint8Array;
  rss: { key: Uint8Array; lut: Uint8Array; hfunc: number; hashcfg: bigint };
  stats: VfStats;
  /** Queue pairs and vectors of the VF; vector 0 is the mailbox's. */
  queuePairs: number;
  vectors: number;
  /** VSI number of this host, and the one that the guest knows (generation A rewrites it). */
  vsiId: number;
  guestVsiId: number;
  /** Generation A: messages of the guest since the last VF reset, while the log is on. */
  log: LoggedMessage[];
  logging: boolean;
}

/** See the comment of this file. */
export interface VfState {
  /** VF to PF, and PF to VF. */
  atq: MailboxQueue;
  arq: MailboxQueue;
  /** VFGEN_RSTAT: 0 reset in progress, 1 completed, 2 VF active. */
  rstat: number;
  icr01: number;
  icr0Ena: number;
  /** Interrupt control by vector; 0 is the mailbox (VFINT_DYN_CTL01, then VFINT_DYN_CTLN1). */
  dynCtl: Uint32Array;
  /** Interrupt throttling, by ITR index and vector. */
  itr: Uint32Array[];
  /** By vector, 1 where an interrupt waits for its vector to be enabled. */
  pending: Uint8Array;
  tx: TxQueue[];
  rx: RxQueue[];
  /** Switch filters steer frames to the VSI. Suspending a VF takes them away. */
  filtersInstalled: boolean;
  pf: PfState;
}

/** What differs between two VFs from their creation on. */
export interface VfIdentity {
  queuePairs: number;
  hostMac: Uint8Array;
  vsiId: number;
  trusted?: boolean;
}

const mailbox = (): MailboxQueue => ({ bal: 0, bah: 0, len: 0, head: 0, tail: 0 });

const queue = (): Queue => ({
  configured: false,
  enabled: false,
  base: 0,
  count: 0,
  head: 0,
  tail: 0,
  vector: null,
  itr: 0,
});

/** Counters at zero. */
export function noStats(): VfStats {
  return {
    rx_bytes: 0n,
    rx_unicast: 0n,
    rx_multicast: 0n,
    rx_broadcast: 0n,
    rx_discards: 0n,
    rx_unknown_protocol: 0n,
    tx_bytes: 0n,
    tx_unicast: 0n,
    tx_multicast: 0n,
    tx_broadcast: 0n,
    tx_discards: 0n,
    tx_errors: 0n,
  };
}

/** RSS as the PF driver sets it up: all queues in turn. Its random key is left out, so all hashes are 0. */
const defaultRss = (queuePairs: number): PfState['rss'] => ({
  key: new Uint8Array(VIRTCHNL_LIMITS.rssKeyBytes),
  lut: Uint8Array.from({ length: VIRTCHNL_LIMITS.rssLutEntries }, (_, at) => at % queuePairs),
  hfunc: VIRTCHNL_RSS_ALG.TOEPLITZ_ASYMMETRIC,
  hashcfg: VIRTCHNL_RSS_HASHCFG_ALL,
});

/** A VF as the PF driver hands it out: reset has ended, nothing is negotiated. */
export function newVfState({ queuePairs, hostMac, vsiId, trusted = false }: VfIdentity): VfState {
  return {
    atq: mailbox(),
    arq: mailbox(),
    rstat: VFGEN_RSTAT.VF_ACTIVE,
    icr01: 0,
    icr0Ena: 0,
    dynCtl: new Uint32Array(VF_LIMITS.vectors),
    itr: Array.from({ length: VF_LIMITS.itrIndexes }, () => new Uint32Array(VF_LIMITS.vectors)),
    pending: new Uint8Array(VF_LIMITS.vectors),
    tx: Array.from({ length: VF_LIMITS.queues }, queue),
    rx: Array.from({ length: VF_LIMITS.queues }, () => ({
      ...queue(),
      bufferSize: 0,
      maxFrame: 0,
      rxdid: 0,
      crcStrip: false,
    })),
    filtersInstalled: true,
    pf: {
      init: true,
      active: false,
      queuesEnabled: false,
      disabled: false,
      unicastPromisc: false,
      multicastPromisc: false,
      version: { major: 0, minor: 0 },
      caps: 0,
      allowlist: new Set(VIRTCHNL_DEFAULT_ALLOWLIST),
      hostMac: Uint8Array.from(hostMac),
      deviceMac: Uint8Array.from(hostMac),
      macSetByHost: true,
      trusted,
      spoofCheck: true,
      linkForced: false,
      linkUp: true,
      portVlan: { tpid: 0, vid: 0, prio: 0 },
      minTxRate: 0,
      maxTxRate: 0,
      macs: [],
      vlans: [],
      innerStrip: false,
      outerStrip: false,
      vlanV2Caps: new Uint8Array(40),
      rss: defaultRss(queuePairs),
      stats: noStats(),
      queuePairs,
      vectors: queuePairs + 1,
      vsiId,
      guestVsiId: vsiId,
      log: [],
      logging: false,
    },
  };
}
