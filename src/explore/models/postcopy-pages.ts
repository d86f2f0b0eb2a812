import { and, type Expression, either, eq, ge, or } from '../expression.js';
import type { Assignment } from '../model.js';
import { AT, END, FAULT, type Page, type Postcopy, SENT, SERVES, STAGE, WAY } from './postcopy-parts.js';
import { backEndEvent } from './postcopy-switch.js';
import { runEvents, statusEvent } from './vmm-events.js';

/** Somebody waits for a page, and asks for it. */
export function wait(parts: Postcopy, { name, at, fault }: Page): void {
  const absent = and(eq(at, AT.absent), eq(fault, FAULT.none));
  if (!parts.is('listen-after-load'))
    parts.model.action(`destination: the load of device state waits for ${name}`, {
      when: and(eq(parts.stage, STAGE.listening), parts.statusIs('dst', ...SERVES), absent),
      set: [fault.to(FAULT.waits)],
      labels: ['guest'],
    });
  parts.model.action(`guest: a vCPU waits for ${name}`, {
    when: and(parts.runs('dst'), absent),
    set: [fault.to(FAULT.waits)],
    labels: ['guest'],
  });
  parts.model.action(`destination: asks for ${name}`, {
    when: and(eq(fault, FAULT.waits), eq(parts.cut, 0), parts.statusIs('dst', ...SERVES)),
    set: [fault.to(FAULT.asked)],
    chart: { from: 'destination', to: 'source', text: `REQ_PAGES ${name}` },
    labels: ['progress'],
  });
  parts.model.action(`source: hears that ${name} is waited for`, {
    when: and(eq(fault, FAULT.asked), serves(parts)),
    set: [fault.to(FAULT.queued)],
    labels: ['progress'],
  });
}

/** The source is where it sends pages in post-copy. */
function serves(parts: Postcopy): Expression {
  const early = parts.is('pages-before-package') ? [parts.statusIs('src', 'device')] : [];
  const blocked = parts.is('blocks-in-postcopy-device');
  return and(
    eq(parts.cut, 0),
    ge(parts.sent, SENT.discard),
    or(parts.statusIs('src', ...(blocked ? (['postcopy-active'] as const) : SERVES)), ...early),
  );
}

/** A page is sent, because it is its turn or because somebody waits for it, and is placed. */
export function send(parts: Postcopy, page: Page): void {
  const { name, dirty, way, at, fault, late } = page;
  const sends = (why: string, label: string, when: Expression, set: readonly Assignment[] = []) =>
    parts.model.action(`source: sends ${name}, ${why}`, {
      when: and(serves(parts), eq(way, WAY.none), when),
      set: [dirty.to(0), way.to(WAY.postcopy), ...set],
      chart: { from: 'source', to: 'destination', text: name },
      labels: [label],
    });
  sends('nobody asked for it', 'background', eq(dirty, 1));
  const asked = eq(fault, parts.is('requests-ignored') ? FAULT.forgotten : FAULT.queued);
  // The source knows what it has sent: a request for it comes to nothing.
  sends('which was asked for', 'progress', and(asked, eq(dirty, 1)));
  if (late !== null) sends('which it has sent before', 'progress', eq(late, 1), [late.to(0)]);
  parts.model.action(`destination: places ${name}`, {
    when: and(
      eq(way, WAY.postcopy),
      ge(parts.stage, parts.is('pages-before-package') ? STAGE.discarded : STAGE.listening),
    ),
    set: [
      way.to(WAY.none),
      at.to(either(ge(at, AT.newer), AT.undone, AT.current)),
      fault.to(FAULT.none),
      ...(late === null ? [] : [late.to(ge(fault, FAULT.asked))]),
    ],
    labels: ['progress', 'place'],
  });
  parts.model.action(`guest: writes ${name} at the destination`, {
    when: and(parts.runs('dst'), or(eq(at, AT.current), eq(at, AT.old))),
    set: [at.to(AT.newer)],
    labels: ['guest'],
  });
}

/** All has come, and both sides know it. */
export function end(parts: Postcopy): void {
  const { model, end } = parts;
  model.action('source: all pages are sent', {
    when: and(
      parts.statusIs('src', 'postcopy-active'),
      eq(parts.cut, 0),
      eq(end, END.no),
      parts.is('end-forgotten') ? 0 : 1,
      parts.is('completes-early') ? 1 : parts.all(({ dirty }) => eq(dirty, 0)),
    ),
    set: [end.to(END.sent)],
    chart: { from: 'source', to: 'destination', text: 'EOF' },
    labels: ['progress'],
  });
  model.action('destination: has all, SHUT', {
    when: and(
      eq(end, END.sent),
      eq(parts.stage, STAGE.running),
      parts.all(({ way }) => eq(way, WAY.none)),
    ),
    sync: [parts.becomes('dst', 'completed'), parts.backEnd.on('END')],
    set: [end.to(END.shut)],
    chart: { from: 'destination', to: 'source', text: 'SHUT' },
    events: [statusEvent('dst', 'completed'), backEndEvent('end')],
    labels: ['progress'],
  });
  model.action('source: takes SHUT, completed', {
    when: eq(end, END.shut),
    sync: [parts.becomes('src', 'completed'), parts.run.src.on('RUN.finish-migrate.postmigrate')],
    events: [statusEvent('src', 'completed'), ...runEvents('src', 'finish-migrate', 'postmigrate')],
    labels: ['progress'],
  });
}
