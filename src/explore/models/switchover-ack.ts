import { CAPABILITY_SETS } from '../../machines/index.js';
import { switchoverAck as ackMachine } from '../../machines/switchover-ack.js';
import type { MigState } from '../../uapi/vfio.js';
import { ModelBuilder } from '../builder.js';
import { and, type Expression, eq, gt, lt, max, min, minus, not, or, plus } from '../expression.js';
import type { Model, ModelEntry, ModelOptions } from '../model.js';
import { modelOptions } from './options.js';
import { addDevice, capabilitiesOf, granted, setStateEvents } from './vfio-parts.js';

const HOST = 'src';

/** Switchover-ack as QEMU 11.1 has it, with REINIT. */
export const switchoverAck: ModelEntry = {
  name: 'switchover-ack',
  title: 'Acknowledgement of initial data before the switchover, with REINIT',
  words:
    'Devices in PRE_COPY ask for an acknowledgement when their initial data is to be loaded before the switchover. ' +
    'The source collects the requests in its pending queries, sends the data with INIT_DATA_SENT, and stops the VM ' +
    'only when no acknowledgement is outstanding, unless the VM was stopped already. A device may have new initial ' +
    'data (REINIT) as long as it is in PRE_COPY, also after the decision: the final query finds the request, and the ' +
    'migration fails. `faults` is how often devices do so. Variant qemu-11.0 is the protocol before: one ' +
    'acknowledgement a device, REINIT is not looked at. Left out: RAM, sizes, dirty device data.',
  ranges: { devices: { least: 1, most: 3, usual: 2 }, faults: { least: 1, most: 3, usual: 1 } },
  capabilities: CAPABILITY_SETS.slice(-1),
  variants: [
    {
      name: 'gate-ignored',
      title: 'The switchover does not wait for acknowledgements.',
      kind: 'mutant',
      breaks: ['no-early-switchover', 'initial-data-loaded'],
    },
    {
      name: 'final-query-ignored',
      title: 'A request that the final query finds is ignored.',
      kind: 'mutant',
      breaks: ['initial-data-loaded', 'late-request-fails', 'late-request', 'every-event-happens'],
    },
    {
      name: 'request-not-collected',
      title: 'A query does not count the requests of REINIT, and the device announces all the same.',
      kind: 'mutant',
      breaks: ['initial-data-loaded', 'no-underflow', 'one-ack-per-request', 'every-event-happens'],
    },
    {
      name: 'ack-lost',
      title: 'An acknowledgement may be lost on the return path.',
      kind: 'mutant',
      breaks: ['one-ack-per-request', 'request-is-answered'],
    },
    {
      name: 'ack-early',
      title: 'The destination acknowledges before it has loaded the data.',
      kind: 'mutant',
      breaks: ['initial-data-loaded'],
    },
    {
      name: 'ack-twice',
      title: 'The destination acknowledges twice.',
      kind: 'mutant',
      breaks: ['no-underflow', 'one-ack-per-request', 'initial-data-loaded'],
    },
    {
      name: 'stop-waits',
      title: 'A VM that is stopped by its user waits for acknowledgements too.',
      kind: 'mutant',
      breaks: ['gate-not-asked', 'every-event-happens'],
    },
    {
      name: 'no-rollback',
      title: 'A migration that fails at the final query stays where it is.',
      kind: 'mutant',
      breaks: ['switchover-ends', 'late-request', 'no-deadlock', 'every-event-happens'],
    },
    {
      name: 'never-done',
      title: 'A device never comes to the end of its initial data.',
      kind: 'mutant',
      breaks: [
        'request-is-answered',
        'completed',
        'reinit-acknowledged',
        'late-request',
        'every-event-happens',
      ],
    },
    {
      name: 'qemu-11.0',
      title: 'As QEMU 8.1 to 11.0: each device is acknowledged once, and REINIT is not looked at.',
      kind: 'implementation',
      breaks: ['initial-data-loaded', 'one-ack-per-request', 'late-request'],
    },
  ],
  make: (options) => build(modelOptions(switchoverAck, options)),
};

/** Setup, iterations, the decision was made, all are stopped, the end; and the rollback. */
const PHASE = { setup: 0, active: 1, switchover: 2, completed: 3, failing: 4, failed: 5 };

