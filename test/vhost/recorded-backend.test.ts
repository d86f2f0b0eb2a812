import { expect, test } from 'vitest';
import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/index.js';
import { DeviceError } from '../../src/uapi/device.js';
import { VHOST_ACCESS, VHOST_IOTLB } from '../../src/uapi/vhost.js';
import type { VhostBackend, VhostInterface } from '../../src/uapi/vhost-backend.js';
import { recordedBackend } from '../../src/vhost/index.js';
import { type Answers, regionOf, scriptedBackend } from './scripted-backend.js';

const ADDRESSES = { desc: 0x1000, avail: 0x2000, used: 0x3000, logGuestAddr: 0x4000, log: true };
const REGION = { memory: { bytes: new Uint8Array(64) }, queues: 2, queueSize: 8 };
const MESSAGE = { asid: 1, iova: 0x5000, size: 0x1000, uaddr: 0, perm: VHOST_ACCESS.RW };

/** Every request, and the event that it is. */
const REQUESTS: readonly [call: (backend: VhostBackend) => unknown, event: Record<string, unknown>][] = [
  [(b) => b.setOwner(), { kind: 'vhost_set_owner' }],
  [(b) => b.resetOwner(), { kind: 'vhost_reset_owner' }],
  [(b) => b.getFeatures(), { kind: 'vhost_offered', features: '0x5' }],
  [(b) => b.setFeatures(6n), { kind: 'vhost_set_features', features: '0x6' }],
  [(b) => b.getProtocolFeatures(), { kind: 'vhost_offered', protocolFeatures: '0x7' }],
  [(b) => b.setProtocolFeatures(8n), { kind: 'vhost_set_protocol_features', features: '0x8' }],
  [(b) => b.getBackendFeatures(), { kind: 'vhost_offered', backendFeatures: '0x9' }],
  [(b) => b.setBackendFeatures(10n), { kind: 'vhost_set_backend_features', features: '0xa' }],
  [
    (b) => b.setMemTable([regionOf(16)]),
    { kind: 'vhost_mem_table', regions: [{ gpa: '0x10000', size: '0x10000' }] },
  ],
  [(b) => b.setLogBase({ bytes: new Uint8Array(16) }), { kind: 'vhost_log_base', size: '0x10' }],
  [(b) => b.setLogBase(null), { kind: 'vhost_log_base', none: true }],
  [(b) => b.setVringNum(1, 64), { kind: 'vring_num', index: 1, num: 64 }],
  [(b) => b.setVringBase(1, 5), { kind: 'vring_base', index: 1, num: 5 }],
  [(b) => b.getVringBase(1), { kind: 'vring_base_read', index: 1, num: 11 }],
  [
    (b) => b.setVringAddr(1, ADDRESSES),
    { kind: 'vring_addr', index: 1, log: true, used: '0x3000', logGuestAddr: '0x4000' },
  ],
  [(b) => b.setVringKick(1, true), { kind: 'vring_kick_fd', index: 1, attached: true }],
  [(b) => b.setVringCall(1, null), { kind: 'vring_call_fd', index: 1, attached: false }],
  [(b) => b.setVringEnable(1, true), { kind: 'vring_enable', index: 1, on: true }],
  [(b) => b.setBackend(0, false), { kind: 'vring_backend', index: 0, attached: false }],
  [(b) => b.getStatus(), { kind: 'vdpa_status_read', status: 12 }],
  [(b) => b.setStatus(3), { kind: 'vdpa_status', status: 3 }],
  [(b) => b.suspend(), { kind: 'vdpa_suspend' }],
  [(b) => b.resume(), { kind: 'vdpa_resume' }],
  [(b) => b.setGroupAsid(1, 1), { kind: 'vdpa_group_asid', group: 1, asid: 1 }],
  [
    (b) => b.iotlb({ type: VHOST_IOTLB.UPDATE, ...MESSAGE }),
    { kind: 'vhost_iotlb', type: 'update', asid: 1, iova: '0x5000', size: '0x1000' },
  ],
  [(b) => b.getConfig(0, 6), { kind: 'vhost_config', write: false, offset: 0, size: 6 }],
  [(b) => b.setConfig(0, new Uint8Array(6)), { kind: 'vhost_config', write: true, size: 6 }],
  [(b) => b.resetDevice(), { kind: 'vhost_reset_device' }],
  [(b) => b.getInflight(2, 8), { kind: 'vhost_inflight', set: false, queues: 2, queueSize: 8 }],
  [(b) => b.setInflight(REGION), { kind: 'vhost_inflight', set: true, queues: 2, queueSize: 8 }],
  [(b) => b.sendRarp(new Uint8Array(6)), { kind: 'vhost_rarp' }],
];
const ANSWERS: Answers = {
  getFeatures: () => 5n,
  getProtocolFeatures: () => 7n,
  getBackendFeatures: () => 9n,
  getVringBase: () => 11,
  getStatus: () => 12,
  getInflight: () => REGION,
  saveState: () => new Uint8Array(20),
};

