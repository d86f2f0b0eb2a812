import { UserFace } from 'stopcopy/devices';
import type { Linux, UnixListener } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import { VHOST_FEATURES } from '../../uapi/vhost.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../../uapi/vhost-user.js';
import { featureBits, VIRTIO_FEATURES } from '../../uapi/virtio.js';
import { captureEnd, captureLine, serveVhostUser } from '../../vhost-user/index.js';
import { CaptureFile } from '../proxy/capture-file.js';
import { NetPeer, type NetPeerCounts } from './net-peer.js';

/** What happens to a back end that is served. */
export type VhostUserServeEvent =
  | { readonly event: 'listening'; readonly socket: string; readonly device: string }
  | { readonly event: 'client' }
  | {
      readonly event: 'gone';
      readonly reason: string;
      readonly commands: number;
      readonly refused: number;
      readonly wire: NetPeerCounts;
    }
  | { readonly event: 'trouble'; readonly message: string };

export interface FrontEndLoopOptions {
  readonly queuePairs: number;
  readonly seed: number;
  readonly timeoutMs: number;
  /** Name of the capture of the first front end. */
  readonly record: string | null;
  tell(event: VhostUserServeEvent): void;
}

/** Who answers at the other end of the wire. */
const PEER = { mac: Uint8Array.of(0x02, 0x77, 0x69, 0x72, 0x65, 0x01), ip: Uint8Array.of(192, 168, 76, 1) };

/**
 * Without offloads: frames come whole and with their checksums, as the peer reads them. And without a vIOMMU: QEMU
 * takes that only from a back end with a channel of its own.
 */
const FEATURES = featureBits(
  VIRTIO_FEATURES.VERSION_1,
  VIRTIO_FEATURES.NET_MAC,
  VIRTIO_FEATURES.NET_MRG_RXBUF,
  VIRTIO_FEATURES.NET_MQ,
  VIRTIO_FEATURES.NET_GUEST_ANNOUNCE,
  VIRTIO_FEATURES.INDIRECT_DESC,
  VIRTIO_FEATURES.EVENT_IDX,
  VIRTIO_FEATURES.RING_PACKED,
  VHOST_FEATURES.LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
);
/** QEMU has the configuration space of a network device itself, and warns of a back end that offers one. */
const PROTOCOL_FEATURES = ~featureBits(VHOST_USER_PROTOCOL_FEATURES.CONFIG);

/** Serves one front end after another; each finds the device as new. One that comes meanwhile waits. */
export class FrontEndLoop {
  readonly #linux: Linux;
  readonly #options: FrontEndLoopOptions;
  readonly #stop = new AbortController();
  #served = 0;

  constructor(linux: Linux, options: FrontEndLoopOptions) {
    this.#linux = linux;
    this.#options = options;
  }

  /** Until so many front ends are gone, or `end`. */
  async run(listener: UnixListener, clients: number): Promise<void> {
    while (this.#served < clients && !this.#stop.signal.aborted) {
      const fd = await this.#accepted(listener);
      if (fd === null) continue;
      this.#served++;
      await this.#serve(fd);
    }
  }

  end(): void {
    this.#stop.abort();
  }

  async #accepted(listener: UnixListener): Promise<number | null> {
    try {
      return await listener.accept(this.#stop.signal);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      // Such as too many open files: the next one may come through, after a while.
      this.#options.tell({ event: 'trouble', message: error.message });
      await new Promise((resolve) => setTimeout(resolve, 100));
      return null;
    }
  }

  async #serve(fd: number): Promise<void> {
    const { tell, timeoutMs, queuePairs, record } = this.#options;
    const trouble = (message: string) => tell({ event: 'trouble', message });
    tell({ event: 'client' });
    const peer = new NetPeer(PEER);
    const device = this.#device(peer, trouble);
    const capture =
      record === null ? null : new CaptureFile(this.#served === 1 ? record : `${record}.${this.#served}`);
    const { reason, requests, refused } = await serveVhostUser(this.#linux, fd, device, {
      // For a network device these are pairs.
      queueNum: queuePairs,
      timeoutMs,
      signal: this.#stop.signal,
      onMessage: (direction, bytes, fds) => capture?.add(captureLine(now(), direction, bytes, fds)),
      onRefused: (request, { message }) => trouble(`${request} was refused: ${message}`),
    });
    capture?.add(captureEnd(now(), this.#stop.signal.aborted ? 'back' : 'front'));
    const written = await capture?.close();
    if (written?.failure) trouble(`${record}: ${written.failure}`);
    tell({ event: 'gone', reason, commands: requests, refused, wire: peer.counts });
  }

  #device(peer: NetPeer, trouble: (message: string) => void): UserFace {
    const { queuePairs, seed } = this.#options;
    const device = new UserFace({
      port: peer,
      queuePairs,
      seed,
      features: FEATURES,
      protocolFeatures: PROTOCOL_FEATURES,
      observe: {
        broken: (index, { message }) => trouble(`ring ${index} cannot go on: ${message}`),
        overrun: (page) => trouble(`the log has no bit for page ${page}`),
      },
    });
    let isDue = false;
    // The answers go out when what they answer is done.
    peer.onAnswer = () => {
      if (isDue) return;
      isDue = true;
      setImmediate(() => {
        isDue = false;
        while (device.run());
      });
    };
    return device;
  }
}

/** Microseconds since 1970, of a clock that does not jump. */
function now(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
