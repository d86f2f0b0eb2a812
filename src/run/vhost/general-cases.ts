import { begin, expectBase, expectSilence, FRAMES, receiveSome, sendAll, type VhostCase } from './case.js';
import { CaseFailure, CaseSkipped } from './rig.js';

/** Cases of every interface. */
export const GENERAL_CASES: readonly VhostCase[] = [
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
      rig.offerBuffers(8);
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
      await expectSilence(rig, 'after the rings had stopped');
    },
  },
];
