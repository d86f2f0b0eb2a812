import type { VmStateDescription, VmStateEntry } from 'stopcopy/vmstate';
import type { Sequence } from '../e810-vf/sequence.js';
import type { NetWire, NetWireState } from './wire.js';

/** Most bytes of a wire's state in a stream. */
const MOST = 64 << 10;

/**
 * The section of the stream by which the cable is put into the other host.
 * @param device name of the device
 */
export function wireState(device: string, wire: NetWire): VmStateEntry {
  const target = { length: 0, text: new Uint8Array() };
  const description: VmStateDescription = {
    name: 'virtio-net/wire',
    version: 1,
    minimumVersion: 1,
    fields: [
      { name: 'length', type: 'u32' },
      { name: 'text', type: { varray: 'length', of: 'u8', most: MOST } },
    ],
    preSave: () => {
      target.text = new TextEncoder().encode(JSON.stringify(wire.state));
      target.length = target.text.length;
    },
    postLoad: () => {
      wire.state = stateIn(target.text, wire.state);
    },
  };
  return { idstr: `${device}/wire`, instance: 0, description, target };
}

/** @throws RangeError when the bytes are no state of a wire like this one */
function stateIn(bytes: Uint8Array, like: NetWireState): NetWireState {
  let state: unknown;
  try {
    state = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new RangeError('the state of the wire is no JSON');
  }
  if (!isState(state, like)) throw new RangeError('the state of the wire has not the form of one');
  return state;
}

const SEQUENCE: Readonly<Record<keyof Sequence, true>> = {
  next: true,
  window: true,
  seen: true,
  duplicated: true,
  reordered: true,
};

function isState(value: unknown, like: NetWireState): value is NetWireState {
  if (!isObject(value)) return false;
  const { counts, fromGuest, next, random, offered } = value;
  return (
    isCount(random) &&
    isCount(offered) &&
    haveCounts(counts, like.counts) &&
    Array.isArray(next) &&
    next.length === like.next.length &&
    next.every(isCount) &&
    Array.isArray(fromGuest) &&
    fromGuest.every((each) => Array.isArray(each) && isCount(each[0]) && haveCounts(each[1], SEQUENCE))
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const haveCounts = (value: unknown, like: object): boolean =>
  isObject(value) && Object.keys(like).every((name) => isCount(value[name]));
