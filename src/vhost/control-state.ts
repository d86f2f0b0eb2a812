import { VIRTIO_NET_CTRL } from '../uapi/virtio.js';

/** A command of the control queue: class, command, and what follows. */
export interface ControlCommand {
  readonly class: number;
  readonly command: number;
  readonly data: Uint8Array;
}

/** Bytes before the data of a command. */
const HEAD = 2;

/** The command in the readable bytes of a buffer, or null when there is none. */
export function parseCommand(bytes: Uint8Array): ControlCommand | null {
  if (bytes.length < HEAD) return null;
  return { class: bytes[0]!, command: bytes[1]!, data: Uint8Array.from(bytes.subarray(HEAD)) };
}

export function encodeCommand(command: ControlCommand): Uint8Array {
  return Uint8Array.of(command.class, command.command, ...command.data);
}

const { MAC, MQ, GUEST_OFFLOADS, RX, VLAN } = VIRTIO_NET_CTRL;
/** Classes whose last command of each number says all. */
const LAST_COUNTS: ReadonlySet<number> = new Set([RX.class, MAC.class, MQ.class, GUEST_OFFLOADS.class]);
/** The order in which QEMU restores; within a class by the number of the command. */
const ORDER: readonly number[] = [MAC.class, MQ.class, GUEST_OFFLOADS.class, RX.class, VLAN.class];

/**
 * What a guest has set by its control queue, in the form in which it is set again: kept by the VMM that sees each
 * command, for a vDPA device gives none of it back.
 */
export class ControlState {
  readonly #last = new Map<string, ControlCommand>();
  readonly #vlans = new Map<number, Uint8Array>();

  /** The device has accepted a command. */
  take(command: ControlCommand): void {
    if (LAST_COUNTS.has(command.class)) this.#last.set(`${command.class} ${command.command}`, command);
    if (command.class !== VLAN.class || command.data.length < 2) return;
    const vlan = command.data[0]! | (command.data[1]! << 8);
    if (command.command === VLAN.ADD) this.#vlans.set(vlan, command.data.slice(0, 2));
    else this.#vlans.delete(vlan);
  }

  /** The commands that bring a device to this state: MAC first, VLANs last. */
  commands(): ControlCommand[] {
    const vlans = [...this.#vlans.values()].map((data) => ({ class: VLAN.class, command: VLAN.ADD, data }));
    const rank = ({ class: kind, command }: ControlCommand) =>
      ORDER.indexOf(kind) * 256 + rankIn(kind, command);
    return [...this.#last.values(), ...vlans].sort((a, b) => rank(a) - rank(b));
  }

  /** Forgets what was, and takes these commands. */
  replace(commands: readonly ControlCommand[]): void {
    this.#last.clear();
    this.#vlans.clear();
    for (const command of commands) this.take(command);
  }
}

/** The own MAC is set before the table of further ones. */
function rankIn(kind: number, command: number): number {
  if (kind !== MAC.class) return command;
  return command === MAC.ADDR_SET ? 0 : 1 + command;
}

/** Commands as bytes, each behind its length (u16, little endian): for a stream. */
export function encodeCommands(commands: readonly ControlCommand[]): Uint8Array {
  const parts = commands.flatMap((each) => {
    const bytes = encodeCommand(each);
    return [Uint8Array.of(bytes.length & 0xff, bytes.length >> 8), bytes];
  });
  return Buffer.concat(parts);
}

/** The commands of such bytes. @throws RangeError when they are cut */
export function decodeCommands(bytes: Uint8Array): ControlCommand[] {
  const commands: ControlCommand[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    const command = parseCommand(bytes.subarray(at + 2, at + 2 + length));
    if (command === null || at + 2 + length > bytes.length)
      throw new RangeError(`commands of the control queue: cut at byte ${at} of ${bytes.length}`);
    commands.push(command);
    at += 2 + length;
  }
  return commands;
}
