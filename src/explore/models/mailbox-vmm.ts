import { isRunning } from '../../machines/index.js';
import type { TraceEvent } from '../../trace/event.js';
import { ERRNO } from '../../uapi/errno.js';
import { and, type Expression, eq, gt, minus, ne, not, or } from '../expression.js';
import type { Assignment } from '../model.js';
import { type MailboxParts, PF, VMM } from './mailbox-parts.js';
import { ANSWER, CONFIG, IMAGE, save, type Vf, variablesOfImage } from './mailbox-vf.js';
import { statusEvent, vmStateEvent } from './vmm-events.js';

/** The VMMs of both hosts, in the model `mailbox`: a migration, its end, and the way back. */
export function addMigration(parts: MailboxParts): void {
  for (const vf of parts.vfs) {
    addSave(parts, vf);
    addResume(parts, vf);
    addRollBack(parts, vf);
  }
  addSteps(parts);
  addStart(parts);
  addFailures(parts);
  addEnds(parts);
  if (parts.isPublished) for (const vf of parts.vfs) addLateRefusal(parts, vf);
}

/** The source stops a VF, and reads its image. */
function addSave(parts: MailboxParts, vf: Vf): void {
  const { name, source, image } = vf;
  const stops = and(parts.at('stopped'), eq(image, IMAGE.none));
  const inP2p = parts.all((each) => not(each.source.in('RUNNING')));
  const stopped = parts.all((each) => not(each.source.is(isRunning)));
  parts.request(source, 'RUNNING', 'RUNNING_P2P', { when: stops, recover: 'ERROR' });
  parts.request(source, 'RUNNING_P2P', 'STOP', { when: and(stops, inP2p), recover: 'ERROR' });
  parts.request(source, 'STOP', 'STOP_COPY', { when: and(stops, stopped), recover: 'STOP' });
  const on = { host: source.side, device: source.device };
  parts.model.action(`${name}: the image is read`, {
    when: and(stops, source.in('STOP_COPY')),
    sync: [source.chart.on('READ.end')],
    set: [image.to(IMAGE.read), ...save(vf)],
    chart: { from: PF.src, to: VMM.src, text: `image of ${name}` },
    events: [
      { kind: 'data_read', ...on, size: 4096, result: 1024 },
      { kind: 'data_read', ...on, size: 4096, result: 0 },
    ],
    labels: ['progress'],
  });
}

/** The destination's VF waits for its image, takes it, and runs. */
function addResume(parts: MailboxParts, vf: Vf): void {
  const { destination } = vf;
  const sent = parts.at('sent');
  parts.request(destination, 'RUNNING', 'RESUMING', { when: parts.at('setup'), recover: 'RUNNING' });
  const isTaken = parts.is('replay-late')
    ? 1
    : parts.is('mismatch-accepted')
      ? or(parts.are('ab', 'ba'), parts.isLoaded(vf))
      : parts.isLoaded(vf);
  parts.request(destination, 'RESUMING', 'RUNNING_P2P', {
    when: and(sent, isTaken),
    recover: 'ERROR',
    set: [mailboxOf(parts, vf)],
  });
  const inP2p = parts.all((each) => not(each.destination.in('RESUMING')));
  parts.request(destination, 'RUNNING_P2P', 'RUNNING', { when: and(sent, inP2p), recover: 'ERROR' });
}

/** The mailbox's registers come from the image: what is between head and tail is seen by the PF. */
function mailboxOf(parts: MailboxParts, { posted, answer, saved }: Vf): Assignment {
  if (parts.is('tail-not-written', 'published-a')) return posted.to(0);
  return posted.to(parts.is('head-not-saved') ? or(saved.posted, ne(answer, ANSWER.none)) : saved.posted);
}

/** The source's VMM, to the end of its part. */
function addSteps(parts: MailboxParts): void {
  const step = (
    name: string,
    when: Expression,
    set: readonly Assignment[],
    events: readonly TraceEvent[],
    label = 'progress',
  ) => parts.model.action(`${VMM.src}: ${name}`, { when, set, events, labels: [label] });
  const mayTry = and(parts.at('here'), parts.are('aa', 'bb', 'ab', 'ba'));
  step('migrate', mayTry, [parts.goTo('setup')], [statusEvent('src', 'setup')], 'user');
  const ready = parts.all(({ destination }) => destination.in('RESUMING'));
  const drained = parts.all(({ posted, answer }) => and(eq(posted, 0), eq(answer, ANSWER.none)));
  step(
    'stops the VM for the switchover',
    and(parts.at('setup'), ready, parts.is('drained') ? drained : 1),
    [parts.goTo('stopped')],
    [statusEvent('src', 'active'), vmStateEvent('src', false), statusEvent('src', 'device')],
  );
  const written = parts.all(({ image }) => eq(image, IMAGE.written));
  if (!parts.is('never-completes'))
    step(
      'completes, the VM is the other one',
      and(parts.at('stopped'), written),
      [parts.goTo('sent')],
      [statusEvent('src', 'completed')],
    );
  step('cancel', parts.at('setup'), [parts.goTo('cancelling')], [statusEvent('src', 'cancelling')], 'user');
}

