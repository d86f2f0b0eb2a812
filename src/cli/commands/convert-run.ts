import { readTrace } from '../../trace/open.js';
import { ndjsonHead, ndjsonLine } from '../../trace/writer.js';
import { EXIT } from '../exit.js';
import { traceInputs } from '../inputs.js';
import { LineSink } from '../line-sink.js';
import { complain, isStdoutClosed } from '../output.js';
import { Progress } from '../progress.js';
import type { ConvertFlags } from './convert.js';

/** Stops the reading when nobody reads what is written. */
const CLOSED = Symbol('closed');

/** Runs `stopcopy convert` and returns its exit code: inconclusive when the inputs held no event. */
export async function runConvert(operands: readonly string[], flags: ConvertFlags): Promise<number> {
  const inputs = traceInputs(operands, flags.format);
  const sink = new LineSink(flags.output);
  const progress = new Progress();
  let events = 0;
  sink.write(ndjsonHead());
  try {
    for (const input of inputs) {
      const { shows } = await readTrace(input, {
        emit(event) {
          if (isStdoutClosed()) throw CLOSED;
          events++;
          sink.write(ndjsonLine(event));
        },
        progress: (done, total) => progress.update(input.file, done, total),
      });
      // What an input can show is known when it was read; a head line may stand at the end too.
      sink.write(ndjsonHead({ shows }));
    }
  } catch (error) {
    if (error !== CLOSED) throw error;
  } finally {
    progress.end();
    await sink.end();
  }
  if (events > 0) return EXIT.ok;
  complain('the inputs hold no event of the protocol');
  return EXIT.inconclusive;
}
