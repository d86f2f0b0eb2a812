import type { Linux, Mapping } from '../../src/linux/index.js';
import type { SharedMemory } from '../../src/uapi/vhost-backend.js';
import type { BackEndOptions, Ended } from '../../src/vhost-user/index.js';
import { serveVhostUser, VhostUserFrontEnd } from '../../src/vhost-user/index.js';
import { FakeDevice } from './fake-device.js';

/** Both ends of a connection in this process. */
export interface Pair {
  readonly device: FakeDevice;
  readonly front: VhostUserFrontEnd;
  readonly ended: Promise<Ended>;
  readonly refused: string[];
  /** Closes the front end, and waits for the back end's end. */
  end(): Promise<Ended>;
}

export function makePair(linux: Linux, options: BackEndOptions & { frontMs?: number } = {}): Pair {
  const [one, other] = linux.socketpair();
  const device = new FakeDevice();
  const refused: string[] = [];
  const ended = serveVhostUser(linux, other, device, {
    onRefused: (request, { message }) => refused.push(`${request}: ${message}`),
    ...options,
  });
  const front = new VhostUserFrontEnd(linux, one, { timeoutMs: options.frontMs ?? 5000 });
  return {
    device,
    front,
    ended,
    refused,
    end() {
      front.close();
      return ended;
    },
  };
}

/** Memory of both, with its descriptor. */
export class Shared implements SharedMemory {
  readonly bytes: Uint8Array;
  readonly fd: number;
  readonly #linux: Linux;
  readonly #mapping: Mapping;

  constructor(linux: Linux, size: number) {
    this.#linux = linux;
    this.fd = linux.memfd('test', size);
    this.#mapping = linux.mmap(this.fd, { length: size });
    this.bytes = this.#mapping.bytes;
  }

  close(): void {
    this.#mapping.unmap();
    this.#linux.close(this.fd);
  }
}
