/** Images of generation A put into a VF: as the published loader does it, and as a whole or not at all. */
import { DeviceError, VIRTCHNL_OPS } from 'stopcopy/uapi';
import type { PfDriver, VfEnvironment } from './environment.js';
import { E810Hardware } from './hardware/hardware.js';
import { type HeadA, headOfImageA, type ImageA, type SlotA, slotsOfImageA } from './image-a.js';
import { A_HEADER_SIZE } from './image-a-layout.js';
import { ImageError, type ImageProblem } from './image-error.js';
import { matchVfInfo } from './load-b.js';
import { MIGRATION_CAPS } from './pf/message-log.js';
import { E810Pf } from './pf/pf.js';
import {
  putHostSettings,
  putNegotiated,
  putQueueState,
  putRss,
  putStats,
  putVfState,
} from './records-to-state.js';
import { newVfState, type VfIdentity, type VfState } from './vf-state.js';

type RegistersA = Pick<
  ImageA,
  | 'int_dyn_ctl'
  | 'int_intr'
  | `asq_${'bal' | 'bah' | 'len' | 'head' | 'tail'}`
  | `arq_${'bal' | 'bah' | 'len' | 'head' | 'tail'}`
  | 'rx_tail'
>;

/**
 * The published loader: matches the header, then writes registers, replays the messages of the guest, and
 * restores the positions of the rings. What was done before an error stays.
 * @param bytes what was written to the resume file
 * @throws DeviceError
 */
export function loadPublishedA(bytes: Uint8Array, state: VfState, pf: PfDriver): void {
  const head = matchPublished(bytes, state);
  state.pf.guestVsiId = head.vsi_id;
  putRegisters(state, head);
  replay(slotsOfImageA(bytes), head, state, pf);
  for (const [id, queue] of state.tx.entries()) {
    // Dummy packets bring an enabled queue to its head; where it stands they leave it.
    const position = head.tx_head[id]!;
    if (!queue.enabled || position === 0) continue;
    if (position >= queue.count)
      throw new DeviceError(
        'EINVAL',
        `Tx queue ${id} is at descriptor ${position} of a ring of ${queue.count}`,
      );
    queue.head = position;
    queue.tail = position;
  }
  // The replay of CONFIG_VSI_QUEUES has changed them.
  putQueueVectors(state, head);
}

/** What the published driver looks at, in its order. */
function matchPublished(bytes: Uint8Array, state: VfState): HeadA {
  const head = headOfImageA(bytes);
  if (head === null)
    throw mismatch(`${bytes.length} bytes, and the header has ${A_HEADER_SIZE}`, 'truncated', bytes.length);
  matchHeadA(head, state);
  if (head.total_size > bytes.length)
    throw mismatch(
      `${bytes.length} bytes, and total_size says ${head.total_size}`,
      'truncated',
      bytes.length,
    );
  return head;
}

const mismatch = (words: string, problem: ImageProblem = 'mismatch', offset = 0): ImageError =>
  new ImageError(problem, 'EINVAL', offset, words);

/** @throws ImageError when the image is of a VF with other queues, or with capabilities that this PF lacks */
export function matchHeadA(head: HeadA, { pf }: VfState): void {
  if (head.num_txq !== pf.queuePairs || head.num_rxq !== pf.queuePairs)
    throw mismatch(
      `the image is of a VF with ${head.num_txq} Tx and ${head.num_rxq} Rx queues, and this one has ${pf.queuePairs}`,
    );
  const lacking = (head.vf_caps & ~MIGRATION_CAPS) >>> 0;
  if (lacking !== 0)
    throw mismatch(`the guest uses the capabilities 0x${lacking.toString(16)}, which this PF does not offer`);
}

/**
 * Interrupts, mailbox, Rx tails. The tail of the mailbox to the PF is a doorbell, which is not rung: nothing
 * is handed over until the guest rings it.
 */
