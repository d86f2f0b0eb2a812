import { number } from '../text/words.js';
import type { TraceEvent } from '../trace/event.js';

/** Most devices, over all hosts, and most hosts that are followed. */
export const MAX_DEVICES = 2048;
export const MAX_HOSTS = 1024;
/** Longest name of a device or host that is followed; what is longer is no name. */
const MAX_NAME = 1024;

/** Decides whose events are judged, so that no input can fill memory with devices and hosts. */
export class Crowd {
  /** Events that were turned away. */
  turnedAway = 0;
  readonly #hosts = new Map<string, Set<string>>();
  #devices = 0;
  /** Whose event was admitted last: mostly the next one is of the same. */
  #lastHost: string | undefined;
  #lastDevice: string | undefined;

  /** Whether the event is judged; counts those that are not. */
  admits(event: TraceEvent): boolean {
    const device = 'device' in event ? event.device : undefined;
    if (event.host === this.#lastHost && (device === undefined || device === this.#lastDevice)) return true;
    if (!this.#follows(event.host, device)) {
      this.turnedAway++;
      return false;
    }
    if (event.host !== this.#lastHost || device !== undefined) this.#lastDevice = device;
    this.#lastHost = event.host;
    return true;
  }

  #follows(host: string, device: string | undefined): boolean {
    const known = this.#hosts.get(host);
    if (known !== undefined && (device === undefined || known.has(device))) return true;
    if (known === undefined && (this.#hosts.size >= MAX_HOSTS || host.length > MAX_NAME)) return false;
    if (device !== undefined && (this.#devices >= MAX_DEVICES || device.length > MAX_NAME)) return false;
    const devices = known ?? new Set<string>();
    if (device !== undefined) {
      devices.add(device);
      this.#devices++;
    }
    this.#hosts.set(host, devices);
    return true;
  }
}

/** What a report says of events that were turned away. */
export function crowdRemark(events: number): string {
  const limits = `the first ${number(MAX_DEVICES)} devices and ${number(MAX_HOSTS)} hosts are followed`;
  return `${number(events)} events of further devices were not judged: ${limits}`;
}
