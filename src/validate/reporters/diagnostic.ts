import { clean, cut, hanging, list, number, type Paint, type Style, WIDTH } from '../../text/words.js';
import type { Finding, Level, Report } from '../report.js';
import type { FindingGroup } from './groups.js';
import { isBinary, placeText } from './place.js';
import type { ReporterOptions } from './reporter.js';

const HEADS: Record<Level, { word: string; style: Style }> = {
  must: { word: 'error', style: ['bold', 'red'] },
  should: { word: 'warning', style: ['bold', 'yellow'] },
  note: { word: 'note', style: ['bold', 'cyan'] },
};

/** Widest quoted line of a trace. The end of a log line often holds what matters, so it is generous. */
const QUOTE_WIDTH = 180;
/** Places that are named one by one when a finding came many times. */
const MOST_PLACES = 8;

/** A finding as a compiler would tell it: what, where, the line itself, and then why. */
export function diagnostic(
  group: FindingGroup,
  report: Report,
  options: ReporterOptions,
  paint: Paint,
): string[] {
  const { first } = group;
  const { word, style } = HEADS[first.level];
  const place = placeText(first, report);
  const quoted = quote(first, report, options, paint);
  return [
    paint(style, `${word}[${first.rule}]: `) + paint('bold', clean(first.title)),
    ...(place === null ? [] : [`  ${paint('blue', '-->')} ${clean(place)}`]),
    ...quoted,
    ...facts(first),
    ...repeats(group),
  ];
}

/** The line of the finding between its neighbours, with a marker. */
function quote(finding: Finding, report: Report, options: ReporterOptions, paint: Paint): string[] {
  const { file, line } = finding;
  const lines = file === null ? undefined : options.excerpts.get(file);
  if (line === null || file === null || !lines?.has(line) || isBinary(file, report)) return [];
  const shown = [line - 2, line - 1, line, line + 1, line + 2].filter((near) => lines.has(near));
  const width = Math.max(...shown.map((near) => String(near).length));
  const bar = paint('blue', '|');
  const rows = shown.map((near) => {
    const mark = near === line ? paint('red', '>') : ' ';
    const text = cut(clean(lines.get(near)!), QUOTE_WIDTH);
    return `${mark}${paint('blue', String(near).padStart(width))} ${bar} ${text}`.trimEnd();
  });
  const edge = `${' '.repeat(width + 2)}${bar}`;
  return [edge, ...rows, edge];
}

function facts(finding: Finding): string[] {
  const { clause } = finding;
  const device = finding.device === null ? '' : `, device ${clean(finding.device)}`;
  const before = finding.before.map(clean);
  const rows: [string, string][] = [
    ['found', clean(finding.message)],
    ['party', `${finding.party} (host ${clean(finding.host)}${device})`],
    ['possible states before', before.length > 0 ? `{${before.join(', ')}}` : ''],
    ['expected', finding.expected.map(clean).join(', or ')],
    ['clause', clean(`${clause.id}, ${clause.source}: ${clause.text}`)],
    ['usual cause', clean(finding.cause)],
    ['known', clean(finding.known ?? '')],
  ];
  return rows.filter(([, text]) => text !== '').flatMap(([name, text]) => hanging(`   = ${name}: `, text));
}

/** How often the same was found, and where. */
function repeats({ all }: FindingGroup): string[] {
  if (all.length === 1) return [];
  const rows: string[] = [];
  const lines = all.flatMap((finding) => (finding.line === null ? [] : [String(finding.line)]));
  const where = lines.length > 0 ? `, at lines ${list(lines, MOST_PLACES)}` : '';
  rows.push(...hanging('   = ', `found ${number(all.length)} times${where}`));
  const devices = [
    ...new Set(all.flatMap((finding) => (finding.device === null ? [] : [clean(finding.device)]))),
  ];
  if (devices.length > 1) rows.push(...hanging('   = ', `on devices ${list(devices, MOST_PLACES)}`));
  return rows.map((row) => cut(row, 2 * WIDTH));
}
