import { type Device, DeviceError } from '../../uapi/device.js';
import type { OptionalCall } from '../../uapi/optional-call.js';
import { DEVICE_FLAGS_RESET, FEATURES, IOCTLS } from '../../uapi/vfio.js';
import { DeviceInfo, FeatureMigration } from '../../uapi/vfio-structs.js';
import { type Target, TargetError } from '../target.js';
import { startCaller } from './calling-process.js';
import { DeviceCalls } from './device-calls.js';
import { KernelDevice } from './kernel-device.js';
import { type Files, HOST_FILES, locate, type Place } from './locate.js';
import { openDevice } from './open-device.js';
import type { Syscalls } from './syscalls.js';

/** How long a call may take, in seconds, when the address does not say it. */
const TIMEOUT_S = 30;

/** What stands between the target and the kernel; the defaults are the kernel of this host. */
export interface VfioHost {
  files?: Files;
  /** Starts what makes the system calls. */
  start?(uri: string, timeoutMs: number): Promise<Syscalls>;
}

/**
 * A device behind a VFIO driver of this host's kernel: `vfio:/dev/vfio/devices/vfioN`,
 * `vfio:0000:3b:00.1`, `vfio:UUID` or `vfio:/sys/bus/BUS/devices/NAME`. With `?timeout=SECONDS` behind it a
 * call may take longer than 30 s.
 *
 * The device is opened anew by each `open`, and is in use by this process only. Its DMA finds no memory.
 * @throws TargetError when that is no address
 */
export function vfioTarget(uri: string, host: VfioHost = {}): Target {
  return new VfioTarget(uri, host);
}

class VfioTarget implements Target {
  readonly uri: string;
  readonly profile = undefined;
  readonly guest = null;
  readonly lacks = new Set<OptionalCall>();
  readonly #address: string;
  readonly #timeoutMs: number;
  readonly #files: Files;
  readonly #start: NonNullable<VfioHost['start']>;
  /** What makes the calls; behind a close it rests. */
  #calls: Syscalls | undefined;
  #isOpen = false;
  #offersReset: boolean | undefined;

  constructor(uri: string, host: VfioHost) {
    const { address, seconds } = parse(uri);
    this.uri = uri;
    this.#address = address;
    this.#timeoutMs = seconds * 1000;
    this.#files = host.files ?? HOST_FILES;
    this.#start = host.start ?? ((uri, timeoutMs) => startCaller({ uri, timeoutMs }));
  }

  async open(): Promise<Device> {
    await this.close();
    const place = locate(this.uri, this.#address, this.#files);
    if (!this.#calls?.isUsable) this.#calls = await this.#start(this.uri, this.#timeoutMs);
    const calls = this.#calls;
    this.#isOpen = true;
    try {
      const fd = await openDevice(this.uri, place, calls, this.#files);
      return await this.#examine(place, new DeviceCalls(calls, fd));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#calls?.rest();
  }

  /** Asks an open device what it can do. */
  async #examine(place: Place, calls: DeviceCalls): Promise<Device> {
    const flags = await this.#migrationFlags(place, calls);
    this.#offersReset ??= await this.#canReset(calls);
    const offersDmaLogging = await this.#offers(calls, 'DMA_LOGGING_START', 'set', 'dma_logging');
    await this.#offers(calls, 'MIG_DATA_SIZE', 'get', 'data_size');
    await this.#offers(calls, 'MIG_PRECOPY_INFOv2', 'set', 'precopy_info_v2');
    return new KernelDevice(calls, {
      name: place.name,
      flags,
      offersReset: this.#offersReset,
      offersDmaLogging,
    });
  }

  /**
   * Whether the device resets. Not every driver that does says so in its flags, mtty for one, and without a
   * reset a device in ERROR is lost: where the flag is missing it is tried, before anything else is done.
   */
  async #canReset(calls: DeviceCalls): Promise<boolean> {
    const ask = { argsz: DeviceInfo.size, flags: 0, num_regions: 0, num_irqs: 0, cap_offset: 0 };
    try {
      const { bytes } = await calls.ioctl(
        IOCTLS.VFIO_DEVICE_GET_INFO,
        DeviceInfo.encode(ask),
        'VFIO_DEVICE_GET_INFO',
      );
      if ((DeviceInfo.decode(bytes).flags & DEVICE_FLAGS_RESET) !== 0) return true;
      await calls.ioctl(IOCTLS.VFIO_DEVICE_RESET, 0, 'VFIO_DEVICE_RESET');
      return true;
    } catch (error) {
      if (error instanceof DeviceError) return false;
      throw error;
    }
  }

  async #migrationFlags(place: Place, calls: DeviceCalls): Promise<number> {
    const { name, driver } = place;
    const data = new Uint8Array(FeatureMigration.size);
    try {
      const after = await calls.get({ index: FEATURES.MIGRATION, data }, 'MIGRATION');
      return Number(FeatureMigration.decode(after).flags);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      if (error.code !== 'ENOTTY') throw this.#error(error);
      const has = driver === null ? 'its driver' : `its driver ${driver}`;
      throw new TargetError(
        `${this.uri}: ${name} has no migration support: ${has} offers none; a variant driver may (such as mlx5_vfio_pci), and some want a setting on the physical function first`,
      );
    }
  }

  async #offers(calls: DeviceCalls, feature: keyof typeof FEATURES, way: 'get' | 'set', call: OptionalCall) {
    const offered = await calls.offers(FEATURES[feature], way, feature);
    if (offered) this.lacks.delete(call);
    else this.lacks.add(call);
    return offered;
  }

  #error(error: DeviceError): TargetError {
    return new TargetError(`${this.uri}: ${error.message}`, { cause: error });
  }
}

/** Takes an address apart. */
function parse(uri: string): { address: string; seconds: number } {
  const [, address = '', text] = /^vfio:([^?]*)(?:\?timeout=(\d{1,6}))?$/.exec(uri) ?? [];
  const seconds = text === undefined ? TIMEOUT_S : Number(text);
  if (address !== '' && seconds > 0) return { address, seconds };
  throw new TargetError(
    `${uri}: expected vfio:ADDRESS, or vfio:ADDRESS?timeout=SECONDS, such as vfio:0000:3b:00.1?timeout=60`,
  );
}
