import type { Device } from 'stopcopy/uapi';

/** What was written to a register is there. */
export async function holds(device: Device, at: number, value: Uint8Array): Promise<boolean> {
  await device.writeRegion(0, at, value);
  return Buffer.compare(await device.readRegion(0, at, value.length), value) === 0;
}