function record(face: VhostInterface, answers: Answers) {
  const events: TraceEvent[] = [];
  const { backend, requests } = scriptedBackend(face, answers);
  let t = 0;
  const recorded = recordedBackend(backend, {
    host: 'source',
    emit: (event) => events.push(event),
    now: () => ++t,
  });
  return { recorded, events, requests };
}

test('every request is an event of the vocabulary, and reaches the back end', async () => {
  const { recorded, events, requests } = record('user', ANSWERS);
  for (const [call, expected] of REQUESTS) {
    await call(recorded);
    expect(events.at(-1)).toMatchObject({ ...expected, host: 'source', device: 'net0', errno: 0 });
  }
  expect(requests).toHaveLength(REQUESTS.length);
  expect(events.map(({ t }) => t)).toEqual(events.map((_, n) => n + 1));
  for (const event of events) traceEventSchema.parse(event);
});

test('a refusal is told with its number, and goes on', async () => {
  const refuse = () => {
    throw new DeviceError('EBUSY', 'not now');
  };
  for (const [call, { kind }] of REQUESTS) {
    const answers = new Proxy({}, { get: () => refuse }) as Answers;
    const { recorded, events } = record('user', answers);
    await expect(Promise.resolve().then(() => call(recorded))).rejects.toThrow(/EBUSY/);
    expect(events).toMatchObject([{ kind, errno: 16 }]);
    traceEventSchema.parse(events[0]);
  }
});

test('an error that is no answer leaves no event', async () => {
  const { recorded, events } = record('user', {
    setOwner: () => {
      throw new TypeError('a fault of the program');
    },
  });
  await expect(recorded.setOwner()).rejects.toThrow(TypeError);
  expect(events).toEqual([]);
});

test('a transfer of state is its three requests; a log of the kernel has no size; the first kick counts', async () => {
  const user = record('user', ANSWERS);
  expect((await user.recorded.saveState()).length).toBe(20);
  await user.recorded.loadState(new Uint8Array(30));
  await user.recorded.close();
  expect(user.events).toMatchObject([
    { kind: 'vhost_state_fd', direction: 'save', errno: 0 },
    { kind: 'vhost_state_end', bytes: 20 },
    { kind: 'vhost_state_check', errno: 0 },
    { kind: 'vhost_state_fd', direction: 'load', errno: 0 },
    { kind: 'vhost_state_end', bytes: 30 },
    { kind: 'vhost_state_check', errno: 0 },
    { kind: 'vhost_close', interface: 'user' },
  ]);
  const kernel = record('kernel', {});
  await kernel.recorded.setLogBase({ bytes: new Uint8Array(16) });
  expect(kernel.events[0]).not.toHaveProperty('size');
  kernel.events.length = 0;
  await kernel.recorded.setVringKick(0, true);
  for (let n = 0; n < 3; n++) kernel.recorded.kick(0);
  await kernel.recorded.setVringKick(0, true);
  kernel.recorded.kick(0);
  expect(kernel.events.map(({ kind }) => kind)).toEqual([
    'vring_kick_fd',
    'vring_kick',
    'vring_kick_fd',
    'vring_kick',
  ]);
  expect(kernel.requests.filter((each) => each === 'kick 0')).toHaveLength(4);
});
