import { and, eq, ge, lt, ne, not, or, plus } from '../expression.js';
import { AT, dataWritten, MAIN, type Multifd, PACKET } from './multifd-parts.js';

/** What shall hold of a migration over multifd channels. */
export function multifdProperties(parts: Multifd): void {
  devices(parts);
  memory(parts);
  course(parts);
  witnesses(parts);
  parts.model.sound(ends(parts));
}

const ends = (parts: Multifd) =>
  or(
    and(parts.statusIs('src', 'completed'), parts.statusIs('dst', 'completed')),
    and(parts.statusIs('src', 'failed'), parts.statusIs('dst', 'failed')),
  );

function devices(parts: Multifd): void {
  const { model } = parts;
  model.never(
    'in-order',
    'No data packet is written before the one with the number before it.',
    parts.somePacket(({ config, state, before }) =>
      config || before === null ? 0 : and(ge(state, PACKET.written), lt(before.state, PACKET.written)),
    ),
  );
  model.never(
    'once',
    'No packet is written twice.',
    parts.somePacket(({ state }) => eq(state, PACKET.twice)),
  );
  model.never(
    'config-last',
    'The config state is not loaded before all data packets are written.',
    or(
      ...parts.devices.map((each) =>
        and(each.vmm.in('vmm-destination', 'config', 'loaded'), not(dataWritten(each))),
      ),
    ),
  );
  model.never(
    'written-in-resuming',
    'Nothing is written to a device that is not in RESUMING yet.',
    parts.somePacket(({ state }, device) => and(ge(state, PACKET.written), parts.beforeSetup(device))),
  );
  model.never(
    'no-packet-before-setup',
    'No packet comes for a device whose load_setup has not ended: the destination would refuse it.',
    parts.somePacket(({ state }, device) => and(ge(state, PACKET.queued), parts.beforeSetup(device))),
  );
  model.never(
    'loads-after-switchover',
    'Nothing is written to a device before SWITCHOVER_START.',
    and(
      lt(parts.handled, MAIN.switchover),
      parts.somePacket(({ state }) => ge(state, PACKET.written)),
    ),
  );
}

function memory(parts: Multifd): void {
  const { model, pages } = parts;
  model.never(
    'no-older-page',
    'No page is overwritten by an older version.',
    or(...pages.map(({ at }) => eq(at, AT.undone))),
  );
  model.never(
    'memory-equal',
    'When the VM runs at the destination, each page is as the source had it at the stop.',
    and(parts.runs('dst'), or(...pages.map(({ at, version }) => ne(at, plus(version, AT.first))))),
  );
  model.never(
    'drained',
    'When the VM runs at the destination, no channel holds anything.',
    and(parts.runs('dst'), or(...parts.channels.map(({ slot }) => ne(slot, 0)))),
  );
}

function course(parts: Multifd): void {
  const { model } = parts;
  model.never(
    'one-vm',
    'The VM never runs at the source and at the destination.',
    and(parts.runs('src'), parts.runs('dst')),
  );
  model.never(
    'loaded-before-run',
    'The VM does not run at the destination before all device state is loaded.',
    and(parts.runs('dst'), not(parts.allLoaded())),
  );
  model.leadsTo(
    'closed-fails',
    'A channel that breaks before all has come fails the load.',
    parts.someClosed(),
    parts.statusIs('dst', 'failed'),
    ['progress'],
  );
  model.leadsTo(
    'migration-ends',
    'After the stop the migration completes, or it fails and the VM runs at the source again.',
    parts.statusIs('src', 'device', 'failing'),
    or(parts.statusIs('src', 'completed'), and(parts.statusIs('src', 'failed'), parts.runs('src'))),
    ['progress'],
  );
}

function witnesses(parts: Multifd): void {
  const { model } = parts;
  model.sometimes('completed', 'A migration completes.', parts.statusIs('src', 'completed'));
  model.sometimes(
    'failed-and-back',
    'A channel breaks after the stop, and the VM runs at the source again.',
    and(parts.statusIs('src', 'failed'), ge(parts.sent, MAIN.switchover)),
  );
  model.sometimes(
    'overtaken',
    'A packet comes before the one with the number before it.',
    parts.somePacket(({ state, before }) =>
      before === null ? 0 : and(ge(state, PACKET.queued), eq(before.state, PACKET.sent)),
    ),
  );
  model.sometimes(
    'sent-again',
    'A page in its second version waits in a channel, while the first is in another.',
    or(
      ...parts.pages.map(({ code }) =>
        and(
          or(...parts.channels.map(({ slot }) => eq(slot, code))),
          or(...parts.channels.map(({ slot }) => eq(slot, code + 1))),
        ),
      ),
    ),
  );
}
