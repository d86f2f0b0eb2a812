import { ERRNO } from '../../uapi/errno.js';
import { and, type Expression, either, eq, gt, lt, minus, ne, not, or } from '../expression.js';
import type { Assignment, Model, ModelOptions } from '../model.js';
import { GUEST, MailboxParts, PF, VMM } from './mailbox-parts.js';
import { addProperties } from './mailbox-properties.js';
import {
  ANSWER,
  answered,
  CONFIG,
  effectOf,
  IMAGE,
  namesOf,
  REQUEST,
  REQUESTS,
  seenBy,
  type Vf,
} from './mailbox-vf.js';
import { addMigration } from './mailbox-vmm.js';
import type { Side } from './vfio-parts.js';

/** Makes the model `mailbox`. */
export function buildMailbox(options: ModelOptions, title: string): Model {
  const parts = new MailboxParts(options, title);
  addGenerations(parts);
  for (const vf of parts.vfs) {
    addGuest(parts, vf);
    addHandler(parts, vf, 'src');
    addHandler(parts, vf, 'dst');
    addLoad(parts, vf);
    addResets(parts, vf);
  }
  addMigration(parts);
  addProperties(parts);
  parts.model.symmetric('VFs', parts.vfs.map(namesOf));
  return parts.model.build();
}

/** Which drivers there are is found out first. */
function addGenerations(parts: MailboxParts): void {
  for (const pair of ['aa', 'bb', 'ab', 'ba'] as const) {
    const [source, destination] = pair;
    if (parts.isPublished && !parts.is(`published-${source}`)) continue;
    parts.model.action(`${PF.src}: generation ${source}, the destination's is ${destination}`, {
      when: parts.are('unknown'),
      set: [parts.become(pair)],
      labels: ['progress'],
    });
  }
}

/** The guest's driver: one request at a time. */
function addGuest(parts: MailboxParts, vf: Vf): void {
  const { name, request, view, posted, answer, off } = vf;
  const { model, runs } = parts;
  const asks = and(runs, not(parts.are('unknown')), eq(off, 0), eq(request, REQUEST.none));
  const ask = (kind: number, when: Expression) =>
    model.action(`${name}: the guest asks ${REQUESTS[kind]}`, {
      when: and(asks, when),
      set: [request.to(kind), posted.to(1)],
      chart: { from: GUEST, to: PF.src, text: `${name}: ${REQUESTS[kind]}` },
      labels: ['guest'],
    });
  ask(REQUEST.resources, eq(view, CONFIG.none));
  ask(REQUEST.add, eq(view, CONFIG.active));
  if (!parts.is('asks-little')) ask(REQUEST.delete, eq(view, CONFIG.filter));
  model.action(`${name}: the guest reads an answer`, {
    when: and(runs, eq(off, 0), ne(answer, ANSWER.none)),
    set: [
      answer.to(either(eq(answer, ANSWER.more), ANSWER.success, ANSWER.none)),
      view.to(seenBy(vf)),
      request.to(REQUEST.none),
    ],
    chart: { from: GUEST, text: `${name}: reads an answer` },
    labels: ['read'],
  });
  if (parts.faults === null) return;
  model.action(`${name}: the guest sees the reset`, {
    when: and(runs, eq(off, 1)),
    set: [off, posted, answer, request, view].map((each) => each.to(0)),
    chart: { from: GUEST, text: `${name}: sees the reset` },
    labels: ['read'],
  });
}

/** The PF of a side handles the request that is posted. */
function addHandler(parts: MailboxParts, vf: Vf, side: Side): void {
  const { name, request, posted, log } = vf;
  const [device, config] = side === 'src' ? [vf.source, vf.here] : [vf.destination, vf.there];
  const has = side === 'src' ? not(parts.at('sent', 'there', 'lost')) : parts.at('sent', 'there');
  const works = parts.is('mail-goes-on') && side === 'src' ? 1 : device.in('RUNNING');
  const logs = parts.are('aa', 'ab');
  const isFull = and(logs, ne(log.at(-1)!, REQUEST.none));
  const full = parts.is('unlogged-when-full') ? 0 : isFull;
  const append = log.map((entry, at) => {
    const isNext = and(eq(entry, REQUEST.none), at === 0 ? 1 : ne(log[at - 1]!, REQUEST.none));
    return entry.to(either(and(logs, isNext), request, entry));
  });
  const handle = (
    what: string,
    when: Expression,
    kind: 'success' | 'refusal',
    set: readonly Assignment[],
  ): void =>
    parts.model.action(`${name}: ${PF[side]} ${what}`, {
      when: and(has, works, eq(posted, 1), when),
      set: [
        posted.to(0),
        answered(vf, kind),
        parts.disturbed.to(either(device.in('RUNNING'), parts.disturbed, 1)),
        ...set,
      ],
      chart: { from: PF[side], to: GUEST, text: `${name}: ${what}` },
      labels: parts.is('handler-hangs') && side === 'src' ? [] : ['mail'],
    });
  const isFirst = eq(request, REQUEST.resources);
  const isPossible = or(isFirst, ne(config, CONFIG.none));
  handle('answers', and(isPossible, not(full)), 'success', [config.to(effectOf(request)), ...append]);
  // A request that is refused was logged before, and is taken out of the log again.
  const stays = parts.is('refused-stay-logged') ? append : [];
  handle('refuses', and(or(not(isFirst), not(isPossible)), not(full)), 'refusal', stays);
  if (!parts.is('published-b') && full !== 0) handle('refuses, its log is full', full, 'refusal', []);
}

