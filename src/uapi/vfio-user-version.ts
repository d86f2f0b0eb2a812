/**
 * vfio-user, continued: the VERSION message, whose text holds what each side can do.
 *
 * Source: `docs/interop/vfio-user.rst` of QEMU, "VFIO_USER_VERSION".
 */
import { decodeVfioUserVersion, VfioUserVersion } from './vfio-user.js';

/** The version that is spoken here; libvfio-user has the same. */
export const VFIO_USER_VERSION = { major: 0, minor: 2 } as const;

/** What one side of a connection can take. Sizes in bytes. */
export interface VfioUserCapabilities {
  /** Descriptors in one message. */
  readonly maxMsgFds: number;
  /** Data in one message of region, DMA or migration data. */
  readonly maxDataXferSize: number;
  /** Ranges that may be mapped for DMA at a time. */
  readonly maxDmaMaps: number;
  /** REGION_WRITE_MULTI is known. */
  readonly writeMultiple: boolean;
}

/** What holds for a side that does not say. */
export const VFIO_USER_DEFAULTS: VfioUserCapabilities = {
  maxMsgFds: 1,
  maxDataXferSize: 1 << 20,
  maxDmaMaps: 65_535,
  writeMultiple: false,
};

/** A VERSION payload: numbers, and the text with its NUL. */
export function encodeVfioUserVersion(
  version: { major: number; minor: number },
  { maxMsgFds, maxDataXferSize, maxDmaMaps, writeMultiple }: VfioUserCapabilities,
): Uint8Array {
  const capabilities = {
    max_msg_fds: maxMsgFds,
    max_data_xfer_size: maxDataXferSize,
    max_dma_maps: maxDmaMaps,
    ...(writeMultiple ? { write_multiple: true } : {}),
  };
  const text = Buffer.from(`${JSON.stringify({ capabilities })}\0`);
  return Buffer.concat([VfioUserVersion.encode(version), text]);
}

/**
 * Reads a VERSION payload, with the defaults for what is not said. Keys that are not known are no error.
 * @throws RangeError for a payload of fewer than 4 bytes, text without its NUL, text that is no JSON object,
 * and values of the wrong kind
 */
export function decodeVfioUserCapabilities(payload: Uint8Array): {
  major: number;
  minor: number;
  capabilities: VfioUserCapabilities;
} {
  const { major, minor, json } = decodeVfioUserVersion(payload);
  if (payload.length === VfioUserVersion.size) return { major, minor, capabilities: VFIO_USER_DEFAULTS };
  if (!payload.subarray(VfioUserVersion.size).includes(0))
    throw new RangeError('vfio_user_version: the text of the capabilities does not end with a NUL');
  const said = objectOf(objectOf(parsed(json), 'the text').capabilities ?? {}, 'capabilities');
  const number = (key: string, usual: number, most: number): number => {
    const value = said[key];
    if (value === undefined) return usual;
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most)
      return value as number;
    throw new RangeError(`vfio_user_version: ${key} must be a whole number from 0 to ${most}`);
  };
  return {
    major,
    minor,
    capabilities: {
      maxMsgFds: number('max_msg_fds', VFIO_USER_DEFAULTS.maxMsgFds, 0xffff),
      maxDataXferSize: number('max_data_xfer_size', VFIO_USER_DEFAULTS.maxDataXferSize, 2 ** 53 - 1),
      maxDmaMaps: number('max_dma_maps', VFIO_USER_DEFAULTS.maxDmaMaps, 2 ** 53 - 1),
      writeMultiple: said.write_multiple === true,
    },
  };
}

function parsed(json: string): unknown {
  if (json === '') return {};
  try {
    return JSON.parse(json);
  } catch {
    throw new RangeError('vfio_user_version: the text of the capabilities is not JSON');
  }
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new RangeError(`vfio_user_version: ${what} must be a JSON object`);
}
