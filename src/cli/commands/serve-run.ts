import { type Listener, listen, TransportError } from '../../transport/index.js';
import { dialectNamed, SPECIFICATION } from '../../vfio-user/index.js';
import { EXIT, UsageError } from '../exit.js';
import { Recording } from '../migrate/record.js';
import { complain } from '../output.js';
import { ClientLoop, type ServeEvent } from '../serve/client-loop.js';
import { DeviceThread } from '../serve/device-thread.js';
import type { ServeFlags } from './serve.js';

/** Name and version of the lines that `--json` prints. */
const SCHEMA = 'stopcopy-serve-1';
/** Where the device stands on the bus of whoever uses it is not known here. */
const NAME = '0000:00:04.0';

/** Runs `stopcopy serve` and returns its exit code. */
export async function runServe(flags: ServeFlags): Promise<number> {
  const { vfioUser, vhostUser } = flags;
  if (vfioUser !== undefined && vhostUser !== undefined)
    throw new UsageError('--vfio-user and --vhost-user: one of them can be served at a time');
  if (vhostUser !== undefined) {
    const { runServeVhostUser } = await import('./serve-vhost-user-run.js');
    return runServeVhostUser({ ...flags, vhostUser });
  }
  if (vfioUser === undefined) throw new UsageError('serve needs --vfio-user PATH or --vhost-user PATH');
  return runServeVfioUser({ ...flags, device: flags.device ?? 'e810-vf', vfioUser });
}

async function runServeVfioUser(flags: ServeFlags & { device: string; vfioUser: string }): Promise<number> {
  const dialect = dialectNamed(flags.dialect) ?? SPECIFICATION;
  const recording = flags.record === undefined ? null : new Recording(flags.record);
  const thread = await DeviceThread.start({ text: flags.device, name: NAME, seed: flags.seed });
  try {
    const listener = await listening(flags.vfioUser);
    const tell = (event: ServeEvent) => (flags.json ? printLine(event) : writeLine(event));
    const loop = new ClientLoop(thread, { dialect, timeout: flags.timeout, recording, tell });
    const stop = () => {
      loop.end();
      void listener.close();
    };
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    tell({ event: 'listening', socket: flags.vfioUser, device: flags.device });
    await loop.run(listener, flags.once === true ? 1 : Number.POSITIVE_INFINITY);
    await listener.close();
    return EXIT.ok;
  } finally {
    await thread.end();
    recording?.close();
  }
}

async function listening(path: string): Promise<Listener> {
  try {
    return await listen({ kind: 'unix', path });
  } catch (error) {
    if (error instanceof TransportError) throw new UsageError(`--vfio-user ${error.message}`);
    throw error;
  }
}

function printLine(event: ServeEvent): void {
  process.stdout.write(`${JSON.stringify({ schema: SCHEMA, ...event })}\n`);
}

function writeLine(event: ServeEvent): void {
  if (event.event === 'listening')
    process.stderr.write(`serving ${event.device} at ${event.socket}; SIGINT ends it\n`);
  else if (event.event === 'client') process.stderr.write('a client is there\n');
  else if (event.event === 'gone') {
    const { commands, refused, reason } = event;
    process.stderr.write(`the client is gone after ${commands} commands, ${refused} refused: ${reason}\n`);
  } else complain(event.message);
}
