import { VHOST_BACKEND_FEATURES } from '../../uapi/vhost.js';
import type { VhostInterface } from '../../uapi/vhost-backend.js';
import { VHOST_USER_PROTOCOL_FEATURES } from '../../uapi/vhost-user.js';
import { VIRTIO_STATUS } from '../../uapi/virtio.js';
import { CaseFailure, CaseSkipped, type RigOptions, type VhostRig } from './rig.js';

/** One thing that is tried with a back end that was opened for it. */
export interface VhostCase {
  readonly id: string;
  readonly title: string;
  /** Interfaces that have it; absent: all. */
  readonly interfaces?: readonly VhostInterface[];
  /** How the rig is made. */
  readonly rig?: Pick<RigOptions, 'ringSize' | 'packed'>;
  /**
   * What is done. What the rules of the trace say of it counts beside what is thrown.
   * @throws CaseFailure what is wrong, CaseSkipped when the back end has nothing for it
   */
  run(rig: VhostRig): Promise<void>;
}

/** Frames that go round a small ring more than twice. */
const FRAMES = 40;

async function begin(rig: VhostRig): Promise<void> {
  await rig.negotiate();
  await rig.start();
}

async function sendAll(rig: VhostRig, frames = FRAMES): Promise<void> {
  const done = await rig.send(frames);
  if (done < frames)
    throw new CaseFailure(`of ${frames} frames the back end has used ${done} after 3 seconds`);
}

/** The index that a split ring stands at after so many buffers. */
function expectBase(rig: VhostRig, taken: number): void {
  const { base } = rig.transmit;
  if (base !== (taken & 0xffff))
    throw new CaseFailure(`GET_VRING_BASE gives ${base} after ${taken} buffers were taken and returned`);
}

/** Has the peer send frames to the guest, where it can. @returns whether some came */
async function receiveSome(rig: VhostRig, count: number): Promise<boolean> {
  const { inject } = rig.target;
  rig.offerBuffers(count);
  if (inject === undefined) return (await rig.received(1, 200)).length > 0;
  const frame = new Uint8Array(1200).fill(0x5a);
  frame.fill(0xff, 0, 6);
  for (let n = 0; n < count; n++) await inject.call(rig.target, frame);
  const frames = await rig.received(count);
  if (frames.length < count)
    throw new CaseFailure(`of ${count} frames for the guest ${frames.length} arrived after 3 seconds`);
  return true;
}

const GENERAL: readonly VhostCase[] = [
  {
    id: 'negotiate',
    title: 'features are offered and accepted',
    run: (rig) => rig.negotiate(),
  },
  {
    id: 'transmit',
    title: 'a split ring carries frames, round and round',
    run: async (rig) => {
      await begin(rig);
      await sendAll(rig);
      await rig.stop();
      expectBase(rig, FRAMES);
    },
  },
  {
    id: 'transmit-ring-of-two',
    title: 'a split ring of two descriptors carries frames',
    rig: { ringSize: 2 },
    run: async (rig) => {
      await begin(rig);
      await sendAll(rig);
      await rig.stop();
      expectBase(rig, FRAMES);
    },
  },
  {
    id: 'transmit-packed',
    title: 'a packed ring carries frames',
    rig: { packed: true },
    run: async (rig) => {
      await begin(rig);
      await sendAll(rig);
      await rig.stop();
    },
  },
  {
    id: 'receive',
    title: 'frames arrive in receive buffers',
    run: async (rig) => {
      await begin(rig);
      if (!(await receiveSome(rig, 8)))
        throw new CaseSkipped('nobody on the other side of the back end sends frames');
      await rig.stop();
    },
  },
  {
    id: 'stop-start',
    title: 'rings that were stopped go on where they stood',
    run: async (rig) => {
      await begin(rig);
      await sendAll(rig, 10);
      await rig.stop();
      expectBase(rig, 10);
      if (rig.backend.interface === 'vdpa') return;
      await rig.start();
      await sendAll(rig, 10);
      await rig.stop();
      expectBase(rig, 20);
    },
  },
  {
    id: 'base-of-idle-ring',
    title: 'GET_VRING_BASE of a ring that never ran gives what was set',
    run: async (rig) => {
      await rig.negotiate();
      const { backend, transmit } = rig;
      await backend.setVringNum(transmit.index, transmit.size);
      await backend.setVringBase(transmit.index, 5);
      const base = await backend.getVringBase(transmit.index);
      if (base !== 5) throw new CaseFailure(`GET_VRING_BASE gives ${base} where SET_VRING_BASE has put 5`);
    },
  },
  {
    id: 'silent-when-stopped',
    title: 'a stopped ring changes no memory, whatever the driver does',
    run: async (rig) => {
      await begin(rig);
      await sendAll(rig, 4);
      await rig.stop();
      rig.memory.changes();
      for (let n = 0; n < 4; n++) rig.transmit.offerFrame(n);
      // A kick would start a ring of vhost-user again.
      if (rig.backend.interface !== 'user') rig.backend.kick(rig.transmit.index);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await rig.settle();
      const [first] = rig.memory.changes();
      if (first !== undefined)
        throw new CaseFailure(`page 0x${first[0].toString(16)} was written after the rings had stopped`);
    },
  },
];

