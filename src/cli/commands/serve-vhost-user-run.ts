import { LinuxError, listenUnixSocket, loadLinux } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import { EXIT, UsageError } from '../exit.js';
import { complain } from '../output.js';
import { FrontEndLoop, type VhostUserServeEvent } from '../serve/front-end-loop.js';
import type { ServeFlags } from './serve.js';

/** Name and version of the lines that `--json` prints. */
const SCHEMA = 'stopcopy-serve-1';
/** `virtio-net`, or with its pairs of queues. */
const DEVICE = /^virtio-net(?:\?queues=([1-9]\d{0,1}|1[01]\d|12[0-8]))?$/;

/** Runs `stopcopy serve --vhost-user` and returns its exit code. */
export async function runServeVhostUser(flags: ServeFlags & { vhostUser: string }): Promise<number> {
  const { device = 'virtio-net', vhostUser: socket, seed, timeout, record = null } = flags;
  const [isKnown, pairs = '1'] = DEVICE.exec(device) ?? [];
  if (isKnown === undefined)
    throw new UsageError(
      `--device ${device}: over vhost-user there is virtio-net, and virtio-net?queues=N with N from 1 to 128`,
    );
  const tell = flags.json === true ? printLine : writeLine;
  const { linux, listener } = await listening(socket);
  const loop = new FrontEndLoop(linux, { queuePairs: Number(pairs), seed, timeoutMs: timeout, record, tell });
  const stop = () => loop.end();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    tell({ event: 'listening', socket, device });
    await loop.run(listener, flags.once === true ? 1 : Number.POSITIVE_INFINITY);
  } finally {
    listener.close();
  }
  return EXIT.ok;
}

async function listening(path: string) {
  try {
    const linux = await loadLinux();
    return { linux, listener: listenUnixSocket(linux, path) };
  } catch (error) {
    if (error instanceof DeviceError || error instanceof LinuxError)
      throw new UsageError(`--vhost-user ${error.message}`);
    throw error;
  }
}

function printLine(event: VhostUserServeEvent): void {
  process.stdout.write(`${JSON.stringify({ schema: SCHEMA, ...event })}\n`);
}

function writeLine(event: VhostUserServeEvent): void {
  if (event.event === 'listening')
    process.stderr.write(`serving ${event.device} at ${event.socket}; SIGINT ends it\n`);
  else if (event.event === 'client') process.stderr.write('a front end is there\n');
  else if (event.event === 'gone') {
    const { commands, refused, reason, wire } = event;
    const traffic = `${wire.frames} frames, ${wire.arp + wire.echo + wire.udp} answered`;
    process.stderr.write(
      `the front end is gone after ${commands} requests, ${refused} refused, and ${traffic}: ${reason}\n`,
    );
  } else complain(event.message);
}