function putRegisters(state: VfState, regs: RegistersA): void {
  state.dynCtl.set(regs.int_dyn_ctl);
  for (const [index, intervals] of state.itr.entries()) intervals.set(regs.int_intr[index]!);
  Object.assign(state.atq, {
    bal: regs.asq_bal,
    bah: regs.asq_bah,
    len: regs.asq_len,
    head: regs.asq_head,
    tail: regs.asq_head,
  });
  Object.assign(state.arq, {
    bal: regs.arq_bal,
    bah: regs.arq_bah,
    len: regs.arq_len,
    head: regs.arq_head,
    tail: regs.arq_tail,
  });
  for (const [id, queue] of state.rx.entries()) queue.tail = regs.rx_tail[id]!;
}

function putQueueVectors(state: VfState, regs: RegistersA): void {
  state.dynCtl.set(regs.int_dyn_ctl.slice(1), 1);
  for (const [index, intervals] of state.itr.entries()) intervals.set(regs.int_intr[index]!.slice(1), 1);
}

/** Feeds the messages to the PF again; Rx heads are written as soon as their queues are configured. */
function replay(slots: Iterable<SlotA>, head: HeadA, state: VfState, pf: PfDriver): void {
  for (const { offset, message } of slots) {
    const status = pf.handleMessage(message.opcode, message.payload, { replay: true });
    if (status !== 0)
      throw new DeviceError(
        'EIO',
        `the PF answers message ${message.opcode} at byte ${offset} of the image with status ${status}`,
      );
    if (message.opcode !== VIRTCHNL_OPS.CONFIG_VSI_QUEUES) continue;
    for (const [id, queue] of state.rx.entries()) if (queue.configured) queue.head = head.rx_head[id]!;
  }
}

/** Where a replay that only finds out what a state is takes place: no memory, no wire. */
const NOWHERE: VfEnvironment = {
  memory: {
    read() {
      throw new DeviceError('EFAULT', 'a load reads no memory');
    },
    write() {
      throw new DeviceError('EFAULT', 'a load writes no memory');
    },
  },
  interrupt() {},
  transmit() {},
};

/**
 * The state that an image holds, for a VF of this identity: of the replay to a VF of its own, and of what
 * stands behind `total_size`.
 * @throws DeviceError when it is no state that this VF can have
 */
export function stateOfImageA(image: ImageA, identity: VfIdentity): VfState {
  const state = newVfState(identity);
  const { extension, messages } = image;
  matchHeadA({ ...image, total_size: 0n }, state);
  if (extension) {
    matchVfInfo(extension.vfInfo, state);
    putHostSettings(state, extension.vfInfo);
  }
  const hardware = new E810Hardware(state, NOWHERE);
  hardware.paused = true;
  state.pf.logging = true;
  state.pf.guestVsiId = image.vsi_id;
  replay(slotsOf(messages), { ...image, total_size: 0n }, state, new E810Pf(state, hardware));
  putRegisters(state, image);
  state.atq.tail = image.asq_tail;
  for (const [id, queue] of state.tx.entries()) {
    if (queue.configured) queue.head = image.tx_head[id]!;
    queue.tail = queue.head;
  }
  if (extension) {
    // The replay has set the MAC of the guest in its own way.
    putHostSettings(state, extension.vfInfo);
    putNegotiated(state, extension.vfInfo);
    putRss(state, extension.rss);
    putStats(state, extension.stats);
    putVfState(state, extension.vfState);
    for (const queue of extension.queueStates) putQueueState(state, queue);
  }
  checkHeads(state);
  return state;
}

function* slotsOf(messages: ImageA['messages']): Generator<SlotA> {
  for (const [offset, message] of messages.entries()) yield { offset, size: 0, message };
}

function checkHeads({ tx, rx }: VfState): void {
  for (const queue of [...tx, ...rx])
    if (queue.head > 0 && queue.head >= queue.count)
      throw mismatch(`a ring of ${queue.count} descriptors is at descriptor ${queue.head}`, 'length');
}
