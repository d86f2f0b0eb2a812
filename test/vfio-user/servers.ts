import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Channel, connect, type Listener, listen } from '../../src/transport/index.js';
import {
  type ClientOptions,
  type ServedDevice,
  type ServerOptions,
  serveVfioUser,
  VfioUserClient,
} from '../../src/vfio-user/index.js';

/** A folder for sockets, which goes away with the test. */
export function socketFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-vu-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A socket whose connections are given to `serve`, one after another. Returns its path. */
export async function listening(serve: (channel: Channel) => Promise<unknown>): Promise<string> {
  const path = join(socketFolder(), 'server.sock');
  const listener = await listen({ kind: 'unix', path });
  const ended = loop(listener, serve);
  onTestFinished(async () => {
    await listener.close();
    await ended;
  });
  return path;
}

async function loop(listener: Listener, serve: (channel: Channel) => Promise<unknown>): Promise<void> {
  for (;;) {
    let channel: Channel;
    try {
      channel = await listener.accept();
    } catch {
      return;
    }
    await serve(channel).catch(() => {});
    channel.destroy();
  }
}

/** A device behind a socket. Returns the path. */
export function served(device: ServedDevice, options: ServerOptions = {}): Promise<string> {
  return listening((channel) => serveVfioUser(channel, device, options));
}

export async function clientOf(path: string, options: ClientOptions = {}): Promise<VfioUserClient> {
  const client = await VfioUserClient.connect(await connect({ kind: 'unix', path }), options);
  onTestFinished(() => client.close());
  return client;
}

/** Regions and interrupts of a device with one BAR. */
export const shape = (bar: number) => ({
  regions: [bar, 0, 0, 0, 0, 0, 0, 0, 0],
  irqs: [0, 0, 0, 0, 0],
});
