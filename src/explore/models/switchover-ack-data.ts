import type { TraceEvent } from '../../trace/event.js';
import { and, type Expression, eq, gt, lt, max, min, minus, or, plus } from '../expression.js';
import type { AckDevice, SwitchoverAck } from './switchover-ack-parts.js';

/** Initial data, requests for acknowledgements and acknowledgements: what is sent, and who counts. */

const HOST = 'src';
/** Bytes of new initial data in recordings. */
const INITIAL_BYTES = 4096;

/** The VM runs and the source iterates. */
export const iterates = (parts: SwitchoverAck): Expression =>
  and(parts.statusIs('active'), parts.vmIs('running'));

/** The source collects requests, and counts what comes back. */
export function count(parts: SwitchoverAck): void {
  const { model, pending, acks, counted, most } = parts;
  const requests = parts.requests();
  const some = parts.is('request-not-collected') ? 0 : gt(requests, 0);
  for (let total = 1; total <= most; total++)
    model.action(`source: query pending, ${total} acknowledgements outstanding`, {
      when: and(iterates(parts), or(eq(counted, 0), some), eq(plus(pending, requests), total)),
      sync: [parts.ack.on('ACK.needed')],
      set: [
        pending.to(plus(pending, requests)),
        counted.to(1),
        ...parts.devices.flatMap(({ requested, again }) => [requested.to(0), again.to(0)]),
      ],
      events: [{ kind: 'query_pending', host: HOST, exact: true, final: false, ackTotal: total }],
      labels: ['progress'],
    });
  for (let left = 0; left < most; left++)
    model.action(`source: an ACK has come, ${left} are outstanding`, {
      when: and(gt(acks, 0), eq(pending, left + 1)),
      sync: [parts.ack.on(left > 0 ? 'ACK.some' : 'ACK.all')],
      set: [acks.to(minus(acks, 1)), pending.to(left)],
      events: [{ kind: 'switchover_ack', host: HOST, pending: left }],
      labels: ['progress'],
    });
  if (parts.is('ack-lost'))
    model.action('return path: an ACK is lost', {
      when: gt(acks, 0),
      set: [acks.to(minus(acks, 1))],
      labels: ['fault'],
    });
}

/** The destination counts devices after load_setup, and sends one acknowledgement. */
export function countLegacy(parts: SwitchoverAck): void {
  const { model, ack, counted, pending, acks, acked, devices } = parts;
  model.action(`destination: load_setup, ${devices.length} devices have to approve`, {
    when: and(parts.statusIs('active'), eq(counted, 0)),
    sync: [ack.on('NEED.some')],
    set: [counted.to(1), pending.to(devices.length)],
    events: [{ kind: 'switchover_ack_needed', host: 'dst', pending: devices.length }],
    labels: ['progress'],
  });
  model.action('source: the ACK has come', {
    when: gt(acks, 0),
    set: [acks.to(0), acked!.to(1)],
    events: [{ kind: 'switchover_ack', host: HOST }],
    labels: ['progress'],
  });
}

/** Initial data is sent, and announced when it is whole. */
export function announce(parts: SwitchoverAck, each: AckDevice): void {
  const { name, device, initial, requested, again, onTheWay, legacy } = each;
  const reads = and(iterates(parts), device.in('PRE_COPY'), eq(initial, 1));
  const uncollected = parts.is('request-not-collected');
  // The VMM asks, and then reads: a request is collected before its data is announced.
  const collected = uncollected ? eq(parts.counted, 1) : and(eq(requested, 0), eq(again, 0));
  parts.model.action(`${name}: initial data is read, INIT_DATA_SENT`, {
    when: and(
      reads,
      legacy === null ? collected : eq(legacy.announced, 0),
      parts.is('never-done') ? 0 : 1,
      lt(onTheWay, 1 + parts.options.faults),
    ),
    set: [
      initial.to(0),
      onTheWay.to(plus(onTheWay, 1)),
      ...(legacy === null ? [] : [legacy.announced.to(1)]),
      ...(legacy !== null || uncollected ? [again.to(0)] : []),
    ],
    chart: { from: 'source', to: 'destination', text: `INIT_DATA_SENT of ${name}` },
    events: [{ kind: 'init_data_sent', host: HOST, device: name }],
    labels: ['progress'],
  });
  if (legacy === null) return;
  parts.model.action(`${name}: new initial data is read, without INIT_DATA_SENT`, {
    when: and(reads, eq(legacy.announced, 1)),
    set: [initial.to(0), again.to(0), legacy.quiet.to(1)],
    chart: { from: 'source', to: 'destination', text: `data of ${name}` },
    labels: ['progress'],
  });
}