/** The destination takes an image, and the VF is what it says. */
function addLoad(parts: MailboxParts, vf: Vf): void {
  const { name, destination, replayed, there, saved, log } = vf;
  addWrites(parts, vf);
  const late = parts.is('replay-late');
  const loads = late ? parts.at('sent', 'there') : and(parts.at('sent'), destination.in('RESUMING'));
  if (!parts.is('published-b'))
    for (const at of log.keys()) addReplay(parts, vf, at, and(loads, parts.are('aa')));
  if (!parts.is('published-a'))
    parts.model.action(`${name}: ${PF.dst} loads the records`, {
      when: and(loads, parts.are('bb'), eq(replayed, 0)),
      set: [there.to(saved.config), replayed.to(log.length)],
      chart: { from: PF.dst, text: `${name}: loads the records` },
      labels: ['progress', 'replay'],
    });
}

/** The VMM of the destination hands the image to the driver, which looks at its generation, or does not yet. */
function addWrites(parts: MailboxParts, { name, destination, image, there }: Vf): void {
  const write = (text: string, when: Expression, errno: number, set: readonly Assignment[]) =>
    parts.model.action(`${name}: the image is ${text}`, {
      when: and(parts.at('stopped'), eq(image, IMAGE.read), when),
      sync: [destination.chart.on(errno === 0 ? 'WRITE.ok' : 'WRITE.error')],
      set,
      chart: { from: VMM.dst, to: PF.dst, text: `image of ${name}` },
      events: [
        {
          kind: 'data_write',
          host: destination.side,
          device: destination.device,
          size: 1024,
          result: errno === 0 ? 1024 : -errno,
        },
      ],
      labels: ['progress'],
    });
  const looks = !parts.isPublished && !parts.is('mismatch-accepted');
  write('written', looks ? parts.are('aa', 'bb') : 1, 0, [image.to(IMAGE.written)]);
  if (looks)
    write('refused, it is of the other generation', parts.are('ab', 'ba'), ERRNO.EINVAL!, [
      image.to(IMAGE.over),
      ...(parts.is('half-loaded') ? [there.to(CONFIG.active)] : []),
    ]);
}

/** One request of the image is replayed: the next one, or with a mutant the last one of the rest. */
function addReplay(parts: MailboxParts, vf: Vf, at: number, when: Expression): void {
  const { name, replayed, there, log, saved } = vf;
  const fromTheEnd = log.reduce<Expression>(
    (before, each, index) => either(eq(saved.length, index + at + 1), each, before),
    REQUEST.none,
  );
  const entry = parts.is('replay-last-first') ? fromTheEnd : log[at]!;
  parts.model.action(`${name}: ${PF.dst} replays request ${at + 1}`, {
    when: and(when, eq(replayed, at), lt(replayed, saved.length)),
    set: [
      replayed.to(at + 1),
      there.to(effectOf(entry)),
      ...(parts.is('replies-not-swallowed') ? [answered(vf, 'success')] : []),
    ],
    chart: { from: PF.dst, text: `${name}: replays request ${at + 1}` },
    labels: ['progress', 'replay'],
  });
}

/** A VF is reset: while the VM runs, or in the midst of its save. */
function addResets(parts: MailboxParts, vf: Vf): void {
  const { faults } = parts;
  if (faults === null) return;
  const { name, source, here, log, posted, off, image } = vf;
  const reset = (text: string, when: Expression, set: readonly Assignment[]) =>
    parts.model.action(`${name}: ${text}`, {
      when: and(gt(faults, 0), when),
      sync: [source.chart.on('RESET.ok')],
      set: [faults.to(minus(faults, 1)), here.to(CONFIG.none), posted.to(0), off.to(1), ...set],
      chart: { from: PF.src, text: `${name}: ${text}` },
      events: [{ kind: 'reset', host: source.side, device: source.device, errno: 0 }],
      labels: ['fault'],
    });
  const empty = log.map((entry) => entry.to(REQUEST.none));
  const runs = and(parts.at('here', 'setup'), not(parts.are('unknown')));
  reset('reset', and(runs, source.in('RUNNING')), empty);
  const isRead = image.to(either(eq(image, IMAGE.none), IMAGE.read, image));
  reset(
    'reset in the midst of its save',
    and(parts.at('stopped'), source.in('STOP_COPY')),
    parts.is('reset-unnoticed') ? [isRead] : [image.to(IMAGE.over), ...empty],
  );
}
