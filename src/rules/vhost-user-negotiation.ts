import { vhostUserRequestShape } from '../machines/vhost-user-requests.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import {
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_FEATURES,
  type VhostUserProtocolFeature,
} from '../uapi/vhost-user.js';
import { featureBits, hasFeature, VIRTIO_FEATURES } from '../uapi/virtio.js';
import type { Rule } from './rule.js';
import { backEnd, FEATURES, PLAIN, PROTOCOL, protocolWord, word } from './vhost-user-example.js';
import { onRequests, withFacts } from './vhost-user-facts.js';

const b = backEnd();
const NO_PROTOCOL = FEATURES & ~featureBits(VHOST_USER_F_PROTOCOL_FEATURES);
const NO_LOG_ALL = FEATURES & ~featureBits(VHOST_FEATURES.LOG_ALL);
/** A connection of which the back end offers these features, as far as GET_FEATURES. */
const offering = (features: bigint) => [
  b.event('vhost_open'),
  b.event('vhost_offered', { features: word(features) }),
];

/** Names of the protocol features in a word; a bit without a name by its number. */
function protocolNames(features: bigint): string[] {
  const named = new Map<number, string>(
    Object.entries(VHOST_USER_PROTOCOL_FEATURES).map(([name, bit]) => [bit, name]),
  );
  return bitsOf(features).map((bit) => named.get(bit) ?? `bit ${bit}`);
}

const bitsOf = (features: bigint): number[] =>
  Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => hasFeature(features, bit));

/** A protocol feature that is of no use without others. */
function presupposes(
  feature: VhostUserProtocolFeature,
  needed: readonly VhostUserProtocolFeature[],
): Rule['device'] {
  return (view, scope) =>
    withFacts(view, (facts) => ({
      vhost_set_protocol_features: (event) => {
        if (!facts.hasProtocol(feature)) return;
        scope.check();
        const missing = needed.filter((each) => facts.hasProtocol(each) === false);
        if (missing.length > 0)
          scope.fail(event, `${feature} is acknowledged without ${missing.join(' and ')}`, [...needed]);
      },
    }));
}

