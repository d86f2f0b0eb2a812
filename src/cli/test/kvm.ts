import { type KvmDirtyLogResult, runKvmDirtyLog } from '../../target/kvm/index.js';
import { jsonText } from '../../text/json.js';
import { clean, number, plural } from '../../text/words.js';
import type { TraceEvent } from '../../trace/event.js';
import type { TestFlags } from '../commands/test.js';
import { EXIT, UsageError } from '../exit.js';
import { type OtherRun, otherReport } from './other-run.js';

/** Name and version of the JSON. */
const KVM_TEST_SCHEMA = 'stopcopy-kvm-test-1';
const FORM = 'expected kvm: or kvm:?sequences=N, N from 1 to 100000';

/** Holds this host's KVM against the machines of its dirty log. @throws UsageError when the URI is none */
export async function testKvm(flags: TestFlags, emit: (event: TraceEvent) => void): Promise<OtherRun> {
  otherReport(flags, 'KVM');
  const result = await runKvmDirtyLog({ seed: flags.seed, sequences: sequencesOf(flags.target), emit });
  const { disagreements, skipped } = result;
  const text = flags.json || flags.format === 'json' ? json(result) : people(result);
  const exit = disagreements.length > 0 ? EXIT.violation : skipped === null ? EXIT.ok : EXIT.inconclusive;
  return { text, exit };
}

function sequencesOf(uri: string): number {
  const match = /^kvm:(?:\?sequences=(\d{1,6}))?$/.exec(uri);
  const sequences = Number(match?.[1] ?? 1000);
  if (match === null || sequences < 1 || sequences > 100_000) throw new UsageError(`${clean(uri)}: ${FORM}`);
  return sequences;
}

function json(result: KvmDirtyLogResult): Iterable<string> {
  return jsonText({ schema: KVM_TEST_SCHEMA, ...result });
}

function* people(result: KvmDirtyLogResult): Generator<string> {
  const { disagreements, skipped, byMode, refused } = result;
  for (const { sequence, mode, kind, text, steps } of disagreements) {
    yield `disagreement (${kind}) in sequence ${sequence}, mode ${mode}: ${clean(text)}\n`;
    for (const [at, step] of steps.entries()) yield `   ${at + 1}. ${clean(JSON.stringify(step))}\n`;
  }
  const modes = Object.entries(byMode).map(([mode, count]) => `${mode} ${number(count)}`);
  const errnos = Object.entries(refused).map(([name, count]) => `${name} ${number(count)}`);
  yield `sequences: ${number(result.sequences)} (${modes.join(', ')}), ${plural(result.steps, 'step')}, ${plural(result.written, 'page')} written\n`;
  if (errnos.length > 0) yield `refused calls: ${errnos.join(', ')}\n`;
  const verdict = disagreements.length > 0 ? 'FAIL' : skipped === null ? 'PASS' : 'SKIPPED';
  yield `verdict: ${verdict}  ${skipped === null ? plural(disagreements.length, 'disagreement') : clean(skipped)}\n`;
}
