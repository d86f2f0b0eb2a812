import { describe, expect, it } from 'vitest';
import { mockTarget, openTarget } from '../../devices/index.js';
import { TargetError } from '../../src/target/index.js';

describe('a mock device as a target', () => {
  it('is in RUNNING after each open, and the same device', async () => {
    const target = mockTarget('mock:uart');
    const device = await target.open();
    await device.writeRegion(0, 7, Uint8Array.of(0x5a));
    await device.setState('STOP_COPY');
    await target.close();
    expect(await (await target.open()).getState()).toBe('RUNNING');
    const lost = mockTarget('mock:uart?fault=reset-lost');
    await (await lost.open()).setState('STOP');
    await lost.close();
    expect(await (await lost.open()).getState()).toBe('STOP');
  });

  it('lives between calls: its DMA is told', async () => {
    const writes: number[] = [];
    const target = mockTarget('mock:dma');
    const device = await target.open({ dmaWrite: (iova) => writes.push(iova) });
    const registers = Buffer.alloc(12);
    registers.writeUInt32LE(0x1_0000, 0);
    registers.writeUInt32LE(4, 8);
    await device.writeRegion(0, 0, registers);
    await device.getState();
    expect(writes.length).toBeGreaterThan(0);
    expect(writes[0]).toBe(0x1_0000);
    await device.setState('STOP');
    const before = writes.length;
    await device.getState();
    expect(writes).toHaveLength(before);
    await target.close();
  });

  it('has a guest that plays migrations', async () => {
    const { guest } = mockTarget('mock:uart');
    expect(guest!.scenarios).toContain('there-and-back');
  });
});

describe('a URI', () => {
  it('is refused with the kinds that there are', () => {
    for (const uri of ['', 'uart', 'qemu:uart', ':'])
      expect(() => openTarget(uri)).toThrow(/is no target; there are mock:.*vfio-user:.*vfio:.*exec:/);
    expect(() => openTarget('mock:vax')).toThrow(TargetError);
    expect(() => openTarget('mock:uart?fault=none')).toThrow('no fault is called none');
  });

  it('names a target that is not opened yet', () => {
    expect(openTarget('mock:e810-vf?precopy').uri).toBe('mock:e810-vf?precopy');
    expect(openTarget('exec:true').guest).toBeNull();
    expect(openTarget('vfio-user:/nowhere.sock').guest).toBeNull();
  });
});
