import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VIRTIO_NET_CTRL } from '../../src/uapi/virtio.js';
import { ControlState, decodeCommands, encodeCommands, parseCommand } from '../../src/vhost/index.js';

const { RX, MAC, VLAN, MQ, GUEST_OFFLOADS, ANNOUNCE } = VIRTIO_NET_CTRL;
const command = fc.oneof(
  fc.record({
    class: fc.constant(RX.class),
    command: fc.nat(5),
    data: fc.uint8Array({ minLength: 1, maxLength: 1 }),
  }),
  fc.record({
    class: fc.constant(MAC.class),
    command: fc.nat(1),
    data: fc.uint8Array({ minLength: 6, maxLength: 6 }),
  }),
  fc.record({
    class: fc.constant(VLAN.class),
    command: fc.nat(1),
    data: fc.tuple(fc.nat(3), fc.nat(1)).map((bytes) => Uint8Array.from(bytes)),
  }),
  fc.record({
    class: fc.constant(MQ.class),
    command: fc.constant(0),
    data: fc.uint8Array({ minLength: 2, maxLength: 2 }),
  }),
);

/** What a device has after commands, the plain way. */
function settings(commands: readonly { class: number; command: number; data: Uint8Array }[]) {
  const values = new Map<string, string>();
  for (const { class: kind, command, data } of commands) {
    const text = [...data].join(' ');
    if (kind !== VLAN.class) values.set(`${kind}.${command}`, text);
    else if (command === VLAN.ADD) values.set(`vlan ${text}`, '');
    else values.delete(`vlan ${text}`);
  }
  return Object.fromEntries([...values].toSorted());
}

test('commands that are sent again give what the guest has set, each once', () => {
  fc.assert(
    fc.property(fc.array(command), (commands) => {
      const state = new ControlState();
      for (const each of commands) state.take(each);
      const again = state.commands();
      expect(settings(again)).toEqual(settings(commands));
      expect(again).toHaveLength(Object.keys(settings(commands)).length);
      const other = new ControlState();
      other.take({ class: RX.class, command: 0, data: Uint8Array.of(9) });
      other.replace(decodeCommands(encodeCommands(again)));
      expect(other.commands()).toEqual(again);
    }),
  );
});

test('the MAC comes first, then queue pairs, offloads, receive modes, VLANs', () => {
  const state = new ControlState();
  const order = [VLAN, RX, GUEST_OFFLOADS, MQ].map(({ class: kind }) => ({
    class: kind,
    command: 0,
    data: Uint8Array.of(1, 0),
  }));
  for (const each of order) state.take(each);
  state.take({ class: MAC.class, command: MAC.TABLE_SET, data: new Uint8Array(8) });
  state.take({ class: MAC.class, command: MAC.ADDR_SET, data: new Uint8Array(6) });
  // Not a setting: it is not sent again.
  state.take({ class: ANNOUNCE.class, command: ANNOUNCE.ACK, data: new Uint8Array() });
  expect(state.commands().map((each) => [each.class, each.command])).toEqual([
    [MAC.class, MAC.ADDR_SET],
    [MAC.class, MAC.TABLE_SET],
    [MQ.class, 0],
    [GUEST_OFFLOADS.class, 0],
    [RX.class, 0],
    [VLAN.class, 0],
  ]);
});

test('bytes that are cut anywhere are refused, or are fewer commands', () => {
  fc.assert(
    fc.property(fc.array(command, { minLength: 1 }), fc.nat(), (commands, at) => {
      const bytes = encodeCommands(commands);
      const cut = at % bytes.length;
      let taken: unknown[];
      try {
        taken = decodeCommands(bytes.subarray(0, cut));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return;
      }
      expect(taken).toEqual(commands.slice(0, taken.length));
      expect(taken.length).toBeLessThan(commands.length);
    }),
  );
  expect(parseCommand(Uint8Array.of(1))).toBeNull();
});
