import { kprobeScript, recorderProgram, runRecorder } from '../../trace/record/index.js';
import { UsageError } from '../exit.js';
import { print } from '../output.js';
import type { RecordFlags } from './record.js';

/** Runs `stopcopy record`. */
export async function runRecord(flags: RecordFlags): Promise<void> {
  const { pid, driver, arch } = flags;
  if (flags.print && flags.kprobes)
    throw new UsageError('--print and --kprobes are two programs; ask for one');
  if (!flags.kprobes && (driver !== undefined || arch !== undefined)) {
    throw new UsageError('--driver and --arch belong to --kprobes');
  }
  if (flags.kprobes) return print(lineEnd(kprobeScript({ ...given({ driver }), ...given({ arch }) })));
  if (flags.print) return print(lineEnd(recorderProgram(given({ pid }))));
  if (pid === undefined) throw new UsageError('say what to do: --print, --kprobes or --pid N');
  const stop = new AbortController();
  // The recording ends where the user says so, and what was recorded is kept.
  process.once('SIGINT', () => stop.abort());
  await runRecorder({ pid, signal: stop.signal, ...given({ output: flags.output }) });
}

/** The entries that have a value. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

function lineEnd(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
