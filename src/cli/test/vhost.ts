import { runVhostCases, vhostPeople } from '../../run/vhost/index.js';
import type { VhostTestReport } from '../../run/vhost/report.js';
import { TargetError } from '../../target/index.js';
import type { VhostTarget } from '../../target/vhost-target.js';
import { jsonText } from '../../text/json.js';
import type { TraceEvent } from '../../trace/event.js';
import { wantsColor } from '../color.js';
import type { TestFlags } from '../commands/test.js';
import { EXIT, UsageError } from '../exit.js';
import { CaseProgress } from './case-progress.js';
import { type OtherRun, otherReport } from './other-run.js';
import { replayCommand } from './replay.js';

const EXIT_OF: Readonly<Record<VhostTestReport['verdict'], number>> = {
  pass: EXIT.ok,
  fail: EXIT.violation,
  error: EXIT.inconclusive,
};

/** Runs the cases of a vhost back end. @throws UsageError when the target cannot be used */
export async function testVhost(
  flags: TestFlags,
  open: () => VhostTarget | Promise<VhostTarget>,
  emit: (event: TraceEvent) => void,
): Promise<OtherRun> {
  otherReport(flags, 'a vhost back end');
  const progress = new CaseProgress();
  try {
    const report = await runVhostCases({
      target: await open(),
      only: flags.only,
      profile: flags.profile,
      timeout: flags.timeout,
      maxFailures: flags.maxFailures,
      emit,
      progress: (done, total, failures) => progress.update(done, total, failures),
    });
    const color = flags.output === undefined && wantsColor(flags.color);
    const replay = (id: string) => replayCommand(flags, id);
    return { text: asked(flags, report, { color, replay }), exit: EXIT_OF[report.verdict] };
  } catch (error) {
    if (error instanceof TargetError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  } finally {
    progress.end();
  }
}

function asked(
  flags: TestFlags,
  report: VhostTestReport,
  options: Parameters<typeof vhostPeople>[1],
): Iterable<string> {
  return flags.json || flags.format === 'json' ? jsonText(report) : vhostPeople(report, options);
}
