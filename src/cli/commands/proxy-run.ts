import { connectUnixSocket, type Linux, LinuxError, listenUnixSocket, loadLinux } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import type { Report } from '../../validate/report.js';
import { captureEnd, captureLine, type ProxyEnd, type ProxyTap, runProxy } from '../../vhost-user/index.js';
import { EXIT, EXIT_OF_VERDICT, UsageError } from '../exit.js';
import { CaptureFile } from '../proxy/capture-file.js';
import { type Judgement, LiveValidator } from '../proxy/live-validator.js';
import { type ProxyEvent, tellingLines, tellingPeople } from '../proxy/telling.js';
import type { ProxyFlags } from './proxy.js';

/** How long a back end may take to take the connection, in milliseconds. */
const CONNECT_MS = 5000;

/** Runs `stopcopy proxy` and returns its exit code. */
export async function runProxyCommand(flags: ProxyFlags): Promise<number> {
  if (flags.listen === flags.connect)
    throw new UsageError('--listen and --connect are the same socket; the proxy stands between two');
  const tell = flags.json === true ? tellingLines : tellingPeople;
  const linux = await usable(() => loadLinux());
  const trouble = (message: string) => tell({ event: 'trouble', message });
  const file = flags.record === undefined ? null : new CaptureFile(flags.record);
  const validator =
    flags.validate === true
      ? new LiveValidator({ trouble, finding: (finding) => tell({ event: 'finding', finding }) })
      : null;
  let end: ProxyEnd | null = null;
  try {
    end = await serve(linux, flags, tell, tapInto(file, validator));
    if (end !== null) tell({ event: 'closed', ...end });
  } finally {
    await closeFile(file, flags.record, trouble);
    if (end === null) await validator?.end();
  }
  if (end === null) return validator === null ? EXIT.ok : EXIT.inconclusive;
  const judgement = (await validator?.end()) ?? null;
  if (judgement !== null) tell({ event: 'verdict', ...verdictOf(judgement), missed: judgement.missed });
  return exitCode(end, judgement);
}

/** One connection, from its beginning to its end; null: a signal came before it. */
async function serve(
  linux: Linux,
  { listen, connect }: ProxyFlags,
  tell: (event: ProxyEvent) => void,
  tap: ProxyTap,
): Promise<ProxyEnd | null> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const listener = await usable(() => listenUnixSocket(linux, listen), '--listen ');
  let front: number | null;
  try {
    tell({ event: 'listening', socket: listen, connect });
    front = await usable(() => listener.accept(stop.signal), '--listen ');
  } finally {
    listener.close();
  }
  if (front === null) return null;
  const back = await backEnd(linux, front, connect);
  tell({ event: 'connected' });
  return runProxy(linux, front, back, { tap, signal: stop.signal });
}

async function closeFile(
  file: CaptureFile | null,
  name: string | undefined,
  trouble: (message: string) => void,
): Promise<void> {
  if (file === null) return;
  const { missed, failure } = await file.close();
  if (failure !== null) trouble(`${name}: ${failure}`);
  if (missed > 0) trouble(`${name}: ${missed} messages were not written`);
}

/** @throws UsageError in place of an error that is for whoever called the command */
async function usable<T>(call: () => T | Promise<T>, place = ''): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof DeviceError || error instanceof LinuxError)
      throw new UsageError(`${place}${error.message}`);
    throw error;
  }
}

/** Connects to the back end; without one, the front end is let go. */
async function backEnd(linux: Linux, front: number, path: string): Promise<number> {
  try {
    return await usable(() => connectUnixSocket(linux, path, CONNECT_MS), '--connect ');
  } catch (error) {
    linux.close(front);
    throw error;
  }
}

/** Where messages go beside the other side. */
function tapInto(file: CaptureFile | null, validator: LiveValidator | null): ProxyTap {
  const line = (text: string) => {
    file?.add(text);
    validator?.feed(text);
  };
  // Nobody hears it: then it is not even made.
  const isHeard = file !== null || validator !== null;
  return {
    message(direction, bytes, fds) {
      if (isHeard) line(captureLine(now(), direction, bytes, fds));
    },
    closed: (side) => line(captureEnd(now(), side)),
  };
}

/** Microseconds since 1970, of a clock that does not jump. */
function now(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

/** What was not judged may have been anything, but a violation stays one. */
function verdictOf({ report, missed }: Judgement): { verdict: Report['verdict']; report: Report | null } {
  if (report === null) return { verdict: 'inconclusive', report };
  return { verdict: missed > 0 && report.verdict === 'conformant' ? 'inconclusive' : report.verdict, report };
}

function exitCode({ failure }: ProxyEnd, judgement: Judgement | null): number {
  const judged = judgement === null ? EXIT.ok : EXIT_OF_VERDICT[verdictOf(judgement).verdict];
  return failure !== null && judged !== EXIT.violation ? EXIT.usage : judged;
}
