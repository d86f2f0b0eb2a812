import { VFIO_STREAM_TAGS, vfioStreamTag } from '../uapi/qemu.js';
import { type BodyParser, Cursor, type Steps } from './cursor.js';
import { hex } from './error.js';
import { StepsRunner } from './steps-runner.js';

/**
 * Runs a parser over bytes that are all there.
 * @param where what the bytes are, for messages
 * @throws StreamError when the bytes are damaged, too few, or more than the parser reads; offsets count from
 * the first byte
 */
export function parseWhole(bytes: Uint8Array, parser: BodyParser, where = ''): void {
  const cursor = new Cursor();
  cursor.where = where;
  const runner = new StepsRunner(cursor, exactly(cursor, parser));
  runner.write(bytes);
  runner.end();
}

function* exactly(c: Cursor, parser: BodyParser): Steps {
  yield* parser(c);
  if (yield* c.has(1)) c.fail('the end of the bytes', 'more of them');
}

/**
 * Reads the config state of a VFIO device as the config packet of a multifd channel holds it:
 * DEV_CONFIG_STATE, the vmstate of the device, END_OF_STATE.
 * @param payload data of the packet, behind VFIO's own head
 * @param parser of the vmstate
 * @throws StreamError when the payload is anything else; offsets count from its first byte
 */
export function parseConfigPacket(payload: Uint8Array, parser: BodyParser, where?: string): void {
  parseWhole(
    payload,
    function* (c) {
      yield* readTag(c, 'DEV_CONFIG_STATE');
      yield* parser(c);
      yield* readTag(c, 'END_OF_STATE');
    },
    where,
  );
}

/** The payload of a config packet: the mirror of `parseConfigPacket`. */
export function configPacket(vmstate: Uint8Array): Uint8Array {
  const out = new Uint8Array(vmstate.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, VFIO_STREAM_TAGS.DEV_CONFIG_STATE);
  out.set(vmstate, 8);
  view.setBigUint64(out.length - 8, VFIO_STREAM_TAGS.END_OF_STATE);
  return out;
}

function* readTag(c: Cursor, expected: 'DEV_CONFIG_STATE' | 'END_OF_STATE'): Steps {
  const at = c.offset;
  const tag = yield* c.u64(expected);
  if (tag !== VFIO_STREAM_TAGS[expected]) c.fail(expected, vfioStreamTag(tag) ?? hex(tag, 16), at);
}
