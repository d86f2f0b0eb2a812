import { hasFeature } from '../../uapi/virtio.js';
import { begin, refused, type VhostCase } from './case.js';

/** Cases of kernel vhost. */
export const KERNEL_CASES: readonly VhostCase[] = [
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
  {
    id: 'unoffered-feature',
    title: 'a feature that is not offered is refused',
    interfaces: ['kernel'],
    run: async (rig) => {
      await rig.negotiate();
      for (let bit = 63; bit >= 0; bit--) {
        if (hasFeature(rig.offered, bit)) continue;
        const asked = rig.features | (1n << BigInt(bit));
        await refused(() => rig.backend.setFeatures(asked), `SET_FEATURES with bit ${bit}, not offered,`);
        return;
      }
    },
  },
];