function build(options: ModelOptions): Model {
  const variant = (name: string): boolean => options.variant === name;
  const legacy = variant('qemu-11.0');
  const model = new ModelBuilder(switchoverAck.name, switchoverAck.title, options);
  const most = options.devices + options.faults;
  const gate = model.component('switchover-ack', ackMachine());
  const phase = model.variable('phase', `the migration: ${Object.keys(PHASE).join(', ')}`, 5);
  const live = model.variable('live', 'the VM ran when the switchover was decided', 1, 1);
  const pending = model.variable('pending', 'acknowledgements that the source waits for', most);
  const acks = model.variable('acks', 'acknowledgements on the return path', most + 1);
  const reinits = model.variable(
    'reinits',
    'how often devices may still ask again',
    Math.max(1, options.faults),
    options.faults,
  );
  const queried = model.variable('queried', 'a query was made since the set-up', 1);
  const devices = Array.from({ length: options.devices }, (_, index) => {
    const device = addDevice(model, index, HOST, { caps: capabilitiesOf(options, index), alone: true });
    return {
      index,
      device,
      initial: model.variable(`initial ${index}`, 'initial data is to be sent', 1),
      requested: model.variable(`requested ${index}`, 'it asks for an acknowledgement at the next query', 1),
      onTheWay: model.variable(`on the way ${index}`, 'initial data in the channel', 1 + options.faults),
      loaded: model.variable(`loaded ${index}`, 'the destination has the newest initial data', 1),
      announced: legacy ? model.variable(`announced ${index}`, 'INIT_DATA_SENT was sent', 1) : null,
    };
  });
  const at = (...names: (keyof typeof PHASE)[]) => or(...names.map((name) => eq(phase, PHASE[name])));
  const preCopy = (each: (typeof devices)[number]) => each.device.in('PRE_COPY');
  const all = (make: (each: (typeof devices)[number]) => Expression) => and(...devices.map(make));
  const some = (make: (each: (typeof devices)[number]) => Expression) => or(...devices.map(make));
  const requests = plus(...devices.map(({ requested }) => requested));
  const stopped = all(({ device }) => device.in('STOP_COPY'));

  const request = (
    each: (typeof devices)[number],
    from: MigState,
    to: MigState,
    draft: { when: Expression; recover: MigState; set?: { variable: string; to: Expression }[] },
  ) =>
    model.action(`${each.device.device}: SET_STATE ${to} from ${from}`, {
      when: and(draft.when, each.device.in(from)),
      sync: [granted(each.device, from, to)],
      set: draft.set ?? [],
      chart: { from: 'source', to: each.device.device, text: `SET_STATE ${to}` },
      events: setStateEvents(each.device, from, to, draft.recover),
      labels: ['progress'],
    });

  for (const each of devices) {
    const { device, initial, requested, onTheWay, loaded, announced } = each;
    const lane = device.device;
    request(each, 'RUNNING', 'PRE_COPY', {
      when: at('setup'),
      recover: 'RUNNING',
      set: [initial.to(1), requested.to(1)],
    });
    model.action(`${lane}: initial data is read, INIT_DATA_SENT`, {
      // The VMM asks, and then reads: a request is collected before its data is announced.
      when: and(
        or(at('active'), at('switchover')),
        preCopy(each),
        eq(initial, 1),
        eq(live, 1),
        variant('request-not-collected') ? 1 : eq(requested, 0),
        announced === null ? 1 : eq(announced, 0),
        variant('never-done') ? 0 : 1,
        lt(onTheWay, 1 + options.faults),
      ),
      set: [initial.to(0), onTheWay.to(plus(onTheWay, 1)), ...(announced === null ? [] : [announced.to(1)])],
      chart: { from: 'source', to: 'destination', text: `INIT_DATA_SENT of ${lane}` },
      events: [{ kind: 'init_data_sent', host: HOST, device: lane }],
      labels: ['progress', 'send'],
    });
    if (announced !== null)
      model.action(`${lane}: new initial data is read, without INIT_DATA_SENT`, {
        when: and(
          or(at('active'), at('switchover')),
          preCopy(each),
          eq(initial, 1),
          eq(live, 1),
          eq(announced, 1),
        ),
        set: [initial.to(0)],
        chart: { from: 'source', to: 'destination', text: `data of ${lane}` },
        labels: ['progress', 'send'],
      });
    model.action(`destination: initial data of ${lane} is loaded, ACK`, {
      when: gt(onTheWay, 0),
      set: [
        onTheWay.to(minus(onTheWay, 1)),
        loaded.to(variant('ack-early') ? loaded : and(eq(initial, 0), eq(onTheWay, 1))),
        acks.to(min(plus(acks, variant('ack-twice') ? 2 : 1), most + 1)),
      ],
      chart: { from: 'destination', to: 'source', text: 'ACK' },
      labels: ['progress', 'send'],
    });
    model.action(`${lane}: REINIT, new initial data`, {
      when: and(
        or(at('active'), at('switchover')),
        preCopy(each),
        eq(initial, 0),
        gt(reinits, 0),
        eq(live, 1),
      ),
      set: [reinits.to(minus(reinits, 1)), initial.to(1), loaded.to(0), ...(legacy ? [] : [requested.to(1)])],
      chart: { from: lane, text: 'REINIT: new initial data' },
      events: [
        { kind: 'precopy_info', host: HOST, device: lane, initial: 4096, dirty: 0, reinit: true, errno: 0 },
      ],
      labels: ['device'],
    });
    const stopping = and(
      at('switchover'),
      all((other) => not(other.device.in('RUNNING'))),
    );
    request(each, 'PRE_COPY', 'PRE_COPY_P2P', { when: stopping, recover: 'ERROR' });
    request(each, 'PRE_COPY_P2P', 'STOP_COPY', { when: and(stopping, not(some(preCopy))), recover: 'ERROR' });
    if (legacy) continue;
    request(each, 'STOP_COPY', 'RUNNING_P2P', { when: at('failing'), recover: 'ERROR' });
    request(each, 'RUNNING_P2P', 'RUNNING', {
      when: and(at('failing'), not(some(({ device: other }) => other.in('STOP_COPY')))),
      recover: 'ERROR',
    });
  }

  model.action('source: save_setup of all is done', {
    when: and(at('setup'), all(preCopy)),
    set: [phase.to(PHASE.active)],
    labels: ['progress'],
  });
  const uncollected = variant('request-not-collected') ? eq(queried, 0) : 1;
  const cleared = devices.map(({ requested }) => requested.to(0));
  for (let total = legacy ? options.devices : 1; total <= (legacy ? options.devices : most); total++)
    model.action(`source: query pending, ${total} acknowledgements outstanding`, {
      when: and(
        at('active'),
        eq(live, 1),
        or(eq(queried, 0), gt(requests, 0)),
        uncollected,
        eq(plus(pending, requests), total),
      ),
      sync: [gate.on('ACK.needed')],
      set: [pending.to(plus(pending, requests)), queried.to(1), ...cleared],
      events: [{ kind: 'query_pending', host: HOST, exact: true, final: false, ackTotal: total }],
      labels: ['progress', 'send'],
    });
  for (let left = 0; left < (legacy ? options.devices : most); left++)
    model.action(`source: an ACK has come, ${left} are outstanding`, {
      when: and(gt(acks, 0), eq(pending, left + 1)),
      sync: [gate.on(left > 0 ? 'ACK.some' : 'ACK.all')],
      set: [acks.to(minus(acks, 1)), pending.to(left)],
      events: [{ kind: 'switchover_ack', host: HOST, pending: left }],
      labels: ['progress', 'send'],
    });
  if (variant('ack-lost'))
    model.action('return path: an ACK is lost', {
      when: gt(acks, 0),
      set: [acks.to(minus(acks, 1))],
      labels: ['fault'],
    });
  if (variant('ack-early') || legacy)
    for (const { device, initial, onTheWay, loaded } of devices)
      model.action(`destination: initial data of ${device.device} is loaded`, {
        when: and(eq(initial, 0), eq(onTheWay, 0), eq(loaded, 0), not(device.in('RUNNING'))),
        set: [loaded.to(1)],
        labels: ['progress'],
      });

  model.action('source: the switchover is decided', {
    when: and(at('active'), eq(live, 1), eq(queried, 1)),
    sync: variant('gate-ignored') ? [] : [gate.on('SWITCHOVER')],
    set: [phase.to(PHASE.switchover)],
    events: [{ kind: 'vm_state', host: HOST, running: false, reason: 'finish-migrate' }],
    labels: ['decision'],
  });
  model.action('source: the user stops the VM, and the switchover is decided', {
    when: and(at('active'), eq(live, 1), variant('stop-waits') ? 0 : 1),
    set: [live.to(0), phase.to(PHASE.switchover)],
    events: [{ kind: 'vm_state', host: HOST, running: false, reason: 'paused' }],
    labels: ['user'],
  });
  const late = legacy || variant('final-query-ignored') ? 0 : and(eq(live, 1), gt(requests, 0));
  model.action('source: the final query finds nothing, the migration completes', {
    when: and(at('switchover'), stopped, not(late)),
    set: [phase.to(PHASE.completed)],
    labels: ['progress'],
  });
  if (!legacy)
    model.action('source: the final query finds a request, the migration fails', {
      when: and(at('switchover'), stopped, late),
      set: [phase.to(PHASE.failing), ...cleared],
      events: [{ kind: 'vm_state', host: HOST, running: true, reason: 'running' }],
      labels: variant('no-rollback') ? [] : ['progress'],
    });
  if (!legacy)
    model.action('source: the VM runs again', {
      when: and(
        at('failing'),
        variant('no-rollback') ? 0 : 1,
        all(({ device }) => device.in('RUNNING')),
      ),
      set: [phase.to(PHASE.failed)],
      labels: ['progress'],
    });

  const outstanding = plus(acks, ...devices.flatMap(({ initial, onTheWay }) => [initial, onTheWay]));
  model.neverStep(
    'no-early-switchover',
    'The switchover of a VM that runs is not decided while an acknowledgement is outstanding.',
    'decision',
    gt(pending, 0),
  );
  model.never(
    'initial-data-loaded',
    'When a migration of a VM that ran completes, the destination has the newest initial data of each device.',
    and(
      at('completed'),
      eq(live, 1),
      some(({ loaded }) => eq(loaded, 0)),
    ),
  );
  model.never(
    'late-request-fails',
    'A migration of a VM that ran does not complete over a request that nobody has seen.',
    and(at('completed'), eq(live, 1), gt(requests, 0)),
  );
  model.never(
    'no-underflow',
    'No acknowledgement comes that nobody waits for.',
    lt(plus(pending, requests), acks),
  );
  model.always(
    'one-ack-per-request',
    'Until a migration fails there are as many requests as there is initial data to come and acknowledgements on their way.',
    or(at('setup', 'failing', 'failed'), eq(plus(pending, requests), outstanding)),
  );
  model.leadsTo(
    'switchover-ends',
    'A switchover that was decided completes, or the VM runs again.',
    at('switchover', 'failing'),
    at('completed', 'failed'),
    ['progress'],
  );
  model.leadsTo(
    'request-is-answered',
    'Who waits for an acknowledgement gets it, unless the migration ends before.',
    and(at('active'), gt(pending, 0)),
    or(eq(pending, 0), not(at('active'))),
    ['send'],
  );
  model.sometimes('completed', 'A migration of a VM that ran completes.', and(at('completed'), eq(live, 1)));
  model.sometimes(
    'reinit-acknowledged',
    'A device asks again, is acknowledged again, and the migration completes.',
    and(at('completed'), eq(live, 1), lt(reinits, options.faults)),
  );
  model.sometimes(
    'late-request',
    'A device asks again after the decision, and the migration fails.',
    at('failed'),
  );
  model.sometimes(
    'gate-not-asked',
    'A VM that was stopped by its user moves while an acknowledgement is outstanding.',
    and(at('completed'), eq(live, 0), gt(max(pending, requests), 0)),
  );
  model.sound(at('completed', 'failed'));
  const same = devices.every(({ device }) => device.caps === devices[0]!.device.caps);
  model.symmetric(
    'devices',
    same
      ? devices.map(({ device, ...own }) => [
          device.chart.name,
          ...[
            own.initial,
            own.requested,
            own.onTheWay,
            own.loaded,
            ...(own.announced ? [own.announced] : []),
          ].map(({ variable }) => variable),
        ])
      : [],
  );
  return model.build();
}
