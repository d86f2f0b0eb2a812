import { escapeHtml, type Html, html as template } from '../../text/html.js';
import { clean, plural } from '../../text/words.js';
import type { Finding, Report } from '../report.js';
import { makeClock } from './clock.js';
import { devicesPart, factsLine, inputsPart, migrationsPart, rulesPart } from './html-sections.js';
import { pageData } from './page-data.js';
import { placeText } from './place.js';
import type { ReporterOptions } from './reporter.js';

const WORDS: Readonly<Record<Report['verdict'], string>> = {
  conformant: 'CONFORMANT',
  violation: 'VIOLATED',
  inconclusive: 'INCONCLUSIVE',
};

/**
 * The report as one page for a browser, which loads nothing: lanes for hosts and devices, their states over time,
 * curves, and the findings with their lines. Without its scripts it is still the list of findings.
 */
export function* html(report: Report, options: ReporterOptions): Generator<string> {
  const { style = '', scripts = [] } = options.page ?? {};
  const names = report.inputs.map(({ file }) => clean(file)).join(', ');
  yield `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(`${WORDS[report.verdict]}: ${names || 'no input'}`)}</title>
<style>${style}</style>
</head>
<body>
`;
  yield body(report, options).text;
  yield `<script type="application/json" id="data">${JSON.stringify(pageData(report)).replace(/</g, '\\u003c')}</script>\n`;
  for (const script of scripts)
    yield `<script type="module">${script.replace(/<\/script/gi, '<\\/script')}</script>\n`;
  yield '</body>\n</html>\n';
}

function body(report: Report, options: ReporterOptions): Html {
  const { verdict, reason, violations } = report;
  return template`<header>
<h1><span class="verdict ${verdict}"><span aria-hidden="true">${SIGNS[verdict]}</span> ${WORDS[verdict]}</span> ${plural(violations.length, 'finding')}</h1>
${reason === null ? '' : template`<p>${reason}</p>`}
${factsLine(report)}
${inputsPart(report)}
</header>
<main>
${timelinePart(violations.length > 0)}
<section aria-labelledby="findings-title"><h2 id="findings-title">Findings</h2>
${violations.length === 0 ? template`<p>None.</p>` : findingParts(report, options)}
${left(report)}
</section>
${migrationsPart(report)}${devicesPart(report)}${rulesPart(report)}</main>
<footer>stopcopy ${options.version}</footer>
`;
}

const SIGNS: Readonly<Record<Report['verdict'], string>> = {
  conformant: '✓',
  violation: '✗',
  inconclusive: '?',
};

/** Buttons that a report without findings has no use for. */
const STEPS = template`<span class="group"><button type="button" data-do="previous" title="previous finding (p)">Previous</button><button type="button" data-do="next" title="next finding (n)">Next finding</button><button type="button" data-do="near" title="zoom to the finding (z)">Zoom to it</button></span>
`;

/** The place of the timeline; its script fills it. */
const timelinePart = (
  steps: boolean,
): Html => template`<section aria-labelledby="timeline-title" class="drawn"><h2 id="timeline-title">Timeline</h2>
<div class="tools" role="group" aria-label="Timeline">
<span class="group"><button type="button" data-do="in" title="zoom in (+)">Zoom in</button><button type="button" data-do="out" title="zoom out (-)">Zoom out</button><button type="button" data-do="all" title="the whole time (0)">All</button></span>
${steps ? STEPS : ''}<label class="group">Filter <input type="search" id="filter" placeholder="host or device" autocomplete="off"></label>
<button type="button" data-do="help" aria-expanded="false" aria-controls="help">Keys</button>
</div>
<div id="help" hidden><dl><dt><kbd>n</kbd> <kbd>p</kbd> or <kbd>j</kbd> <kbd>k</kbd></dt><dd>next, previous finding</dd><dt><kbd>z</kbd></dt><dd>zoom to the finding</dd><dt><kbd>Enter</kbd></dt><dd>on a mark: open its finding</dd><dt><kbd>Esc</kbd></dt><dd>in a finding: back to its mark; in the filter: show all</dd><dt><kbd>+</kbd> <kbd>-</kbd> <kbd>0</kbd></dt><dd>zoom in, zoom out, the whole time</dd><dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>move</dd><dt><kbd>/</kbd></dt><dd>filter</dd><dt>mouse</dt><dd>drag or <kbd>Shift</kbd> and wheel: move; <kbd>Ctrl</kbd> and wheel, double click: zoom</dd><dt>touch</dt><dd>drag: move; two fingers: zoom; tap: what is there</dd></dl><label><input type="checkbox" id="keys" checked> keys of one letter</label></div>
<p id="shown" role="status"></p>
<div id="timeline" tabindex="0" role="group" aria-label="States of hosts and devices over time; findings and devices are listed below"><div id="stage"><canvas aria-hidden="true"></canvas><div id="marks"></div><div id="tip" aria-hidden="true" hidden></div></div></div>
<div id="paper" aria-hidden="true"></div>
<ul id="legend" aria-label="Legend"></ul>
</section>`;

function findingParts(report: Report, options: ReporterOptions): Html[] {
  const clock = makeClock(report);
  return report.violations.map((finding, index) => {
    const at = finding.t === null ? '' : `${(finding.t - clock.base(finding.host)) / 1e6} s`;
    return findingPart(finding, index, at, report, options);
  });
}

function findingPart(
  finding: Finding,
  index: number,
  at: string,
  report: Report,
  options: ReporterOptions,
): Html {
  const { rule, title, level, party, host, device, message, expected, before, clause, cause, known } =
    finding;
  const place = placeText(finding, report);
  const who = device === null ? clean(host) : clean(`${host}/${device}`);
  const facts: [string, string][] = [
    ['found', clean(message)],
    ['party', `${party} (${who})`],
    ['possible states before', before.map(clean).join(', ')],
    ['expected', expected.map(clean).join(', or ')],
    ['clause', clean(`${clause.id}, ${clause.source}: ${clause.text}`)],
    ['usual cause', clean(cause)],
    ['known', clean(known ?? '')],
    ['time', at],
    ['place', clean(place ?? '')],
  ];
  return template`<details class="finding ${level}" id="finding-${index}" data-search="${who}"><summary><span class="level">${level}</span> <strong>${rule}</strong> ${clean(title)} <small>${who}</small></summary>
<dl>${facts.filter(([, text]) => text !== '').map(([name, text]) => template`<dt>${name}</dt><dd>${text}</dd>`)}</dl>
${lines(finding, options)}</details>
`;
}

/** The line of a finding between its neighbours. */
function lines({ file, line }: Finding, { excerpts }: ReporterOptions): Html | string {
  const known = file === null ? undefined : excerpts.get(file);
  if (line === null || known === undefined || !known.has(line)) return '';
  const near = [line - 2, line - 1, line, line + 1, line + 2].filter((number) => known.has(number));
  return template`<pre tabindex="0" aria-label="Lines of the input">${near.map(
    (
      number,
    ) => template`<span class="${number === line ? 'here' : 'near'}">${number === line ? '>' : ' '}${number} ${clean(known.get(number)!)}
</span>`,
  )}</pre>`;
}

function left({ suppressed }: Report): Html | string {
  const rules = Object.entries(suppressed);
  if (rules.length === 0) return '';
  return template`<p>Not listed: ${rules.map(([rule, count]) => `${rule} ${count} times`).join(', ')}.</p>`;
}
