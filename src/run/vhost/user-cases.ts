import { VHOST_USER_PROTOCOL_FEATURES } from '../../uapi/vhost-user.js';
import { begin, expectSilence, injectFrames, receiveSome, sendAll, type VhostCase } from './case.js';

/** Cases of vhost-user. */
export const USER_CASES: readonly VhostCase[] = [
  {
    id: 'device-state',
    title: 'the state of a stopped back end is saved, and loaded into a new connection, which goes on',
    interfaces: ['user'],
    run: async (rig) => {
      await rig.negotiate();
      rig.needProtocol(VHOST_USER_PROTOCOL_FEATURES.DEVICE_STATE, 'DEVICE_STATE');
      await rig.start();
      await sendAll(rig, 8);
      await rig.stop();
      const state = await rig.backend.saveState();
      const next = await rig.next();
      try {
        await next.negotiate();
        await next.backend.loadState(state);
        await next.start();
        await sendAll(next, 8);
        await next.stop();
        await next.backend.saveState();
      } finally {
        await next.close();
      }
    },
  },
  {
    id: 'no-kick-descriptor',
    title: 'a ring without a kick descriptor does nothing',
    interfaces: ['user'],
    run: async (rig) => {
      await rig.negotiate();
      for (const queue of rig.queues) await rig.setUp(queue);
      await rig.enable();
      rig.transmit.offerFrame(0);
      rig.memory.changes();
      await expectSilence(rig, 'by a ring that was given no kick descriptor');
    },
  },
  {
    id: 'disabled-ring',
    title: 'a receive ring that is disabled gets no frames, and gets them when it is enabled again',
    interfaces: ['user'],
    run: async (rig) => {
      await begin(rig);
      rig.needProtocolFeatures();
      const { index } = rig.receive;
      await rig.backend.setVringEnable(index, false);
      rig.offerBuffers(8);
      rig.memory.changes();
      const some = await injectFrames(rig, 2);
      await expectSilence(rig, 'by a ring that is disabled');
      await rig.backend.setVringEnable(index, true);
      if (some) await receiveSome(rig, 4);
      await sendAll(rig, 4);
      await rig.stop();
    },
  },
];
