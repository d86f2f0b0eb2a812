import { clean, number, type Paint, plural } from '../../text/words.js';
import type { Report, Verdict } from '../report.js';

const WORDS: Record<Verdict, string> = {
  conformant: 'CONFORMANT',
  violation: 'VIOLATED',
  inconclusive: 'INCONCLUSIVE',
};

const COLORS: Record<Verdict, 'green' | 'red' | 'yellow'> = {
  conformant: 'green',
  violation: 'red',
  inconclusive: 'yellow',
};

/** The last line: the verdict, and what it rests on. It says how much was read and how much was not understood. */
export function verdictLine(report: Report, paint: Paint): string {
  const word = paint(['bold', COLORS[report.verdict]], WORDS[report.verdict]);
  const reason = report.reason === null ? '' : `  ${clean(report.reason)};`;
  return `verdict: ${word}${reason}${reason === '' ? '  ' : ' '}${verdictFacts(report)}`;
}

/** What the verdict rests on, without the verdict: lines, devices, rules. */
export function verdictFacts(report: Report): string {
  const { events, devices, rules } = report;
  const affected = devices.filter((device) => device.verdict === 'violation').length;
  return [
    plural(events.lines, 'line'),
    `${number(events.decoded)} decoded`,
    `${number(events.malformed)} malformed`,
    affected > 0
      ? `${number(affected)} of ${plural(devices.length, 'device')} affected`
      : plural(devices.length, 'device'),
    plural(rules.checked.length, 'rule'),
  ].join(', ');
}
