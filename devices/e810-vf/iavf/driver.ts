import type { GuestBooks, GuestDriver, Slot } from 'stopcopy/migrate';
import {
  E810_VF_REGISTERS as REGISTERS,
  VFGEN_RSTAT,
  VIRTCHNL_CAPS,
  VIRTCHNL_EVENTS,
  VIRTCHNL_OPS,
  VirtchnlPfEvent,
  virtchnlOp,
} from 'stopcopy/uapi';
import { nextRandom } from '../random.js';
import { queueOf } from '../traffic.js';
import type { Wire } from '../wire.js';
import { makeBooks } from './books.js';
import {
  type ControlBlock,
  type ControlCounts,
  ControlStore,
  complain,
  controlSize,
  newControlBlock,
} from './control-block.js';
import { Mailbox, type PfMessage, type Registers } from './mailbox.js';
import { layOut } from './ram-layout.js';
import {
  churnFilters,
  forgetFilters,
  nextRequest,
  type RequestContext,
  schedule,
  takeAnswer,
} from './requests.js';
import type { RingContext } from './ring-context.js';
import { RxRing } from './rx-ring.js';
import { Stamps } from './stamps.js';
import { type DriverState, enterState, stateOf } from './states.js';
import { TxRing } from './tx-ring.js';
import { Vectors } from './vectors.js';

/** How the guest's driver sets its VF up. */
export interface IavfOptions {
  readonly slot: Pick<Slot, 'memory' | 'driverRam' | 'pci'>;
  /** BAR0 of the VF. */
  readonly registers: Registers;
  /** The other end, whose records the books are made from. The driver itself never looks at it. */
  readonly wire: Wire;
  readonly queuePairs: number;
  /** MAC of the VF. */
  readonly mac: Uint8Array;
  readonly seed: number;
  /** Descriptors of a ring at most; default 256. What fits into the RAM decides. */
  readonly ringLength?: number;
  /** Frames that are sent in a run; default 4. */
  readonly framesPerRun?: number;
  /** Frames that are taken from a queue in a run, at most; default 64, as NAPI's. */
  readonly budget?: number;
  /** Runs without an answer or a completion after which the driver complains; default 400. */
  readonly patience?: number;
  /** Runs between two changes of filters, on average; 0: none. Default 256. */
  readonly churn?: number;
}

/** Runs between two requests for statistics. */
const STATS_PERIOD = 64;

/**
 * A guest driver of the VF, in the manner of iavf. It reaches the device by registers, interrupts and the rings
 * in guest RAM, and RAM holds all that it knows; the object itself keeps nothing from one run to the next.
 * So a new object over the same RAM, on whatever host, is the same driver.
 *
 * It works in the manner of NAPI: mailbox and rings are looked after when their interrupt has come. What lies
 * there without one for long is taken all the same, with a complaint.
 */
export class IavfDriver implements GuestDriver {
  readonly #options: Required<IavfOptions>;
  readonly #counts: ControlCounts;
  readonly #store: ControlStore;
  readonly #mailbox: Mailbox;
  readonly #vectors: Vectors;
  readonly #requests: RequestContext;
  readonly #tx: readonly TxRing[];
  readonly #rx: readonly RxRing[];
  /** Whether this object has looked through the RAM that it found. */
  #audited = false;

