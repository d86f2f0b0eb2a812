import { VHOST_BACKEND_FEATURES } from '../../uapi/vhost.js';
import { VIRTIO_STATUS } from '../../uapi/virtio.js';
import { begin, expectSilence, refused, sendAll, type VhostCase } from './case.js';
import { CaseFailure, type VhostRig } from './rig.js';

const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
const WORKS = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

/** The device's status is what was written. @throws CaseFailure */
async function expectStatus(rig: VhostRig, written: number): Promise<void> {
  const status = await rig.backend.getStatus();
  if ((status & WORKS) !== written)
    throw new CaseFailure(
      `GET_STATUS gives 0x${status.toString(16)} after 0x${written.toString(16)} was set`,
    );
}

/** Cases of vhost-vdpa. */
export const VDPA_CASES: readonly VhostCase[] = [
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
      rig.memory.changes();
      rig.offerFrames(4);
      await expectSilence(rig, 'by a device that is suspended');
      await rig.backend.resume();
      const done = await rig.used(4);
      if (done < 4)
        throw new CaseFailure(`of 4 frames that waited for RESUME ${done} were used: their kick is lost`);
      await sendAll(rig, 8);
      await rig.stop();
    },
  },
  {
    id: 'before-driver-ok',
    title: 'rings do nothing before DRIVER_OK',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await rig.negotiate();
      for (const queue of rig.queues) await rig.attach(queue);
      for (const { index } of rig.queues) await rig.backend.setVringEnable(index, true);
      rig.memory.changes();
      rig.offerFrames(4);
      await expectSilence(rig, 'before DRIVER_OK');
      await rig.backend.setStatus(WORKS);
      rig.backend.kick(rig.transmit.index);
      await rig.used(4);
      await sendAll(rig, 4);
    },
  },
  {
    id: 'not-enabled',
    title: 'a ring that is not enabled does nothing',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await rig.negotiate();
      for (const queue of rig.queues) await rig.attach(queue);
      await rig.backend.setVringEnable(rig.receive.index, true);
      await rig.backend.setStatus(WORKS);
      await rig.settle();
      rig.memory.changes();
      rig.offerFrames(4);
      await expectSilence(rig, 'by a ring that is not enabled');
    },
  },
  {
    id: 'reset-ends-rings',
    title: 'a reset takes the status to 0, and the rings away',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await begin(rig);
      await sendAll(rig, 4);
      await rig.backend.setStatus(0);
      await expectStatus(rig, 0);
      rig.memory.changes();
      await rig.backend.setStatus(ACKNOWLEDGE | DRIVER);
      await rig.backend.setFeatures(rig.features);
      await rig.backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
      await rig.backend.setStatus(WORKS);
      rig.offerFrames(4);
      await expectSilence(rig, 'by a ring of before the reset');
    },
  },
  {
    id: 'status-read',
    title: 'status bits that were set are read back',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await begin(rig);
      await expectStatus(rig, WORKS);
      await sendAll(rig, 4);
      await expectStatus(rig, WORKS);
    },
  },
  {
    id: 'status-shrinks',
    title: 'status bits are not taken away',
    interfaces: ['vdpa'],
    run: async (rig) => {
      await begin(rig);
      await refused(() => rig.backend.setStatus(ACKNOWLEDGE), 'SET_STATUS with fewer bits');
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
