import { describe, expect, test } from 'vitest';
import { type Machine, startChart } from '../../src/machines/index.js';
import { vhostUser } from '../../src/machines/vhost-user.js';
import { vhostUserPostcopy } from '../../src/machines/vhost-user-postcopy.js';
import {
  VHOST_USER_REQUEST_SHAPES,
  vhostUserRequestShape,
  vhostUserTableRegions,
} from '../../src/machines/vhost-user-requests.js';
import { vhostUserTransfer } from '../../src/machines/vhost-user-transfer.js';
import { vhostUserVring } from '../../src/machines/vhost-user-vring.js';
import { VHOST_USER_ANSWERED, VHOST_USER_REQUEST_NAMES } from '../../src/uapi/vhost-user.js';

/** Sends events to a chart; the configuration at the end, or which event was refused where. */
function walk(machine: Machine, ...events: string[]): string {
  const chart = startChart(machine);
  try {
    for (const event of events)
      if (!chart.send(event)) return `${event} refused in ${chart.configuration.join(' ')}`;
    return chart.configuration.join(' ');
  } finally {
    chart.stop();
  }
}

describe('a ring', () => {
  const ring = (...events: string[]) => walk(vhostUserVring(), ...events);
  const up = ['NUM', 'BASE', 'ADDR', 'KICK'];

  test.each([
    ['is stopped and disabled at first', [], 'unstarted disabled unset plain'],
    ['may be enabled before it starts', ['ENABLE.on', ...up], 'armed enabled set plain'],
    ['is started by a kick', [...up, 'KICKED'], 'started disabled set plain'],
    ['or by VRING_KICK', ['ADDR', 'INBAND'], 'started disabled set plain'],
    ['hears no kick without its descriptor', ['KICKED'], 'unstarted disabled unset plain'],
    [
      'is stopped by GET_VRING_BASE, and stays enabled',
      ['ENABLE.on', ...up, 'KICKED', 'STOP'],
      'stopped enabled set plain',
    ],
    ['may be asked for its base when it never ran', ['BASE', 'STOP'], 'stopped disabled unset plain'],
    ['starts again', [...up, 'KICKED', 'STOP', 'BASE', 'KICK', 'KICKED'], 'started disabled set plain'],
    ['takes its log flag while it runs', [...up, 'KICKED', 'ADDR.log'], 'started disabled set logged'],
    ['takes no size then', [...up, 'KICKED', 'NUM'], 'NUM refused in started disabled set plain'],
    ['nor a base', [...up, 'KICKED', 'BASE'], 'BASE refused in started disabled set plain'],
    [
      'does not work after GET_VRING_BASE',
      [...up, 'KICKED', 'STOP', 'WORK'],
      'WORK refused in stopped disabled set plain',
    ],
    [
      'fills no buffer while disabled',
      [...up, 'KICKED', 'WORK', 'EFFECT'],
      'EFFECT refused in started disabled set plain',
    ],
    ['works before a kick with libvhost-user', ['ENABLE.on', ...up, 'EFFECT'], 'started enabled set plain'],
    ['is enabled without bit 30', ['AUTO'], 'unstarted enabled unset plain'],
    ['is disabled by a reset', ['ENABLE.on', ...up, 'KICKED', 'RESET.kept'], 'started disabled set plain'],
  ])('%s', (_title, events, end) => expect(ring(...events)).toBe(end));
});

describe('a session', () => {
  const session = (...events: string[]) => walk(vhostUser(), ...events);

  test.each([
    [
      'as QEMU begins it',
      [
        'OFFER.protocol',
        'PROTOCOL.get',
        'PROTOCOL.set',
        'OWNER',
        'ENABLE',
        'ACK.protocol',
        'MEM',
        'ADDR',
        'RUN',
        'RINGS.armed',
      ],
      'owned protocol table off armed',
    ],
    [
      'no protocol features without bit 30',
      ['OFFER.plain', 'PROTOCOL.get'],
      'PROTOCOL.get refused in unowned plain none off suspended',
    ],
    [
      'no SET_VRING_ENABLE without it',
      ['OFFER.protocol', 'ACK.plain', 'ENABLE'],
      'ENABLE refused in unowned declined none off suspended',
    ],
    ['the log first', ['OWNER', 'LOG', 'ACK.protocol.log', 'RUN.log'], 'owned protocol none on suspended'],
    [
      'LOG_ALL before the log, and no ring',
      ['OWNER', 'ACK.protocol.log', 'LOG', 'RUN'],
      'owned protocol none on suspended',
    ],
    [
      'LOG_ALL before the log, and a ring',
      ['OWNER', 'ACK.protocol.log', 'RUN'],
      'RUN refused in owned protocol none wanted suspended',
    ],
    ['a log flag without a log', ['OWNER', 'RUN.log'], 'RUN.log refused in owned unknown none off suspended'],
    [
      'the log stays when logging ends',
      ['LOG', 'ACK.protocol.log', 'ACK.protocol'],
      'unowned protocol none given suspended',
    ],
    [
      'no writes while suspended',
      ['RINGS.started', 'WRITE', 'RINGS.stopped', 'WRITE'],
      'WRITE refused in unowned unknown none off suspended',
    ],
    [
      'no messages either',
      ['RINGS.armed', 'MESSAGE', 'RINGS.stopped', 'MESSAGE'],
      'MESSAGE refused in unowned unknown none off suspended',
    ],
  ])('%s', (_title, events, end) => expect(session(...events)).toBe(end));
});

