import { capabilitiesOfFlags } from '../machines/index.js';
import { imageCase } from '../suite/index.js';
import { HangError, inTime } from '../target/bounded.js';
import { type Target, TargetError } from '../target/target.js';
import { type Device, DeviceError } from '../uapi/device.js';
import type { OptionalCall } from '../uapi/optional-call.js';
import { type Alphabet, alphabetOf, type InputCall, type InputGroup, OUTPUTS } from './alphabet.js';
import { CallLost, type DeviceCalls } from './device-teacher-calls.js';

/** The calls of inputs that an interface may have no form for. */
const NEEDS: Partial<Record<InputCall['do'], OptionalCall>> = {
  reset: 'reset',
  data_size: 'data_size',
  precopy_info: 'precopy_info',
  log_start: 'dma_logging',
  log_stop: 'dma_logging',
  log_report: 'dma_logging',
};

/** Opens a target's device. @throws TargetError when it cannot be used, or does not open in time */
export async function openDevice(target: Target, timeout: number): Promise<Device> {
  try {
    return await inTime(`the opening of ${target.uri}`, timeout, () => target.open());
  } catch (error) {
    if (error instanceof HangError) throw new TargetError(error.message, { cause: error });
    throw error;
  }
}

/** Whether a device can be reset. */
export const canReset = (target: Target, device: Device): boolean =>
  device.offersReset && !target.lacks.has('reset');

/** The device's own image, or why there is none. */
export interface Image {
  readonly bytes: Uint8Array | null;
  readonly trouble: string | null;
}

/** Saves the device, and lets it run again. @throws CallLost */
export async function readImage(device: Device, calls: DeviceCalls): Promise<Image> {
  const parts: Uint8Array[] = [];
  let end: string = OUTPUTS.noDataFd;
  for (const step of imageCase(capabilitiesOfFlags(device.flags)).steps) {
    if (step.do === 'set') await calls.output(device, step, new Uint8Array());
    if (step.do === 'read' && calls.fd !== null) end = await readParts(calls, parts);
  }
  await calls.closeAll();
  const bytes = end === OUTPUTS.dataEnd ? Buffer.concat(parts) : null;
  return { bytes, trouble: bytes === null ? `its image cannot be read (${end})` : null };
}

async function readParts(calls: DeviceCalls, parts: Uint8Array[]): Promise<string> {
  try {
    return await calls.readAll(calls.fd!, (bytes) => parts.push(bytes));
  } catch (error) {
    if (error instanceof DeviceError) return error.code;
    throw error;
  }
}

/** The same, where a device that breaks by it has none. */
export async function imageOf(device: Device, calls: DeviceCalls): Promise<Image> {
  try {
    return await readImage(device, calls);
  } catch (error) {
    if (!(error instanceof CallLost)) throw error;
    return { bytes: null, trouble: `its image cannot be read: ${error.message}` };
  }
}

/** Which inputs a learner wants. */
export interface AlphabetWishes {
  /** Default: requests only. */
  readonly groups?: readonly InputGroup[];
  /** Ask GET after each input; default true. */
  readonly status?: boolean;
  /** WRITE of a damaged image and of half an image too; default false. */
  readonly damaged?: boolean;
}

/** The inputs that the device has, and in words those that were left out. */
export function alphabetFor(
  target: Target,
  device: Device,
  image: Image,
  wishes: AlphabetWishes,
): { alphabet: Alphabet; left: string[] } {
  const left: string[] = [];
  const without: string[] = [];
  for (const { name, call } of alphabetOf(wishes).inputs) {
    const need = NEEDS[call.do];
    const isLacking =
      need !== undefined &&
      (target.lacks.has(need) ||
        (need === 'reset' && !device.offersReset) ||
        (need === 'dma_logging' && device.dmaLogging === null));
    if (isLacking) left.push(`${name} was left out: the device does not offer it`);
    else if (call.do === 'write' && image.bytes === null) left.push(`${name} was left out: ${image.trouble}`);
    else continue;
    without.push(name);
  }
  return { alphabet: alphabetOf({ ...wishes, without }), left };
}