/** The VM starts at the destination; what the source has is of no account any more. */
function addStart(parts: MailboxParts): void {
  const keeps = parts.is('replay-late');
  parts.model.action(`${VMM.dst}: the VM starts`, {
    when: and(
      parts.at('sent'),
      parts.all(({ destination }) => destination.in('RUNNING')),
    ),
    set: [
      parts.goTo('there'),
      ...parts.vfs
        .flatMap((vf) => [vf.image, vf.here, ...(keeps ? [] : [vf.replayed, ...variablesOfImage(vf)])])
        .map((each) => each.to(0)),
    ],
    events: [vmStateEvent('dst', true)],
    labels: ['progress'],
  });
}

function addFailures(parts: MailboxParts): void {
  const { faults } = parts;
  const fail = (name: string, when: Expression, label: string, set: readonly Assignment[] = []) =>
    parts.model.action(`${VMM.src}: the migration fails, ${name}`, {
      when: and(parts.at('stopped'), when),
      set: [parts.goTo('failing'), ...set],
      events: [statusEvent('src', 'failing')],
      labels: [label],
    });
  const isOver = parts.some(({ image }) => eq(image, IMAGE.over));
  if (!parts.isPublished && !parts.is('mismatch-accepted')) {
    // After a reset in the midst of it all that is known is the reset.
    const isRefused = parts.is('reset-unnoticed')
      ? isOver
      : parts.some(({ image, source }) => and(eq(image, IMAGE.over), not(source.in('RUNNING'))));
    fail('the destination has refused an image', and(parts.are('ab', 'ba'), isRefused), 'progress', [
      parts.become('unfit'),
    ]);
  }
  if (faults === null) return;
  const wasReset = parts.some(({ source }) => source.in('RUNNING'));
  if (!parts.is('reset-unnoticed')) fail('a VF was reset', and(isOver, wasReset), 'progress');
  fail('the connection breaks', gt(faults, 0), 'fault', [faults.to(minus(faults, 1))]);
}

/** What a migration that came to nothing ends with. */
function addEnds(parts: MailboxParts): void {
  const isBack = parts.all(({ source, destination }) => and(source.in('RUNNING'), destination.in('RUNNING')));
  const end = (phase: 'failing' | 'cancelling', name: string, events: readonly TraceEvent[]) =>
    parts.model.action(`${VMM.src}: ${name}`, {
      when: and(parts.at(phase), isBack),
      set: [
        parts.goTo('here'),
        ...parts.vfs.flatMap((vf) => [vf.image, ...variablesOfImage(vf)]).map((each) => each.to(0)),
      ],
      events,
      labels: ['progress'],
    });
  end('cancelling', 'the migration is cancelled', [statusEvent('src', 'cancelled')]);
  if (!parts.is('no-rollback'))
    end('failing', 'the VM goes on', [vmStateEvent('src', true), statusEvent('src', 'failed')]);
}

/** Both sides of a VF of a migration that came to nothing. */
function addRollBack(parts: MailboxParts, { source, destination, there, replayed, here }: Vf): void {
  if (!parts.is('no-rollback')) {
    const failing = parts.at('failing');
    parts.request(source, 'STOP_COPY', 'RUNNING_P2P', { when: failing, recover: 'ERROR' });
    // Only a cut, or what happens to another VF, comes while this one is in STOP.
    if (parts.faults !== null || parts.vfs.length > 1)
      parts.request(source, 'STOP', 'RUNNING_P2P', { when: failing, recover: 'ERROR' });
    parts.request(source, 'RUNNING_P2P', 'RUNNING', {
      when: and(
        failing,
        parts.all((vf) => vf.source.is(isRunning)),
      ),
      recover: 'ERROR',
      // The posted drivers do not start again what they have stopped.
      set: parts.isPublished ? [here.to(CONFIG.none)] : [],
    });
  }
  // The next attempt is one of another process, for which the device is reset when it is opened.
  parts.model.action(`${destination.device}: the VMM there ends, and the device is opened anew`, {
    when: and(parts.at('failing', 'cancelling'), destination.in('RESUMING')),
    sync: [destination.chart.on('RESET.ok')],
    set: [there.to(CONFIG.none), replayed.to(0)],
    chart: { from: VMM.dst, to: PF.dst, text: `${destination.device}: opened` },
    events: [{ kind: 'device_open', host: destination.side, device: destination.device }],
    labels: ['progress'],
  });
}

/** The posted drivers look at an image when the VM starts: nobody has the VM then. */
function addLateRefusal(parts: MailboxParts, { name, destination }: Vf): void {
  const on = { host: destination.side, device: destination.device };
  parts.model.action(
    `${name}: destination SET_STATE RUNNING_P2P fails, the image is of the other generation`,
    {
      when: and(parts.at('sent'), parts.are('ab', 'ba')),
      sync: [destination.chart.on('FAIL.RUNNING_P2P.STOP')],
      set: [parts.goTo('lost')],
      chart: { from: PF.dst, to: VMM.dst, text: `${name}: EINVAL` },
      events: [
        { kind: 'set_state', ...on, state: 'RUNNING_P2P', recover: 'ERROR' },
        { kind: 'set_state_result', ...on, errno: ERRNO.EINVAL! },
      ],
      labels: ['progress'],
    },
  );
}
