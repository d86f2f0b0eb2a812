import { escapeHtml, type Html, html as template } from '../../text/html.js';
import { clean, plural } from '../../text/words.js';
import type { Finding, Report } from '../report.js';
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
  const names = report.inputs.map(({ file }) => file).join(', ');
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
  const { verdict, reason, violations, devices, events } = report;
  return template`<header>
<h1><span class="verdict ${verdict}">${WORDS[verdict]}</span> ${plural(violations.length, 'finding')}, ${plural(devices.length, 'device')}, ${plural(events.lines, 'line')}</h1>
${reason === null ? '' : template`<p>${reason}</p>`}
<details><summary>${plural(report.inputs.length, 'input')}</summary><ul>${report.inputs.map(({ file, format, host, cut, remarks }) => template`<li><code>${clean(file)}</code>: ${format}, host ${clean(host)}${cut ? ', cut off at its end' : ''}${remarks.map((remark) => template`<br><small>${clean(remark)}</small>`)}</li>`)}</ul></details>
</header>
<main>
<section aria-labelledby="timeline-title"><h2 id="timeline-title">Timeline</h2>
<div class="tools" role="toolbar" aria-label="Timeline">
<button type="button" data-do="in" title="zoom in (+)">Zoom in</button><button type="button" data-do="out" title="zoom out (-)">Zoom out</button><button type="button" data-do="all" title="all (0)">All</button>
<button type="button" data-do="previous" title="previous finding (p)">Previous finding</button><button type="button" data-do="next" title="next finding (n)">Next finding</button>
<label>Filter <input type="search" id="filter" placeholder="host or device" autocomplete="off"></label>
<button type="button" data-do="help" aria-expanded="false" aria-controls="help">Keys</button>
</div>
<div id="help" hidden><dl><dt><kbd>n</kbd> <kbd>p</kbd></dt><dd>next, previous finding</dd><dt><kbd>+</kbd> <kbd>-</kbd> <kbd>0</kbd></dt><dd>zoom in, out, all</dd><dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>move</dd><dt><kbd>/</kbd></dt><dd>filter</dd><dt><kbd>Ctrl</kbd> and wheel</dt><dd>zoom; dragging moves</dd></dl></div>
<div id="timeline" tabindex="0" role="group" aria-label="States of hosts and devices over time; the findings are listed below"><canvas aria-hidden="true"></canvas></div>
<ul id="legend" aria-label="States"></ul>
<p id="under" role="status"></p>
</section>
<section aria-labelledby="findings-title"><h2 id="findings-title">Findings</h2>
${violations.length === 0 ? template`<p>None.</p>` : violations.map((finding, index) => findingPart(finding, index, report, options))}
${left(report)}
</section>
<section aria-labelledby="devices-title"><h2 id="devices-title">Devices</h2>
<div class="wide" tabindex="0" role="region" aria-label="Devices"><table><thead><tr><th scope="col">device</th><th scope="col">verdict</th><th scope="col">role</th><th scope="col">capabilities</th><th scope="col">final state</th><th scope="col">read</th><th scope="col">written</th></tr></thead><tbody>
${devices.map(
  (
    device,
  ) => template`<tr data-search="${clean(`${device.host}/${device.id}`)}"><th scope="row"><code>${clean(`${device.host}/${device.id}`)}</code></th><td>${device.verdict}</td><td>${device.role}</td><td>${device.capabilities.join(', ')}</td><td>${device.finalState ?? device.state ?? ''}</td><td>${device.bytesRead} B</td><td>${device.bytesWritten} B</td></tr>
`,
)}</tbody></table></div>
</section>
</main>
<footer>stopcopy ${options.version}</footer>
`;
}

function findingPart(finding: Finding, index: number, report: Report, options: ReporterOptions): Html {
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