const record = (name: string): TraceEvent => ({
  kind: 'load_record',
  host: 'dst',
  device: name,
  tag: 'DEV_INIT_DATA_SENT',
});

/** The destination loads initial data, and says so each time. */
export function acknowledge(parts: SwitchoverAck, { name, initial, onTheWay, loaded }: AckDevice): void {
  const { acks, most } = parts;
  const early = parts.is('ack-early');
  const newest = and(eq(initial, 0), eq(onTheWay, 1));
  parts.model.action(`destination: initial data of ${name} is loaded, ACK`, {
    when: gt(onTheWay, 0),
    set: [
      onTheWay.to(minus(onTheWay, 1)),
      loaded.to(early ? loaded : newest),
      acks.to(min(plus(acks, parts.is('ack-twice') ? 2 : 1), most + 1)),
    ],
    chart: { from: 'destination', to: 'source', text: 'ACK' },
    events: [record(name)],
    labels: ['progress'],
  });
  if (early)
    parts.model.action(`destination: initial data of ${name} is loaded after its ACK`, {
      when: and(parts.statusIs('active'), eq(initial, 0), eq(onTheWay, 0), eq(loaded, 0)),
      set: [loaded.to(1)],
      labels: ['progress'],
    });
}

/** The destination loads initial data; the last device that approves makes it say so. */
export function acknowledgeLegacy(
  parts: SwitchoverAck,
  { name, initial, onTheWay, loaded, legacy }: AckDevice,
): void {
  const { acks, pending, counted } = parts;
  const { quiet } = legacy!;
  for (let left = 0; left < parts.most; left++)
    parts.model.action(`destination: initial data of ${name} is loaded, ${left} devices have to approve`, {
      when: and(eq(counted, 1), gt(onTheWay, 0), eq(pending, left + 1)),
      sync: [parts.ack.on(left > 0 ? 'APPROVED.more' : 'APPROVED.last')],
      set: [
        onTheWay.to(0),
        loaded.to(and(eq(initial, 0), eq(quiet, 0))),
        pending.to(left),
        ...(left > 0 ? [] : [acks.to(1)]),
      ],
      ...(left > 0 ? {} : { chart: { from: 'destination', to: 'source', text: 'ACK' } }),
      events: [record(name), { kind: 'switchover_approved', host: 'dst', approver: name, pending: left }],
      labels: ['progress'],
    });
  parts.model.action(`destination: new initial data of ${name} is loaded`, {
    when: and(eq(quiet, 1), eq(onTheWay, 0)),
    set: [quiet.to(0), loaded.to(eq(initial, 0))],
    labels: ['progress'],
  });
}

/** A device in PRE_COPY has new initial data. */
export function reinit(parts: SwitchoverAck, { name, device, initial, again, loaded }: AckDevice): void {
  const { reinits, late } = parts;
  const look = { initial: INITIAL_BYTES, dirty: 0, reinit: true, errno: 0 };
  parts.model.action(`${name}: REINIT, new initial data`, {
    when: and(
      parts.statusIs('active'),
      parts.vmIs('running', 'finish-migrate'),
      device.in('PRE_COPY'),
      eq(initial, 0),
      eq(parts.live, 1),
      gt(reinits, 0),
    ),
    set: [
      reinits.to(minus(reinits, 1)),
      initial.to(1),
      again.to(1),
      loaded.to(0),
      late.to(max(late, parts.vmIs('finish-migrate'))),
    ],
    chart: { from: name, text: 'REINIT: new initial data' },
    // Before 11.1 nobody asks for the flag.
    events: parts.legacy ? [] : [{ kind: 'precopy_info', host: HOST, device: name, ...look }],
    labels: ['device'],
  });
}