describe('a transfer of device state', () => {
  const transfer = (...events: string[]) => walk(vhostUserTransfer(), ...events);

  test.each([
    ['that is saved', ['BEGIN.save', 'END', 'CHECK.ok'], 'stopped idle'],
    ['that is loaded', ['BEGIN.load', 'END', 'CHECK.ok', 'RINGS.armed'], 'armed idle'],
    [
      'that could not be loaded',
      ['BEGIN.load', 'END', 'CHECK.error', 'RINGS.armed'],
      'RINGS.armed refused in stopped failed',
    ],
    ['that is tried again', ['BEGIN.load', 'END', 'CHECK.error', 'BEGIN.load'], 'stopped loading'],
    ['while rings run', ['RINGS.started', 'BEGIN.save'], 'BEGIN.save refused in started idle'],
    ['twice at a time', ['BEGIN.save', 'BEGIN.save'], 'BEGIN.save refused in stopped saving'],
    ['that is checked too early', ['BEGIN.save', 'CHECK.ok'], 'CHECK.ok refused in stopped saving'],
    ['that nobody began', ['CHECK.ok'], 'CHECK.ok refused in stopped idle'],
    ['that was refused', ['REFUSED.save', 'CHECK.ok'], 'CHECK.ok refused in stopped idle'],
    [
      'that ends when rings start',
      ['BEGIN.save', 'RINGS.armed', 'RINGS.stopped', 'BEGIN.save'],
      'stopped saving',
    ],
  ])('%s', (_title, events, end) => expect(transfer(...events)).toBe(end));
});

describe('post-copy', () => {
  test.each([
    ['in its order', ['ADVISE', 'LISTEN', 'END'], 'ended'],
    ['that is not used', ['ADVISE', 'ADVISE'], 'advised'],
    ['without advice', ['LISTEN'], 'LISTEN refused in none'],
    ['that ends before it begins', ['ADVISE', 'END'], 'END refused in advised'],
  ])('%s', (_title, events, end) => expect(walk(vhostUserPostcopy(), ...events)).toBe(end));
});

describe('the shapes of requests', () => {
  test('there is one for each request', () =>
    expect(Object.keys(VHOST_USER_REQUEST_SHAPES).sort()).toEqual([...VHOST_USER_REQUEST_NAMES].sort()));

  test('those with an answer of their own are those that are told with their answer', () => {
    const own = VHOST_USER_REQUEST_NAMES.filter((name) =>
      ['own', 'unsure'].includes(VHOST_USER_REQUEST_SHAPES[name].reply),
    );
    expect(new Set(own)).toEqual(new Set(VHOST_USER_ANSWERED));
  });

  test.each([
    ['SET_LOG_BASE', [8, 16]],
    ['SET_VRING_ADDR', [40, 40]],
    ['SET_DEVICE_STATE_FD', [8, 8]],
    ['ADD_MEM_REG', [40, 56]],
  ] as const)('%s has the payload of the text', (name, payload) =>
    expect(VHOST_USER_REQUEST_SHAPES[name].payload).toEqual(payload),
  );

  test('a number, or a name that is none, has no shape', () => {
    for (const name of [1, 99, 'toString', 'GET_NOTHING'])
      expect(vhostUserRequestShape(name)).toBeUndefined();
  });

  test.each([
    [8, [0, 0]],
    [40, [1]],
    [72, [2]],
    [56, [1]],
    [8 + 96, [3, 2]],
    [41, []],
    [7, []],
  ])('a memory table of %i bytes', (bytes, regions) => expect(vhostUserTableRegions(bytes)).toEqual(regions));
});
