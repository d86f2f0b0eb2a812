import { type DeviceSender, writeData } from './device-sender.js';
import type { MultifdSender } from './multifd-sender.js';
import type { SectionName, SourceStream } from './source-stream.js';

/** A device, and the name of its sections. */
export interface NamedSender {
  readonly sender: DeviceSender;
  readonly name: SectionName;
}

/** The END sections: all device data that is left. With multifd it goes over the channels, and before them. */
export async function saveDevices(
  stream: SourceStream,
  senders: readonly NamedSender[],
  multifd: MultifdSender | null,
): Promise<void> {
  if (multifd !== null) await Promise.all(senders.map(({ sender }) => multifd.saveDevice(sender)));
  for (const { sender, name } of senders) {
    await stream.section('END', name, async () => {
      if (multifd === null)
        for await (const piece of sender.complete(false)) await writeData(stream.writer, piece);
      await stream.writer.item({ kind: 'vfio', tag: 'END_OF_STATE' });
    });
  }
}

/** The FULL sections: the VMM's side of each device. With multifd it was in the last packet. */
export async function saveConfigs(
  stream: SourceStream,
  senders: readonly NamedSender[],
  multifd: MultifdSender | null,
): Promise<void> {
  for (const { sender, name } of senders) {
    await stream.opaque(name, async () => {
      if (multifd === null) {
        await stream.writer.item({ kind: 'vfio', tag: 'DEV_CONFIG_STATE' });
        await stream.writer.data(sender.device.pci.saveConfig());
        sender.configSaved();
      }
      await stream.writer.item({ kind: 'vfio', tag: 'END_OF_STATE' });
    });
  }
}
