import type { MigrateReport } from '../../migrate/report.js';
import type { Prerequisite } from '../../migrate/requirements.js';
import { bytes, clean, duration, hanging, number, type Paint, plural } from '../../text/words.js';

const ms = (value: number | null) => (value === null ? 'unknown' : duration(value * 1000));

/** The prerequisites one by one. */
export function prerequisitesText(list: readonly Prerequisite[], paint: Paint): string {
  return list
    .map(
      ({ what, ok, found }) =>
        `${ok ? paint('green', 'ok  ') : paint('red', 'FAIL')} ${what}: ${clean(found)}\n`,
    )
    .join('');
}

/** The report for people. */
export function reportText(report: MigrateReport, paint: Paint): string {
  const { outcome, bytes: sent, pages, devices } = report;
  const color = outcome === 'completed' ? 'green' : outcome === 'ambiguous' ? 'yellow' : 'red';
  const lines = [
    `migration ${paint(color, outcome.toUpperCase())}${report.error === null ? '' : `: ${clean(report.error)}`}`,
    `  ${headline(report)}`,
    `  total time ${ms(report.totalMs)}, downtime ${ms(report.downtimeMs)}, setup ${ms(report.setupMs)}`,
    `  sent ${bytes(sent.total)}: RAM ${bytes(sent.ram)} (${number(pages.normal)} pages, ${number(pages.zero)} zero), devices ${bytes(sent.device)}`,
    `  by phase: ${phases(report)}; ${plural(report.rounds, 'bitmap sync')}`,
  ];
  if (report.guestSlowdown !== null)
    lines.push(`  the guest lost ${(report.guestSlowdown * 100).toFixed(1)} % of its time`);
  for (const device of devices) lines.push(`  ${deviceLine(device)}`);
  lines.push(`  memory ${equality(report.memoryEqual)}, device state ${equality(report.deviceStateEqual)}`);
  if (report.advice !== null) lines.push(...hanging('  what to do: ', report.advice));
  return `${lines.join('\n')}\n`;
}

function phases({ phases: all }: MigrateReport): string {
  return Object.entries(all)
    .map(([phase, size]) => `${phase} ${bytes(size)}`)
    .join(', ');
}

function equality(equal: boolean | null): string {
  return equal === null ? 'not compared' : equal ? 'equal on both sides' : 'DIFFERS';
}

/** Where the guest is, and how it fared. */
function headline({ outcome, running, framesLost, framesDuplicated }: MigrateReport): string {
  const frames =
    framesLost === null
      ? ''
      : `, ${plural(framesLost, 'frame')} lost${framesDuplicated ? `, ${framesDuplicated} doubled` : ''}`;
  if (outcome === 'completed' && running === 'none')
    return 'all of the VM is written, and it is stopped here; without a return path nobody tells who runs it';
  if (outcome === 'completed') return `guest continued on destination${frames}`;
  if (outcome === 'ambiguous') return 'nobody can tell from here where the guest runs; it stays stopped here';
  return running === 'source' ? `guest continues on source${frames}` : 'the guest runs nowhere';
}

function deviceLine({
  name,
  model,
  bytes: size,
  stateEqual,
  works,
  books,
}: MigrateReport['devices'][number]): string {
  const parts = [`${name} ${model}: ${bytes(size)} of state`];
  if (stateEqual === false) parts.push('state DIFFERS');
  if (works !== null) parts.push(works ? 'works' : 'DOES NOT WORK');
  if (books !== null)
    parts.push(
      `${number(books.framesReceived)} frames received, ${number(books.framesOnWire)} sent, ${books.framesLost} lost, ${books.framesDropped} dropped by the wire, ${plural(books.mailboxRequests, 'mailbox request')}`,
    );
  for (const complaint of books?.complaints.slice(0, 3) ?? []) parts.push(clean(complaint));
  return parts.join(', ');
}
