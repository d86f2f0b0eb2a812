/** The thread of a served device: it may stand still for its DMA, while the socket's thread goes on. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { DEVICE_DEFAULTS, deviceFactory } from 'stopcopy/devices';
import type { MachineDevice } from '../../migrate/machine.js';
import { DeviceError } from '../../uapi/device.js';
import { BlockingMemory, DmaWindow } from './blocking-memory.js';
import type { Answer, Call, DeviceSetup, FromDevice } from './messages.js';
import { type Operations, operationsOf } from './operations.js';
import { PciDevice } from './pci-device.js';
import { PostedCalls } from './posted-calls.js';

/** No driver runs here: the guest is at the other end of the socket. What one would have is never touched. */
const DRIVER_RAM = { start: 0, size: 16 << 20 } as const;

const port = parentPort!;
const say = (message: FromDevice) => port.postMessage(message);

let device: PciDevice | null = null;
const posted = new PostedCalls({
  read: (region, offset, size) => device!.readRegion(region, offset, size),
  say,
});

/** Takes what has come while the device stands still for its DMA. */
function whileStill(): void {
  for (let come = receiveMessageOnPort(port); come !== undefined; come = receiveMessageOnPort(port))
    posted.take(come.message as Call);
}

function makeDevice({ text, name, seed, window }: DeviceSetup): {
  machine: MachineDevice;
  device: PciDevice;
} {
  const machine = deviceFactory(text, { ...DEVICE_DEFAULTS, seed })({
    name,
    memory: { size: DRIVER_RAM.size, read: noDriver, write: noDriver },
    ioas: new BlockingMemory(new DmaWindow(window), say, whileStill),
    driverRam: DRIVER_RAM,
    pci: { readConfig: noDriver, writeConfig: noDriver, writeMsixTable: noDriver },
    interrupt: (vector) => device?.interrupt(vector),
  });
  device = new PciDevice(machine);
  return { machine, device };
}

function noDriver(): never {
  throw new Error('the guest is at the other end of the socket');
}

async function answer(operations: Operations, { id, operation, args }: Call): Promise<Answer> {
  try {
    const call = operations[operation] as (...args: readonly unknown[]) => unknown;
    return { id, result: await call(...args) };
  } catch (error) {
    const { message } = error as Error;
    // The message of a DeviceError begins with its code already.
    if (error instanceof DeviceError)
      return { id, code: error.code, message: message.slice(error.code.length + 2) };
    return { id, code: null, message };
  }
}

/** Carries out what has come meanwhile. A posted write has its answer; what it fails with nobody hears, as on a bus. */
async function catchUp(operations: Operations): Promise<void> {
  for (let due = posted.next(); due !== undefined; due = posted.next()) {
    const result = await answer(operations, due.call);
    if (!due.answered) say(result);
  }
}

try {
  const { machine, device } = makeDevice(workerData as DeviceSetup);
  const operations: Operations = operationsOf(machine, device, () => void catchUp(operations));
  port.on('message', async (call: Call) => {
    say(await answer(operations, call));
    await catchUp(operations);
  });
  const { name, flags, offersReset, dmaLogging, regions, irqs } = device;
  say({ ready: { name, flags, offersReset, logs: dmaLogging !== null, regions, irqs } });
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  say({ refused: error.message });
}