  /** @throws RangeError when the RAM is too small for this many queue pairs */
  constructor(options: IavfOptions) {
    const { ringLength = 256, framesPerRun = 4, budget = 64, patience = 400, churn = 256 } = options;
    this.#options = { ...options, ringLength, framesPerRun, budget, patience, churn };
    const { queuePairs, registers, mac, wire } = options;
    const { memory, driverRam, pci } = options.slot;
    const { traffic } = wire;
    this.#counts = { queuePairs, flowsOut: traffic.flows.fromVf, flowsIn: traffic.flows.toVf };
    const layout = layOut(driverRam, { controlSize: controlSize(this.#counts), queuePairs, ringLength });
    this.#store = new ControlStore(memory, layout, this.#counts);
    this.#mailbox = new Mailbox(memory, registers, layout);
    this.#vectors = new Vectors({ memory, registers, pci, layout }, queuePairs);
    const rings: RingContext = { memory, registers, layout, stamps: new Stamps(memory), traffic, patience };
    this.#tx = layout.queues.map((_, queue) => new TxRing(rings, queue));
    this.#rx = layout.queues.map((_, queue) => new RxRing(rings, queue));
    this.#requests = {
      layout,
      queuePairs,
      mac,
      resetRings: (block) => this.#resetRings(block),
      startRings: (block) => this.#startRings(block),
    };
  }

  interrupt(vector: number): void {
    this.#vectors.handle(vector);
  }

  /** The guest's administrator asks for a reset of the VF. Called, as `run`, only while vCPUs run. */
  requestReset(): void {
    const block = this.#load();
    block.resetWanted = 1;
    this.#store.store(block);
  }

  run(): void {
    const block = this.#load();
    if (stateOf(block) !== 'FAILED') {
      block.runs = (block.runs + 1) >>> 0;
      this.#audit(block);
      this.#work(block);
    }
    this.#store.store(block);
  }

  get isUp(): boolean {
    const loaded = this.#store.load();
    if (loaded.kind !== 'block' || stateOf(loaded.block) !== 'RUNNING') return false;
    return loaded.block.framesReceived > 0 && loaded.block.flowsOut.some(({ completed }) => completed > 0);
  }

  /** State of the driver, in iavf's words. */
  get state(): DriverState {
    return stateOf(this.#load());
  }

  books(): GuestBooks {
    const block = this.#load();
    const waiting = block.ringsReady ? this.#rx.flatMap((ring) => ring.waiting(block)) : [];
    return makeBooks(block, waiting, this.#options.wire);
  }

  /** The control block; one that has not begun where there is none, or a failed one where it is damaged. */
  #load(): ControlBlock {
    const loaded = this.#store.load();
    if (loaded.kind === 'block') return loaded.block;
    const block = newControlBlock(this.#counts, this.#options.seed);
    block.random = nextRandom(this.#options.seed);
    forgetFilters(block);
    if (loaded.kind === 'damaged') {
      enterState(block, 'FAILED');
      complain(block, loaded.words);
    }
    return block;
  }

  /** Looks through what another object has left in RAM, once. */
  #audit(block: ControlBlock): void {
    if (this.#audited) return;
    this.#audited = true;
    const rings = block.ringsReady ? [...this.#tx, ...this.#rx] : [];
    const parts = block.mailboxReady ? [this.#mailbox, ...rings] : rings;
    for (const part of parts) {
      const words = part.audit(block);
      if (words !== null) complain(block, `guest RAM is damaged: ${words} is not what the driver left`);
    }
  }

  #work(block: ControlBlock): void {
    const state = stateOf(block);
    if (state === 'RESETTING') this.#waitForReset(block);
    else if (state === 'STARTUP') this.#startUp(block);
    else if (this.#mailbox.isDown) this.#beginReset(block);
    else this.#workWithMailbox(block);
  }

  #workWithMailbox(block: ControlBlock): void {
    this.#lookAfterMailbox(block);
    this.#advance(block);
    if (stateOf(block) === 'RUNNING') this.#moveFrames(block);
    if (stateOf(block) !== 'RESETTING') this.#request(block);
  }

  /** Reset has ended, or was never: the mailbox is set up, and the first request made. */
  #startUp(block: ControlBlock): void {
    const status = this.#options.registers.readRegister(REGISTERS.VFGEN_RSTAT) & VFGEN_RSTAT.MASK;
    if (status === VFGEN_RSTAT.IN_PROGRESS) return;
    block.mailboxReady = 1;
    if (!this.#mailbox.init(block)) {
      complain(block, 'the mailbox does not take its address');
      return;
    }
    const words = this.#vectors.enableMailbox(block);
    if (words !== null) {
      complain(block, words);
      return;
    }
    enterState(block, 'INIT_VERSION_CHECK');
    schedule(block, 'VERSION');
    this.#request(block);
  }

  /** Goes on where a state has nothing left to ask for. */
  #advance(block: ControlBlock): void {
    if (block.operation !== 0 || block.required !== 0) return;
    if (stateOf(block) === 'INIT_EXTENDED_CAPS') {
      enterState(block, 'INIT_CONFIG_ADAPTER');
      if ((block.caps & VIRTCHNL_CAPS.RSS_PF) === 0) return;
      schedule(block, 'SET_RSS_KEY');
      schedule(block, 'SET_RSS_LUT');
    } else if (stateOf(block) === 'INIT_CONFIG_ADAPTER') {
      enterState(block, 'DOWN');
      schedule(block, 'ADD_MAC_FILTER');
    } else if (stateOf(block) === 'RUNNING') {
      this.#watchdog(block);
    }
  }

  /** What is due from time to time, and a reset that was asked for. */
  #watchdog(block: ControlBlock): void {
    if (block.resetWanted) {
      block.resetWanted = 0;
      // RESET_VF has no answer: the driver watches for the reset.
      this.#mailbox.send(block, VIRTCHNL_OPS.RESET_VF, new Uint8Array(0));
      this.#beginReset(block);
      return;
    }
    if (block.runs % STATS_PERIOD === 0) schedule(block, 'GET_STATS');
    const { churn } = this.#options;
    block.random = nextRandom(block.random);
    if (churn > 0 && (block.random >>> 3) % churn === 0) churnFilters(block, block.random >>> 16);
  }

  #beginReset(block: ControlBlock): void {
    block.resets++;
    if (block.operation !== 0) block.cancelled++;
    forgetFilters(block);
    enterState(block, 'RESETTING');
  }

  /** What the device had written before the reset is still taken; then all begins anew. */
  #waitForReset(block: ControlBlock): void {
    const status = this.#options.registers.readRegister(REGISTERS.VFGEN_RSTAT) & VFGEN_RSTAT.MASK;
    if (!this.#mailbox.isDown || status !== VFGEN_RSTAT.VF_ACTIVE) {
      if (block.runs - block.stateSince > this.#options.patience)
        complain(block, 'a reset of the VF does not come to its end');
      return;
    }
    if (block.ringsReady) {
      for (const ring of this.#rx) ring.drain(block);
      for (const ring of this.#tx) ring.clean(block);
    }
    enterState(block, 'STARTUP');
  }

  #resetRings(block: ControlBlock): void {
    for (const ring of [...this.#tx, ...this.#rx]) ring.reset(block);
    block.ringsReady = 1;
  }

  #startRings(block: ControlBlock): void {
    for (const ring of this.#rx) ring.ringDoorbell(block);
    this.#vectors.enableQueues(block);
  }

  #moveFrames(block: ControlBlock): void {
    const { budget, framesPerRun } = this.#options;
    for (const [queue, rx] of this.#rx.entries()) {
      const tx = this.#tx[queue]!;
      this.#vectors.serve(block, 1 + queue, {
        look: () => rx.isNextDone(block) || tx.isNextDone(block),
        poll: () => {
          tx.clean(block);
          return rx.clean(block, budget) < budget;
        },
      });
    }
    const rung = new Set<TxRing>();
    for (let count = 0; count < framesPerRun; count++) {
      block.random = nextRandom(block.random);
      const flow = (block.random >>> 4) % block.flowsOut.length;
      const ring = this.#tx[queueOf('fromVf', flow)]!;
      if (ring.send(block, flow)) rung.add(ring);
    }
    for (const ring of rung) ring.ringDoorbell(block);
  }

  /** Errors and what was sent show without an interrupt. */
  #lookAfterMailbox(block: ControlBlock): void {
    for (const words of [this.#mailbox.takeErrors(), this.#mailbox.cleanSent(block)])
      if (words !== null) complain(block, words);
    this.#vectors.serve(block, 0, {
      look: () => this.#mailbox.hasMessage(block),
      poll: () => {
        this.#takeMessages(block);
        return true;
      },
    });
    if (block.operation === 0 || block.runs - block.operationSince <= this.#options.patience) return;
    block.misanswered++;
    complain(block, `no answer to ${virtchnlOp(block.operation)}`);
    block.operation = 0;
  }

  #takeMessages(block: ControlBlock): void {
    // Reading the cause clears it.
    this.#options.registers.readRegister(REGISTERS.VFINT_ICR01);
    for (;;) {
      const message = this.#mailbox.receive(block);
      if (message === null) return;
      if (typeof message === 'string') {
        complain(block, message);
        return;
      }
      this.#takeMessage(block, message);
    }
  }

  #takeMessage(block: ControlBlock, message: PfMessage): void {
    if (message.opcode === VIRTCHNL_OPS.EVENT) this.#takeEvent(block, message.payload);
    else if (message.opcode === block.operation) takeAnswer(block, message, this.#requests);
    else {
      block.misanswered++;
      const name = virtchnlOp(message.opcode) ?? `operation ${message.opcode}`;
      complain(block, `an answer to ${name}, for which nobody waits`);
    }
  }

  #takeEvent(block: ControlBlock, payload: Uint8Array): void {
    block.events++;
    if (payload.length < VirtchnlPfEvent.size) {
      complain(block, 'an event of the PF is too short');
      return;
    }
    const { event, link_status } = VirtchnlPfEvent.decode(payload);
    if (event === VIRTCHNL_EVENTS.LINK_CHANGE) block.linkUp = link_status;
    if (event === VIRTCHNL_EVENTS.RESET_IMPENDING && stateOf(block) !== 'RESETTING') this.#beginReset(block);
  }

  /** Sends the next request when none is outstanding. */
  #request(block: ControlBlock): void {
    if (block.operation !== 0) return;
    const request = nextRequest(block, this.#requests);
    if (!request) return;
    block.requests++;
    this.#mailbox.send(block, request.opcode, request.message);
  }
}
