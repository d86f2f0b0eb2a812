import type { EventKind, EventOf } from '../trace/event.js';
import { ERRNO, errnoName } from '../uapi/errno.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import { VIRTIO_FEATURES } from '../uapi/virtio.js';
import type { Rule, Watch } from './rule.js';
import { backEndOf, LOGGED, OFFERED, PLAIN, word } from './vhost-example.js';
import { Attached, driver, takenWhileRunning } from './vhost-kernel-watch.js';

const k = backEndOf();

/** Requests about features, held against what is offered. */
function onFeatures(
  look: (event: EventOf<'vhost_set_features'>, set: bigint, offered: bigint, running: boolean) => void,
): Watch {
  let offered: bigint | undefined;
  const { rings, watch } = new Attached();
  return {
    ...watch,
    vhost_open: () => {
      rings.clear();
      offered = undefined;
    },
    vhost_offered: ({ features, errno }) => {
      if (!errno && features !== undefined) offered = BigInt(features);
    },
    vhost_set_features: (event) => {
      if (event.interface !== 'kernel' || event.errno === undefined) return;
      if (event.features !== undefined && offered !== undefined)
        look(event, BigInt(event.features), offered, rings.size > 0);
    },
  };
}

const FEATURE_KINDS: readonly EventKind[] = ['vhost_offered', 'vhost_set_features'];

const FEATURES: readonly Rule[] = [
  driver({
    id: 'VHOST-KRN-11',
    title: 'features that are not offered are refused',
    clause: 'vhost/features',
    about: 'SET_FEATURES with a bit that GET_FEATURES does not have gives EOPNOTSUPP.',
    causes: 'Unknown bits are masked off in silence: the driver of the guest believes in them.',
    needs: FEATURE_KINDS,
    device: (_view, scope) =>
      onFeatures((event, set, offered) => {
        const unknown = set & ~offered;
        scope.check();
        if (unknown !== 0n && event.errno === 0)
          scope.fail(event, `SET_FEATURES took 0x${unknown.toString(16)}, which is not offered`, [
            'EOPNOTSUPP',
          ]);
      }),
    conformant: [
      ...k.setUp(),
      k.features(word(VIRTIO_FEATURES.RING_PACKED), 'EOPNOTSUPP'),
      k.features(OFFERED),
    ],
    violating: [...k.setUp(), k.features(word(VIRTIO_FEATURES.RING_PACKED))],
  }),
  driver({
    id: 'VHOST-KRN-12',
    title: 'features that are offered are supported',
    clause: 'vhost/features',
    about: 'SET_FEATURES with a subset of what GET_FEATURES has is not answered with EOPNOTSUPP.',
    causes: 'The list that is offered and the one that is checked are two.',
    needs: FEATURE_KINDS,
    device: (_view, scope) =>
      onFeatures((event, set, offered) => {
        if ((set & ~offered) !== 0n) return;
        scope.check();
        if (event.errno === ERRNO.EOPNOTSUPP)
          scope.fail(event, `SET_FEATURES with 0x${set.toString(16)}, all of it offered, is not supported`, [
            '0',
          ]);
      }),
    conformant: k.setUp(),
    violating: [...k.setUp(), k.features(LOGGED, 'EOPNOTSUPP')],
  }),
  driver({
    id: 'VHOST-KRN-13',
    title: 'the log can be switched while rings run',
    clause: 'vhost/features',
    about:
      'Every driver that offers VHOST_F_LOG_ALL takes SET_FEATURES that differs in this bit only, also while rings have their backends: a migration begins under way.',
    causes: 'Features are locked once the device runs.',
    needs: [...FEATURE_KINDS, 'vring_backend'],
    device: (_view, scope) => {
      let before: bigint | undefined;
      return onFeatures((event, set, _offered, running) => {
        const last = before;
        if (event.errno === 0) before = set;
        if (!running || last === undefined || (last ^ set) !== 1n << BigInt(VHOST_FEATURES.LOG_ALL)) return;
        scope.check();
        if (event.errno === ERRNO.EBUSY)
          scope.fail(event, 'VHOST_F_LOG_ALL cannot be switched while a ring has its backend: EBUSY', ['0']);
      });
    },
    conformant: [...k.started(), ...k.logOn()],
    violating: [...k.started(), k.log(), k.features(LOGGED, 'EBUSY')],
  }),
];

const LOG: readonly Rule[] = [
  driver({
    id: 'VHOST-KRN-14',
    title: 'the log can be replaced while rings run',
    clause: 'vhost/log-base',
    about:
      'SET_LOG_BASE is taken at run time: a log begins under way, and grows with memory. EBUSY is no answer to it.',
    causes: 'The request is refused like those about the size and the base of a ring.',
    needs: ['vhost_log_base', 'vring_backend'],
    device: takenWhileRunning('vhost_log_base', 'SET_LOG_BASE'),
    conformant: [...k.started(), k.log(), k.log()],
    violating: [...k.started(), k.log(undefined, 'EBUSY')],
  }),
  driver({
    id: 'VHOST-KRN-15',
    title: 'the log can be switched off',
    clause: 'vhost/features',
    about:
      'SET_FEATURES that takes VHOST_F_LOG_ALL away, and nothing else, succeeds: no log is needed for it.',
    causes: 'The check of the log is made for the features before the change, or for both.',
    needs: FEATURE_KINDS,
    device: (_view, scope) => {
      let before: bigint | undefined;
      const bit = 1n << BigInt(VHOST_FEATURES.LOG_ALL);
      return onFeatures((event, set) => {
        const last = before;
        if (event.errno === 0) before = set;
        if (last === undefined || (last & ~set) !== bit || (set & ~last) !== 0n) return;
        scope.check();
        if (event.errno)
          scope.fail(event, `SET_FEATURES without VHOST_F_LOG_ALL gives ${errnoName(event.errno)}`, ['0']);
      });
    },
    conformant: [...k.started(), ...k.logOn(), k.features(PLAIN)],
    violating: [...k.started(), ...k.logOn(), k.features(PLAIN, 'EFAULT')],
  }),
];

/** Features of kernel vhost, and its log. */
export const VHOST_KERNEL_FEATURE_RULES: readonly Rule[] = [...FEATURES, ...LOG];
