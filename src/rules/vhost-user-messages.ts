import {
  type Bounds,
  VHOST_USER_U64,
  vhostUserRequestShape,
  vhostUserTableRegions,
} from '../machines/vhost-user-requests.js';
import type { EventOf } from '../trace/event.js';
import { VhostUserLog } from '../uapi/vhost-user.js';
import type { Rule, Scope } from './rule.js';
import { backEnd } from './vhost-user-example.js';
import { type VhostUserFacts, withFacts } from './vhost-user-facts.js';

const b = backEnd();

type Message = EventOf<'vhost_message'>;
type Reply = (event: Message, facts: VhostUserFacts, scope: Scope) => void;

const within = (value: number, [least, most]: Bounds): boolean => value >= least && value <= most;
const boundsText = ([least, most]: Bounds): string =>
  least === most
    ? `${least}`
    : most === Number.MAX_SAFE_INTEGER
      ? `at least ${least}`
      : `${least} to ${most}`;

/** A rule about single requests of the front end. */
const ofRequests =
  (judge: Reply): Rule['device'] =>
  (view, scope) =>
    withFacts(view, (facts) => ({
      vhost_message: (event) => {
        if (event.from === 'front_end' && !event.reply) judge(event, facts, scope);
      },
    }));

/** A rule about single replies of the back end. */
const ofReplies =
  (judge: Reply): Rule['device'] =>
  (view, scope) =>
    withFacts(view, (facts) => ({
      vhost_message: (event) => {
        if (event.from === 'back_end' && event.reply) judge(event, facts, scope);
      },
    }));

/** In post-copy memory requests are answered with the table, and the front end acknowledges that. */
const memoryInPostcopy = (event: Message, facts: VhostUserFacts): boolean =>
  facts.postcopy && (event.request === 'SET_MEM_TABLE' || event.request === 'ADD_MEM_REG');

/** How many descriptors a request comes with: by its payload, or by the table. */
function descriptors(event: Message): Bounds[] {
  const { fds } = vhostUserRequestShape(event.request)!;
  if (event.request === 'SET_MEM_TABLE')
    return event.size === undefined ? [] : vhostUserTableRegions(event.size).map((n) => [n, n]);
  if (/^SET_VRING_(KICK|CALL|ERR)$/.test(`${event.request}`))
    return event.noFd === undefined ? [] : [event.noFd ? [0, 0] : fds];
  return [fds];
}

/** Whether the front end waits for an answer to a request; undefined: what was negotiated is not known. */
function answered(event: Message, facts: VhostUserFacts): boolean | undefined {
  if (memoryInPostcopy(event, facts)) return undefined;
  const shape = vhostUserRequestShape(event.request);
  if (!shape || shape.reply === 'unsure') return undefined;
  if (shape.reply === 'own') return true;
  const byAck = event.needReply ? facts.hasProtocol('REPLY_ACK') : event.needReply;
  if (shape.reply !== 'log') return byAck;
  const byLog = facts.hasProtocol('LOG_SHMFD');
  return byLog || byAck ? true : byLog === undefined || byAck === undefined ? undefined : false;
}

interface Waiting {
  readonly event: Message;
  /** The answer has to come, or only may. */
  readonly must: boolean;
}

/** Follows requests and answers; `odd` is told what does not fit. */
function conversation(
  rule: (scope: Scope) => {
    /** The oldest requests got no answer, and a later one has. */
    overtaken?: (event: Message, waiting: readonly Waiting[]) => void;
    /** No request waits for such an answer. */
    unasked?: (event: Message, waiting: readonly Waiting[]) => void;
    closed?: (event: EventOf<'vhost_close'>, waiting: readonly Waiting[]) => void;
    inOrder?: () => void;
  },
): Rule['device'] {
  return (view, scope) => {
    const { overtaken, unasked, closed, inOrder } = rule(scope);
    let waiting: Waiting[] = [];
    /** A reply to a request from before the trace says nothing. */
    let begun = false;
    const take = (event: Message) => {
      const at = waiting.findIndex((each) => each.event.request === event.request);
      if (at < 0) {
        if (begun) unasked?.(event, waiting);
        return;
      }
      const missing = waiting.slice(0, at).filter(({ must }) => must);
      inOrder?.();
      if (missing.length > 0) overtaken?.(event, missing);
      waiting = waiting.slice(at + 1);
    };
    return withFacts(view, (facts) => ({
      vhost_open: () => {
        waiting = [];
        begun = true;
      },
      vhost_close: (event) => {
        closed?.(
          event,
          waiting.filter(({ must }) => must),
        );
        waiting = [];
      },
      vhost_message: (event) => {
        if (event.from === 'back_end') {
          if (event.reply) take(event);
          return;
        }
        if (event.reply) return;
        const must = answered(event, facts);
        if (must !== false) waiting = [...waiting.slice(-63), { event, must: must === true }];
        // SET_OWNER stands at the beginning of a session.
        begun ||= facts.opened || event.request === 'SET_OWNER';
      },
    }));
  };
}

