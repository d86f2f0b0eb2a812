import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { constants, type FileHandle, open } from 'node:fs/promises';
import { InputError } from '../reader.js';
import { recorderProgram } from './vfio-uapi.bt.js';

/** What to record, where to, and for how long. */
export interface RecorderOptions {
  /** Record this process only; the default is every process on the host. */
  pid?: number;
  /** File to write, made readable for its owner only; the default is standard output. */
  output?: string;
  /** Ends the recording in good order when it fires; the default is to run until bpftrace ends. */
  signal?: AbortSignal;
  /** The bpftrace to run; the default is the one on the PATH. */
  bpftrace?: string;
}

/** Places where tracefs may be mounted, and an event that is there when syscall tracing is built in. */
const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];
const SYSCALL_EVENT = 'events/syscalls/sys_enter_ioctl/id';

/** How much of bpftrace's own messages is kept for an error. */
const STDERR_LIMIT = 4000;

/**
 * Records the VFIO uAPI with bpftrace until the signal fires or bpftrace ends by itself. The output
 * begins with a head line and, unless bpftrace was killed, ends with a trailer line.
 *
 * @throws InputError when the host cannot record (not root, no bpftrace, no syscall tracepoints, no
 * such process), when the output cannot be written, or when bpftrace fails; the message says what to do
 */
export async function runRecorder(options: RecorderOptions = {}): Promise<void> {
  const { pid, signal, bpftrace = 'bpftrace' } = options;
  recorderProgram({ ...(pid === undefined ? {} : { pid }) });
  checkRoot();
  const version = await bpftraceVersion(bpftrace);
  checkHost(pid);
  const program = recorderProgram({ bpftrace: version, ...(pid === undefined ? {} : { pid }) });
  if (signal?.aborted) return;
  const file = options.output === undefined ? undefined : await openOutput(options.output);
  try {
    await record(bpftrace, program, file, signal);
  } finally {
    await file?.close();
  }
}

function checkRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new InputError(
    'recording needs root: bpftrace reads the memory of other processes. Run it with sudo.',
  );
}

function checkHost(pid: number | undefined): void {
  if (!TRACEFS.some((folder) => existsSync(`${folder}/${SYSCALL_EVENT}`))) {
    throw new InputError(
      'this kernel shows no system calls in tracefs. Mount it (mount -t tracefs tracefs /sys/kernel/tracing); ' +
        'if that does not help, the kernel lacks CONFIG_FTRACE_SYSCALLS.',
    );
  }
  if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
    throw new InputError(`there is no process ${pid} (in a container, give the id that the host sees)`);
  }
}

/** `bpftrace v0.17.0` → `0.17.0`. */
async function bpftraceVersion(bpftrace: string): Promise<string> {
  const child = spawn(bpftrace, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (part: Buffer) => {
    if (text.length < STDERR_LIMIT) text += part.toString();
  });
  await ended(child, bpftrace);
  return /v(\d[\w.+~-]*)/.exec(text)?.[1] ?? '';
}

/** Not through a link: the recording runs as root, and `output` may be in a folder of somebody else. */
async function openOutput(output: string): Promise<FileHandle> {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  try {
    const file = await open(output, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    await file.chmod(0o600);
    return file;
  } catch (error) {
    throw new InputError(`cannot write ${output}: ${(error as Error).message}`);
  }
}

async function record(
  bpftrace: string,
  program: string,
  file: FileHandle | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const child = spawn(bpftrace, ['-B', 'line', '-e', program], {
    stdio: ['ignore', file === undefined ? 'inherit' : file.fd, 'pipe'],
  });
  let messages = '';
  child.stderr?.on('data', (part: Buffer) => {
    messages = (messages + part.toString()).slice(-STDERR_LIMIT);
  });
  // SIGINT is what lets bpftrace run the END of its program.
  const stop = () => child.kill('SIGINT');
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  try {
    const status = await ended(child, bpftrace);
    if (status !== 0 && !signal?.aborted) {
      throw new InputError(`bpftrace ended with status ${status}. Its last words:\n${messages.trim()}`);
    }
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Waits for the end of a process; its exit status, or the signal that ended it. */
async function ended(child: ChildProcess, command: string): Promise<number | string> {
  try {
    const [status, killer] = (await once(child, 'close')) as [number | null, string | null];
    return status ?? killer ?? 'unknown';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new InputError(
      `${command} was not found. Install bpftrace 0.17 or newer (Debian: apt-get install bpftrace), ` +
        'or print the program with `stopcopy record --print` and run it where bpftrace is.',
    );
  }
}