const LOG: readonly VhostCase[] = [
  {
    id: 'log-transmit',
    title: 'the used ring of a transmit queue is logged',
    run: async (rig) => {
      await rig.negotiate();
      rig.needLog();
      await rig.start();
      await rig.startLog();
      await sendAll(rig);
      await rig.readLog(false);
      await sendAll(rig, 8);
      await rig.stop();
      await rig.readLog(true);
    },
  },
  {
    id: 'log-receive',
    title: 'receive buffers are logged, each page that was written',
    run: async (rig) => {
      await rig.negotiate();
      rig.needLog();
      await rig.start();
      await rig.startLog();
      const some = await receiveSome(rig, 12);
      await rig.stop();
      await rig.readLog(true);
      if (!some) throw new CaseSkipped('nobody on the other side of the back end sends frames');
    },
  },
  {
    id: 'log-off-again',
    title: 'logging is switched off and on again while rings run',
    run: async (rig) => {
      await rig.negotiate();
      rig.needLog();
      await rig.start();
      for (let round = 0; round < 3; round++) {
        await rig.startLog();
        await sendAll(rig, 8);
        await rig.settle();
        await rig.readLog(false);
        await rig.stopLog();
        await sendAll(rig, 8);
      }
      await rig.stop();
    },
  },
  {
    id: 'log-base-swap',
    title: 'a new log takes the place of the old one while rings run',
    run: async (rig) => {
      await rig.negotiate();
      rig.needLog();
      await rig.start();
      await rig.startLog();
      for (let round = 0; round < 4; round++) {
        await sendAll(rig, 8);
        await rig.swapLog();
      }
      await sendAll(rig, 8);
      await rig.stop();
      await rig.readLog(true);
    },
  },
];

const USER: readonly VhostCase[] = [
  {
    id: 'device-state',
    title: 'the state of a stopped back end is saved, and loaded into a new connection',
    interfaces: ['user'],
    run: async (rig) => {
      await rig.negotiate();
      rig.needProtocol(VHOST_USER_PROTOCOL_FEATURES.DEVICE_STATE, 'DEVICE_STATE');
      await rig.start();
      await sendAll(rig, 8);
      await rig.stop();
      const state = await rig.backend.saveState();
      await rig.backend.loadState(state);
      const again = await rig.backend.saveState();
      if (Buffer.compare(state, again) !== 0)
        throw new CaseFailure('what is saved after a load is not what was loaded');
    },
  },
  {
    id: 'disabled-ring',
    title: 'a ring that is started and disabled sends nothing',
    interfaces: ['user'],
    run: async (rig) => {
      await rig.negotiate();
      await rig.start();
      await sendAll(rig, 4);
      await rig.backend.setVringEnable(rig.transmit.index, false);
      await rig.settle();
      await rig.backend.setVringEnable(rig.transmit.index, true);
      await sendAll(rig, 4);
      await rig.stop();
    },
  },
];

const VDPA: readonly VhostCase[] = [
  {
    id: 'suspend-resume',
    title: 'a suspended device does nothing, and goes on after RESUME',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await begin(rig);
      rig.needBackendFeature(VHOST_BACKEND_FEATURES.SUSPEND, 'SUSPEND');
      await sendAll(rig, 8);
      await rig.backend.suspend();
      const base = await rig.backend.getVringBase(rig.transmit.index);
      if (base !== 8)
        throw new CaseFailure(`after 8 buffers GET_VRING_BASE of the suspended device gives ${base}`);
      rig.needBackendFeature(VHOST_BACKEND_FEATURES.RESUME, 'RESUME');
      await rig.backend.resume();
      await sendAll(rig, 8);
      await rig.stop();
    },
  },
  {
    id: 'status-shrinks',
    title: 'status bits are not taken away',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await begin(rig);
      await refused(() => rig.backend.setStatus(VIRTIO_STATUS.ACKNOWLEDGE), 'SET_STATUS with fewer bits');
    },
  },
  {
    id: 'features-after-ok',
    title: 'features are not changed after FEATURES_OK',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await begin(rig);
      await refused(() => rig.backend.setFeatures(rig.features), 'SET_FEATURES after FEATURES_OK');
    },
  },
  {
    id: 'base-while-running',
    title: 'the base of a running ring is not set',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await begin(rig);
      await refused(() => rig.backend.setVringBase(rig.transmit.index, 3), 'SET_VRING_BASE with DRIVER_OK');
    },
  },
];

const KERNEL: readonly VhostCase[] = [
  {
    id: 'second-owner',
    title: 'a second SET_OWNER is refused',
    interfaces: ['kernel'],
    run: async (rig) => {
      await rig.backend.setOwner();
      await refused(() => rig.backend.setOwner(), 'a second SET_OWNER');
    },
  },
  {
    id: 'no-owner',
    title: 'without an owner nothing is set up',
    interfaces: ['kernel'],
    run: (rig) => refused(() => rig.backend.setVringNum(0, 16), 'SET_VRING_NUM before SET_OWNER'),
  },
  {
    id: 'num-while-running',
    title: 'a ring with a backend keeps its size and base',
    interfaces: ['kernel'],
    run: async (rig) => {
      await begin(rig);
      const { index } = rig.transmit;
      await refused(() => rig.backend.setVringNum(index, 32), 'SET_VRING_NUM with a backend attached');
      await refused(() => rig.backend.setVringBase(index, 3), 'SET_VRING_BASE with a backend attached');
    },
  },
  {
    id: 'odd-sizes',
    title: 'ring sizes that are no power of two are refused',
    interfaces: ['kernel'],
    run: async (rig) => {
      await rig.backend.setOwner();
      for (const size of [0, 3, 0x10000])
        await refused(() => rig.backend.setVringNum(0, size), `SET_VRING_NUM ${size}`);
    },
  },
];

/** A request that must fail. @throws CaseFailure when it succeeds */
async function refused(request: () => unknown, words: string): Promise<void> {
  try {
    await request();
  } catch (error) {
    if (error instanceof Error && error.name === 'DeviceError') return;
    throw error;
  }
  throw new CaseFailure(`${words} succeeded`);
}

/** Every case, in the order in which they are run. */
export const VHOST_CASES: readonly VhostCase[] = [...GENERAL, ...LOG, ...USER, ...VDPA, ...KERNEL];