const names = (waiting: readonly Waiting[]): string => waiting.map(({ event }) => event.request).join(', ');
/** Microseconds after which a front end that gives up has waited, and did not die on the way. */
const PATIENCE = 1_000_000;

/** Form of requests and replies. */
export const VHOST_USER_MESSAGE_RULES: readonly Rule[] = [
  {
    id: 'VHOST-USR-20',
    title: 'a request comes with its descriptors',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/message',
    about:
      'Each request comes with the descriptors that its text says: one for a kick, unless its payload says that there is none, one for each region of a memory table, none for most.',
    causes:
      'Descriptors are sent with a part of the message, or forgotten, or those of the message before are sent again.',
    needs: ['vhost_message'],
    device: ofRequests((event, facts, scope) => {
      const shape = vhostUserRequestShape(event.request);
      if (!shape || event.fds === undefined || event.request === 'SET_LOG_BASE') return;
      if (memoryInPostcopy(event, facts)) return;
      const allowed = descriptors(event);
      if (allowed.length === 0) return;
      scope.check();
      if (!allowed.some((bounds) => within(event.fds!, bounds)))
        scope.fail(event, `${event.request} came with ${event.fds} descriptors`, allowed.map(boundsText));
    }),
    conformant: [
      ...b.offer(),
      b.asks('SET_VRING_CALL', { fds: 1, noFd: false }),
      b.asks('SET_MEM_TABLE', { size: 40, fds: 1 }),
    ],
    violating: [...b.offer(), b.asks('SET_MEM_TABLE', { size: 72, fds: 1 })],
  },
  {
    id: 'VHOST-USR-21',
    title: 'a request has the payload of its kind',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/message',
    about: 'The payload of each request has the size that its text says.',
    causes: 'A struct with other padding, or with the fields of another version.',
    needs: ['vhost_message'],
    device: ofRequests((event, facts, scope) => {
      const bounds = vhostUserRequestShape(event.request)?.payload;
      if (!bounds || event.size === undefined || memoryInPostcopy(event, facts)) return;
      scope.check();
      const odd = event.request === 'SET_MEM_TABLE' && vhostUserTableRegions(event.size).length === 0;
      if (odd || !within(event.size, bounds))
        scope.fail(event, `${event.request} has a payload of ${event.size} bytes`, [boundsText(bounds)]);
    }),
    conformant: [...b.offer(), b.asks('SET_VRING_NUM'), b.asks('GET_FEATURES'), b.answers('GET_FEATURES')],
    violating: [...b.offer(), b.asks('SET_VRING_NUM', { size: 12 })],
  },
  {
    id: 'VHOST-USR-22',
    title: 'the shared log comes with its descriptor and its size',
    party: 'vmm',
    level: 'must',
    clause: 'vhost-user/log',
    about: 'With LOG_SHMFD, SET_LOG_BASE has one descriptor and 16 bytes: size and offset of the log.',
    causes: 'The log is memory of the front end that nobody else can map.',
    needs: ['vhost_message', 'vhost_set_protocol_features'],
    device: ofRequests((event, facts, scope) => {
      if (event.request !== 'SET_LOG_BASE' || !facts.hasProtocol('LOG_SHMFD')) return;
      scope.check();
      if (event.fds !== undefined && event.fds !== 1)
        scope.fail(event, `SET_LOG_BASE came with ${event.fds} descriptors`, ['1']);
      else if (event.size !== undefined && event.size !== VhostUserLog.size)
        scope.fail(event, `SET_LOG_BASE has a payload of ${event.size} bytes`, [`${VhostUserLog.size}`]);
    }),
    conformant: [...b.offer(), b.asks('SET_LOG_BASE', { size: 16, fds: 1 }), b.answers('SET_LOG_BASE')],
    violating: [...b.offer(), b.asks('SET_LOG_BASE', { size: 16, fds: 0 })],
  },
  {
    id: 'VHOST-USR-23',
    title: 'need_reply is for REPLY_ACK',
    party: 'vmm',
    level: 'should',
    clause: 'vhost-user/reply-ack',
    about:
      'need_reply has a meaning only with REPLY_ACK, and none for a request that has a reply of its own: a back end without the feature does not answer, and a front end that waits does so for ever. QEMU sets it in post-copy and IOTLB requests regardless, which is not counted.',
    causes: 'The flag is set by what the request is, not by what was negotiated.',
    needs: ['vhost_message', 'vhost_set_protocol_features'],
    device: ofRequests((event, facts, scope) => {
      const shape = vhostUserRequestShape(event.request);
      if (!event.needReply || shape?.reply === 'own' || event.request === 'POSTCOPY_LISTEN') return;
      const known = facts.hasProtocol('REPLY_ACK');
      if (known === undefined) return;
      scope.check();
      if (!known) scope.fail(event, `${event.request} with need_reply, and REPLY_ACK is not negotiated`);
    }),
    conformant: [...b.offer(), b.asks('SET_FEATURES', { needReply: true }), b.answers('SET_FEATURES')],
    violating: [...b.offer(undefined, ['LOG_SHMFD']), b.asks('SET_FEATURES', { needReply: true })],
  },
  {
    id: 'VHOST-USR-24',
    title: 'replies come in the order of the requests',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/replies',
    about:
      'There is no message id: the next reply belongs to the oldest request that waits for one. A request that has a reply, or asks for one under REPLY_ACK, gets it before any later one does.',
    causes:
      'The back end forgets need_reply on one of its paths, or on SET_LOG_BASE; or it answers from several threads.',
    needs: ['vhost_message'],
    device: conversation((scope) => ({
      inOrder: () => scope.check(),
      overtaken: (event, missing) =>
        scope.fail(event, `${event.request} is answered, and ${names(missing)} was not`, [
          `a reply to ${missing[0]!.event.request}`,
        ]),
    })),
    conformant: [...b.offer(), b.asks('SET_FEATURES', { needReply: true }), b.answers('SET_FEATURES')],
    violating: [
      ...b.offer(),
      b.asks('SET_FEATURES', { needReply: true }),
      b.asks('GET_FEATURES'),
      b.answers('GET_FEATURES'),
    ],
  },
  {
    id: 'VHOST-USR-25',
    title: 'a reply is to a request that waits for one',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/replies',
    about:
      'A reply names the request that it answers. A request without a reply of its own is answered only when it carries need_reply and REPLY_ACK is negotiated.',
    causes:
      'The back end acknowledges what nobody asked it to, so that every reply after it is taken for another; or it does not echo the request.',
    needs: ['vhost_message'],
    device: conversation((scope) => ({
      inOrder: () => scope.check(),
      unasked: (event, waiting) =>
        scope.fail(
          event,
          `a reply to ${event.request}, ${waiting.length > 0 ? `where ${names(waiting)} waits for one` : 'which no request waits for'}`,
          waiting.slice(0, 1).map((each) => `a reply to ${each.event.request}`),
        ),
    })),
    conformant: [...b.offer(), b.asks('GET_FEATURES'), b.answers('GET_FEATURES')],
    violating: [...b.offer(), b.asks('GET_FEATURES'), b.answers('GET_VRING_BASE')],
  },
  {
    id: 'VHOST-USR-26',
    title: 'a request that waits for a reply gets one',
    party: 'driver',
    level: 'should',
    clause: 'vhost-user/replies',
    about: 'A front end that gives up after waiting for a reply for a second and more has waited in vain.',
    causes:
      'The back end forgets the reply, or is stuck: GET_VRING_BASE waits for a request that never completes.',
    needs: ['vhost_message', 'vhost_close'],
    device: conversation((scope) => ({
      inOrder: () => scope.check(),
      closed: (event, missing) => {
        const last = missing.at(-1)?.event;
        if (!last || event.lost || event.t === undefined || last.t === undefined) return;
        if (event.t - last.t >= PATIENCE)
          scope.fail(event, `the connection was closed while ${names(missing)} waited for a reply`);
      },
    })),
    conformant: [
      ...b.offer(),
      b.asks('GET_VRING_BASE', { t: 1 }),
      b.answers('GET_VRING_BASE', { t: 2 }),
      b.event('vhost_close', { t: 9_000_000 }),
    ],
    violating: [...b.offer(), b.asks('GET_VRING_BASE', { t: 1 }), b.event('vhost_close', { t: 9_000_000 })],
  },
  {
    id: 'VHOST-USR-27',
    title: 'a reply carries the reply flag',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/replies',
    about:
      'The header of a reply has the reply flag: without it the front end takes the message for a request.',
    causes: 'The back end sends the header of the request back as it came.',
    needs: ['vhost_message'],
    device: (view, scope) => {
      let asked: Message['request'] | undefined;
      return withFacts(view, (facts) => ({
        vhost_message: (event) => {
          if (event.from === 'front_end') {
            asked = !event.reply && answered(event, facts) ? event.request : undefined;
            return;
          }
          if (asked === undefined) return;
          scope.check();
          if (!event.reply && event.request === asked)
            scope.fail(event, `the answer to ${asked} has no reply flag`);
          asked = undefined;
        },
      }));
    },
    conformant: [...b.offer(), b.asks('GET_FEATURES'), b.answers('GET_FEATURES')],
    violating: [...b.offer(), b.asks('GET_FEATURES'), b.answers('GET_FEATURES', { reply: false })],
  },
  {
    id: 'VHOST-USR-28',
    title: 'a reply has the payload of its kind',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/message',
    about:
      'A reply has the size that the text says for its request; an acknowledgement is a u64. The reply to SET_LOG_BASE may carry anything.',
    causes: 'The back end sends the payload of the request back, or a shorter word.',
    needs: ['vhost_message'],
    device: ofReplies((event, facts, scope) => {
      const shape = vhostUserRequestShape(event.request);
      if (!shape || event.size === undefined || memoryInPostcopy(event, facts)) return;
      if (shape.reply === 'log' || shape.reply === 'unsure') return;
      const bounds = shape.reply === 'ack' ? VHOST_USER_U64 : shape.replyPayload;
      if (!bounds) return;
      scope.check();
      if (!within(event.size, bounds))
        scope.fail(event, `the reply to ${event.request} has a payload of ${event.size} bytes`, [
          boundsText(bounds),
        ]);
    }),
    conformant: [...b.offer(), b.asks('GET_FEATURES'), b.answers('GET_FEATURES')],
    violating: [...b.offer(), b.asks('GET_FEATURES'), b.answers('GET_FEATURES', { size: 4 })],
  },
  {
    id: 'VHOST-USR-29',
    title: 'a reply has no descriptors but those of its kind',
    party: 'driver',
    level: 'must',
    clause: 'vhost-user/message',
    about:
      'Only the replies to POSTCOPY_ADVISE, GET_INFLIGHT_FD, GET_SHARED_OBJECT and SET_DEVICE_STATE_FD carry a descriptor, and one at most.',
    causes: 'The descriptors of the request go back with the reply: the front end leaks them.',
    needs: ['vhost_message'],
    device: ofReplies((event, facts, scope) => {
      const shape = vhostUserRequestShape(event.request);
      if (!shape || event.fds === undefined || memoryInPostcopy(event, facts)) return;
      scope.check();
      if (!within(event.fds, shape.replyFds))
        scope.fail(event, `the reply to ${event.request} came with ${event.fds} descriptors`, [
          boundsText(shape.replyFds),
        ]);
    }),
    conformant: [...b.offer(), b.asks('GET_FEATURES'), b.answers('GET_FEATURES')],
    violating: [
      ...b.offer(),
      b.asks('SET_VRING_CALL', { fds: 1, noFd: false, needReply: true }),
      b.answers('SET_VRING_CALL', { fds: 1 }),
    ],
  },
];
