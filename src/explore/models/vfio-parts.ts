import {
  type CapabilitySet,
  callEvent,
  hasSession,
  isRunning,
  mayDoP2p,
  opensSession,
  statesOf,
} from '../../machines/index.js';
import { vfioDevice } from '../../machines/vfio-device.js';
import type { TraceEvent } from '../../trace/event.js';
import { ERRNO } from '../../uapi/errno.js';
import type { MigState } from '../../uapi/vfio.js';
import type { ComponentHandle, ModelBuilder } from '../builder.js';
import type { Expression } from '../expression.js';
import type { ModelOptions, Sync } from '../model.js';

/** Parts of models in which VMMs drive VFIO devices. */

export type Side = 'src' | 'dst';

/** A VFIO device in a model: its chart on one host. */
export interface DeviceHandle {
  /** As traces call it; the same on both hosts. */
  readonly device: string;
  readonly side: Side;
  readonly caps: CapabilitySet;
  readonly chart: ComponentHandle;
  /** Whether it is in one of these states, of those that it has. */
  in(...states: readonly MigState[]): Expression;
  /** It is in a state with this property, such as `isRunning`. */
  is(property: (state: MigState) => boolean): Expression;
}

/** The capabilities of device `index`. */
export function capabilitiesOf({ capabilities }: ModelOptions, index: number): CapabilitySet {
  return capabilities[index % capabilities.length]!;
}

/** Adds the device's chart, named `vf0` on a host that is alone in its model, else `vf0 src` and `vf0 dst`. */
export function addDevice(
  model: ModelBuilder,
  index: number,
  side: Side,
  options: { caps: CapabilitySet; alone?: boolean },
): DeviceHandle {
  const { caps, alone = false } = options;
  const device = `vf${index}`;
  const chart = model.component(alone ? device : `${device} ${side}`, vfioDevice(caps));
  const own = statesOf(caps);
  const among = (states: readonly MigState[]): Expression =>
    states.length === 0 ? 0 : chart.in('device', ...states);
  return {
    device,
    side,
    caps,
    chart,
    in: (...states) => among(states.filter((state) => own.includes(state))),
    is: (property) => among(own.filter(property)),
  };
}

/** The event of a request that succeeds from one state in another, to the device's chart. */
export function granted({ chart }: DeviceHandle, from: MigState, to: MigState): Sync {
  return chart.on(opensSession(from, to) ? `SET.${to}.data_fd` : `SET.${to}`);
}

/** What traces hold of a request that succeeds. */
export function setStateEvents(
  { device, side }: DeviceHandle,
  from: MigState,
  to: MigState,
  recover: MigState,
): TraceEvent[] {
  const on = { host: side, device };
  return [
    { kind: 'set_state', ...on, state: to, recover },
    { kind: 'set_state_result', ...on, state: to, errno: 0, dataFd: opensSession(from, to) },
  ];
}

/** What traces hold of a request that fails with EIO. */
export function failedStateEvents(
  { device, side }: DeviceHandle,
  to: MigState,
  recover: MigState,
): TraceEvent[] {
  const on = { host: side, device };
  return [
    { kind: 'set_state', ...on, state: to, recover },
    { kind: 'set_state_result', ...on, errno: ERRNO.EIO! },
  ];
}

/** Whether all have the same capabilities, and so are the same but for their names. */
export function sameCapabilities(devices: readonly DeviceHandle[]): boolean {
  return devices.every(({ caps }) => caps === devices[0]!.caps);
}

/** The event of the call to the VMM's charts: see `vmm-set-state`. */
export { callEvent, hasSession, isRunning, mayDoP2p };