/** Features, protocol features, and what may be asked with them. */
export const VHOST_USER_NEGOTIATION_RULES: readonly Rule[] = [
  {
    id: 'VHOST-USR-01',
    title: 'protocol features only where the back end has them',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/protocol-features',
    about:
      'GET_PROTOCOL_FEATURES and SET_PROTOCOL_FEATURES are legal only when the back end offers VHOST_USER_F_PROTOCOL_FEATURES (bit 30 of the virtio features).',
    causes:
      'The front end does not look at bit 30, or asks before GET_FEATURES and takes the answer for granted.',
    needs: [],
    refusal: {
      machine: 'vhost-user',
      event: /^PROTOCOL\./,
      alsoNeeds: ({ trace }) => (trace.kind === 'vhost_message' ? [] : ['vhost_offered']),
      message: ({ events }) =>
        `${events[0]!.endsWith('get') ? 'GET' : 'SET'}_PROTOCOL_FEATURES, and the back end does not offer bit 30`,
    },
    conformant: b.offer(),
    violating: [
      ...offering(NO_PROTOCOL),
      b.event('vhost_set_protocol_features', { features: protocolWord() }),
    ],
  },
  {
    id: 'VHOST-USR-02',
    title: 'bit 30 is acknowledged only when it is offered',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/features',
    about:
      'VHOST_USER_F_PROTOCOL_FEATURES in SET_FEATURES needs the bit in GET_FEATURES: a back end without it enables all rings with SET_FEATURES.',
    causes: 'The front end adds the bit to whatever the guest has acknowledged.',
    needs: ['vhost_offered', 'vhost_set_features'],
    refusal: {
      machine: 'vhost-user',
      event: /^ACK\./,
      message: () => 'SET_FEATURES with bit 30, which the back end does not offer',
    },
    conformant: [...b.offer(), b.features(PLAIN)],
    violating: [...offering(NO_PROTOCOL), b.features(PLAIN)],
  },
  {
    id: 'VHOST-USR-03',
    title: 'SET_VRING_ENABLE needs bit 30',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/protocol-features',
    about:
      'SET_VRING_ENABLE is for connections with bit 30. QEMU sends it before SET_FEATURES, once the bit is offered; where the bit is not offered, or left out of SET_FEATURES, rings are enabled without it.',
    causes: 'The front end enables rings by habit.',
    needs: ['vhost_offered'],
    refusal: {
      machine: 'vhost-user',
      event: /^ENABLE$/,
      message: ({ before }) =>
        `SET_VRING_ENABLE, and bit 30 is ${before.some((each) => / declined /.test(each)) ? 'left out of SET_FEATURES' : 'not offered'}`,
      alsoNeeds: ({ before }) =>
        before.some((each) => / declined /.test(each)) ? ['vhost_set_features'] : [],
    },
    conformant: [...b.offer(), b.enable(0), b.features(PLAIN), b.enable(0, false)],
    violating: [...b.offer(), b.features(NO_PROTOCOL), b.enable(0)],
  },
  {
    id: 'VHOST-USR-04',
    title: 'LOG_ALL is acknowledged only when it is offered',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/features',
    about: 'VHOST_F_LOG_ALL in SET_FEATURES needs the bit in GET_FEATURES: another back end marks nothing.',
    causes: 'The front end migrates with a back end that has no dirty log.',
    needs: ['vhost_offered', 'vhost_set_features'],
    device: (view, scope) =>
      withFacts(view, (facts) => ({
        vhost_set_features: (event) => {
          if (!facts.logAll || facts.offered === undefined) return;
          scope.check();
          if (!hasFeature(facts.offered, VHOST_FEATURES.LOG_ALL))
            scope.fail(event, 'SET_FEATURES with VHOST_F_LOG_ALL, which the back end does not offer');
        },
      })),
    conformant: [...b.offer(), b.log(), b.features(FEATURES)],
    violating: [...b.offer(NO_LOG_ALL), b.log(), b.features(FEATURES)],
  },
  {
    id: 'VHOST-USR-05',
    title: 'features are acknowledged out of those that are offered',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/features',
    about: 'SET_FEATURES has no bit that GET_FEATURES of the same connection has not.',
    causes:
      'The features that the guest has acknowledged come from another back end: the one before a reconnection, or that of the source.',
    needs: ['vhost_offered', 'vhost_set_features'],
    device: (view, scope) =>
      withFacts(view, (facts) => ({
        vhost_set_features: (event) => {
          if (facts.acked === undefined || facts.offered === undefined) return;
          scope.check();
          const own = featureBits(VHOST_FEATURES.LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES);
          const beyond = facts.acked & ~facts.offered & ~own;
          if (beyond !== 0n)
            scope.fail(event, `SET_FEATURES with bits that are not offered: ${bitsOf(beyond).join(', ')}`);
        },
      })),
    conformant: [...b.offer(), b.features(PLAIN)],
    violating: [...b.offer(), b.features(PLAIN | featureBits(VIRTIO_FEATURES.RING_PACKED))],
  },
  {
    id: 'VHOST-USR-06',
    title: 'protocol features are acknowledged out of those that are offered',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/protocol-features',
    about: 'SET_PROTOCOL_FEATURES has no bit that GET_PROTOCOL_FEATURES of the same connection has not.',
    causes: 'The front end acknowledges all that it knows.',
    needs: ['vhost_offered', 'vhost_set_protocol_features'],
    device: (view, scope) =>
      withFacts(view, (facts) => ({
        vhost_set_protocol_features: (event) => {
          if (facts.protocolAcked === undefined || facts.protocolOffered === undefined) return;
          scope.check();
          const beyond = facts.protocolAcked & ~facts.protocolOffered;
          if (beyond !== 0n)
            scope.fail(
              event,
              `SET_PROTOCOL_FEATURES with features that are not offered: ${protocolNames(beyond).join(', ')}`,
            );
        },
      })),
    conformant: b.offer(),
    violating: [
      ...b.offer(),
      b.event('vhost_set_protocol_features', { features: protocolWord(...PROTOCOL, 'STATUS') }),
    ],
  },
  {
    id: 'VHOST-USR-07',
    title: 'the offered features stay',
    party: 'driver',
    level: 'note',
    clause: 'vhost-user/features',
    about:
      'A back end offers the same features for as long as a connection lasts: a front end reads them more than once, and may keep either answer.',
    causes: 'What the back end offers depends on what was asked of it before.',
    needs: ['vhost_offered'],
    device: (view, scope) => {
      let first: bigint | undefined;
      const anew = () => {
        first = undefined;
      };
      return withFacts(view, (facts) => ({
        vhost_open: anew,
        vhost_close: anew,
        vhost_offered: (event) => {
          if (event.features === undefined) return;
          if (first !== undefined) scope.check();
          if (first !== undefined && first !== facts.offered)
            scope.fail(event, `the back end offers ${word(facts.offered!)}, and ${word(first)} before`);
          first ??= facts.offered;
        },
      }));
    },
    conformant: [...b.offer(), b.event('vhost_offered', { features: word(FEATURES) })],
    violating: [...b.offer(), b.event('vhost_offered', { features: word(NO_LOG_ALL) })],
  },
  {
    id: 'VHOST-USR-08',
    title: 'SEND_RARP needs RARP',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/rarp',
    about: 'SEND_RARP is legal only when the back end offers the protocol feature RARP.',
    causes: 'The front end announces the guest over whatever back end there is.',
    needs: ['vhost_offered'],
    device: (view, scope) =>
      withFacts(view, (facts) =>
        onRequests((request, event) => {
          if (request !== 'SEND_RARP') return;
          const offers = facts.offersProtocol('RARP');
          if (offers === undefined) return;
          scope.check();
          if (!offers) scope.fail(event, 'SEND_RARP, and the back end does not offer RARP');
        }),
      ),
    conformant: [...b.started(), b.event('vhost_rarp')],
    violating: [...b.started(['REPLY_ACK']), b.event('vhost_rarp')],
  },
  {
    id: 'VHOST-USR-09',
    title: 'what needs a protocol feature is sent only with it',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/protocol-features',
    about:
      'Requests for device state, configuration, status, in-flight regions, memory slots, post-copy, resets, in-band kicks and others are legal only with their protocol feature.',
    causes: 'The front end does not look at what was negotiated; or a reconnected back end offers less.',
    needs: ['vhost_offered'],
    device: (view, scope) =>
      withFacts(view, (facts) =>
        onRequests((request, event) => {
          const { feature, offered } = vhostUserRequestShape(request)!;
          if (feature === undefined || feature === 'RARP') return;
          const known = facts.hasProtocol(feature);
          const there = known || (offered && facts.offersProtocol(feature) !== false) ? true : known;
          if (there === undefined) return;
          scope.check();
          if (!there) scope.fail(event, `${request} needs the protocol feature ${feature}`, [feature]);
        }),
      ),
    conformant: [...b.started(), b.stop(), b.stateFd('save'), b.stateEnd(), b.check()],
    violating: [...b.started(['REPLY_ACK']), b.stop(), b.stateFd('save'), b.stateEnd(), b.check()],
  },
  {
    id: 'VHOST-USR-10',
    title: 'in-band notifications need their return path',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/inband',
    about: 'INBAND_NOTIFICATIONS is acknowledged only together with BACKEND_REQ and REPLY_ACK.',
    causes: 'The front end acknowledges bit by bit.',
    needs: ['vhost_set_protocol_features'],
    device: presupposes('INBAND_NOTIFICATIONS', ['BACKEND_REQ', 'REPLY_ACK']),
    conformant: b.offer(FEATURES, ['REPLY_ACK', 'BACKEND_REQ', 'INBAND_NOTIFICATIONS']),
    violating: b.offer(FEATURES, ['REPLY_ACK', 'INBAND_NOTIFICATIONS']),
  },
  {
    id: 'VHOST-USR-11',
    title: 'stopping with requests in flight needs their record',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/inflight',
    about:
      'GET_VRING_BASE_INFLIGHT lets a back end stop with requests in flight, which have to be recorded: it needs INFLIGHT_SHMFD.',
    causes: 'The front end acknowledges bit by bit.',
    needs: ['vhost_set_protocol_features'],
    device: presupposes('GET_VRING_BASE_INFLIGHT', ['INFLIGHT_SHMFD']),
    conformant: b.offer(FEATURES, ['INFLIGHT_SHMFD', 'GET_VRING_BASE_INFLIGHT']),
    violating: b.offer(FEATURES, ['GET_VRING_BASE_INFLIGHT']),
  },
  {
    id: 'VHOST-USR-12',
    title: 'IOTLB messages need ACCESS_PLATFORM',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/iotlb',
    about: 'IOTLB messages are sent only when VIRTIO_F_ACCESS_PLATFORM is negotiated.',
    causes: 'The front end has an IOMMU, and the guest does not use it for this device.',
    needs: ['vhost_set_features'],
    device: (view, scope) =>
      withFacts(view, (facts) =>
        onRequests((request, event) => {
          const has = facts.has(VIRTIO_FEATURES.ACCESS_PLATFORM);
          if (request !== 'IOTLB_MSG' || has === undefined) return;
          scope.check();
          if (!has) scope.fail(event, 'an IOTLB message, and ACCESS_PLATFORM is not negotiated');
        }),
      ),
    conformant: [
      ...b.offer(FEATURES | featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM)),
      b.features(PLAIN | featureBits(VIRTIO_FEATURES.ACCESS_PLATFORM)),
      b.event('vhost_iotlb', { type: 'update' }),
    ],
    violating: [...b.started(), b.event('vhost_iotlb', { type: 'update' })],
  },
  {
    id: 'VHOST-USR-13',
    title: 'SET_OWNER comes before memory',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/owner',
    about:
      'SET_OWNER makes the sender the owner of the session. QEMU sends it before anything is set up; kernel vhost refuses everything without it.',
    causes: 'The front end leaves the request out, as many back ends ignore it.',
    needs: [],
    refusal: {
      machine: 'vhost-user',
      event: /^MEM$/,
      alsoNeeds: ({ trace }) => (trace.kind === 'vhost_message' ? [] : ['vhost_set_owner']),
      message: () => 'guest memory is given before SET_OWNER',
    },
    conformant: [...b.offer(), b.table()],
    violating: [
      b.event('vhost_open'),
      b.event('vhost_offered', { features: word(FEATURES) }),
      b.table(),
      b.event('vhost_set_owner'),
    ],
  },
  {
    id: 'VHOST-USR-14',
    title: 'RESET_OWNER is deprecated',
    party: 'vmm',
    level: 'note',
    clause: 'vhost-user/owner',
    about:
      'RESET_OWNER is deprecated: back ends ignore it or disable all rings. GET_VRING_BASE stops rings, RESET_DEVICE resets.',
    causes: 'A front end of before the deprecation.',
    needs: [],
    device: (view, scope) =>
      withFacts(view, () =>
        onRequests((request, event) => {
          scope.check();
          if (request === 'RESET_OWNER') scope.fail(event, 'RESET_OWNER is deprecated');
        }),
      ),
    conformant: b.offer(),
    violating: [...b.offer(), b.event('vhost_reset_owner')],
  },
];
