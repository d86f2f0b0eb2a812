import { VFIO_STREAM_TAGS, type VfioStreamTag } from '../uapi/qemu.js';
import type { VfioReport } from './report.js';

/** Most devices that are counted one by one. */
const MAX_DEVICES = 4096;
/** The config state begins with the version of PCIDevice and the config space: vendor, device. */
const CONFIG_HEAD = 4;
const PCI_IDS = 4;

/** Counts VFIO records and their bytes by device. */
export class VfioCounter {
  readonly #devices = new Map<string, VfioReport>();
  #now: VfioReport | undefined;
  #into: 'dataBytes' | 'configBytes' = 'dataBytes';
  #head: number[] = [];

  /** The records that come belong to this device. */
  device(idstr: string, instance: number): void {
    const key = `${instance} ${idstr}`;
    const known = this.#devices.get(key);
    this.#now = known ?? { idstr, instance, records: 0, dataBytes: 0, configBytes: 0, pci: null, tags: {} };
    if (known === undefined && this.#devices.size < MAX_DEVICES) this.#devices.set(key, this.#now);
  }

  record(tag: VfioStreamTag): void {
    if (this.#now === undefined) return;
    this.#now.records++;
    this.#now.tags[tag] = (this.#now.tags[tag] ?? 0) + 1;
    this.#into = VFIO_STREAM_TAGS[tag] === VFIO_STREAM_TAGS.DEV_CONFIG_STATE ? 'configBytes' : 'dataBytes';
    this.#head = [];
  }

  /** A packet of a multifd channel. */
  packet(config: boolean): void {
    if (this.#now === undefined) return;
    this.#now.records++;
    this.#into = config ? 'configBytes' : 'dataBytes';
  }

  data(piece: Uint8Array): void {
    if (this.#now === undefined) return;
    this.#now[this.#into] += piece.length;
    if (this.#into === 'configBytes') this.#config(this.#now, piece);
  }

  report(): VfioReport[] {
    return [...this.#devices.values()];
  }

  #config(device: VfioReport, piece: Uint8Array): void {
    const missing = CONFIG_HEAD + PCI_IDS - this.#head.length;
    if (missing === 0 || device.tags.DEV_CONFIG_STATE === undefined) return;
    this.#head.push(...piece.subarray(0, missing));
    if (this.#head.length < CONFIG_HEAD + PCI_IDS) return;
    const [a = 0, b = 0, c = 0, d = 0] = this.#head.slice(CONFIG_HEAD);
    const id = (value: number) => value.toString(16).padStart(4, '0');
    device.pci = `${id(a | (b << 8))}:${id(c | (d << 8))}`;
  }
}
