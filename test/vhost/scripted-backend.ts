import type { SharedMemory, VhostBackend, VhostInterface } from '../../src/uapi/vhost-backend.js';
import { featureBits, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';
import { VhostDevice, type VhostDeviceOptions, type VirtioState } from '../../src/vhost/index.js';

/** What a back end answers to each of its requests; a request that is not here is answered with nothing. */
export type Answers = {
  readonly [K in keyof VhostBackend]?: VhostBackend[K] extends (...of: infer A) => unknown
    ? (...of: A) => unknown
    : never;
};

/** How an argument is written down. */
function word(value: unknown): string {
  if (typeof value === 'function') return 'call';
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (Array.isArray(value)) return `[${value.map(word).join(' ')}]`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value !== 'object' || value === null) return String(value);
  const entries = Object.entries(value).filter(([, each]) => typeof each !== 'object');
  return `{${entries.map(([key, each]) => `${key} ${word(each)}`).join(', ')}}`;
}

/** A back end that writes down what it is asked, in order, and answers as it was told to. */
export function scriptedBackend(face: VhostInterface, answers: Answers) {
  const requests: string[] = [];
  const own = { name: 'net0', interface: face, queues: 2 };
  const backend = new Proxy(own, {
    get: (target, key: string) => {
      if (key in target) return target[key as keyof typeof target];
      return (...of: unknown[]) => {
        requests.push([key, ...of.map(word)].join(' '));
        const answer = answers[key as keyof VhostBackend] as ((...of: unknown[]) => unknown) | undefined;
        return answer?.(...of);
      };
    },
  }) as unknown as VhostBackend;
  return { backend, requests };
}

export const PAGE = 4096;
const GPA = 0x10_000;
const UADDR = 0x7f00_0000_0000;
export const [DESC, AVAIL, USED] = [GPA, GPA + 0x1000, GPA + 0x2000];

/** Guest memory of so many pages from `GPA` on, mapped at `UADDR`; the indices of ring 1 stand at 7. */
export function regionOf(pages: number, memory: SharedMemory = { bytes: new Uint8Array(pages * PAGE) }) {
  for (const ring of [AVAIL, USED]) memory.bytes[ring - GPA + 0x100 + 2] = 7;
  return { gpa: GPA, size: pages * PAGE, uaddr: UADDR, offset: 0, memory };
}

/** Two rings that a guest has set up; the second one goes on at 7. */
export function stateOf(features = 0n): VirtioState {
  const ring = (index: number, base: number) => ({
    index,
    size: 4,
    parts: { desc: DESC + index * 0x100, avail: AVAIL + index * 0x100, used: USED + index * 0x100 },
    base,
  });
  const VERSION_1 = featureBits(VIRTIO_FEATURES.VERSION_1);
  return { features: features | VERSION_1, rings: [ring(0, 0), ring(1, 7)], controlQueue: null };
}

/** A device on such a back end; what it tells goes among the requests, in brackets. */
export async function scriptedDevice(
  face: VhostInterface,
  answers: Answers,
  options: Partial<VhostDeviceOptions> = {},
) {
  const { backend, requests } = scriptedBackend(face, answers);
  let address = UADDR * 2;
  const allocated: (SharedMemory & { address: number })[] = [];
  const device = new VhostDevice({
    backend,
    regions: [regionOf(16)],
    allocate: (bytes) => {
      const memory = { bytes: new Uint8Array(Math.ceil(bytes / PAGE) * PAGE), address };
      address += memory.bytes.length + PAGE;
      allocated.push(memory);
      return memory;
    },
    call: (index) => {
      requests.push(`[call ${index}]`);
    },
    ...options,
  });
  await device.open();
  requests.length = 0;
  device.state = stateOf();
  /** What was asked since the last time. */
  const asked = () => requests.splice(0);
  return { device, asked, allocated };
}
