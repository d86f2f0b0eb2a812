import { type Html, html as template } from '../../text/html.js';
import { bytes, clean, duration, list, number, plural } from '../../text/words.js';
import type { DeviceReport, Report } from '../report.js';

/** Rules that are named in a list; what is beyond them is in the JSON form. */
const MOST_NAMES = 60;

/** What was read and what was checked, below the verdict. */
export function factsLine({ hosts, devices, events, rules, inputs }: Report): Html {
  const facts = [
    plural(hosts.length, 'host'),
    plural(devices.length, 'device'),
    `${plural(events.lines, 'line')} of ${plural(inputs.length, 'input')}, ${number(events.decoded)} decoded`,
    ...(events.malformed > 0 ? [`${number(events.malformed)} malformed`] : []),
    `${plural(rules.checked.length, 'rule')} checked`,
  ];
  return template`<p class="facts">${facts.join(' · ')}</p>`;
}

/** The inputs, each with what its reader has to say. */
export function inputsPart({ inputs }: Report): Html {
  return template`<details><summary>${plural(inputs.length, 'input')}</summary><ul>${inputs.map(
    ({ file, format, host, cut, remarks }) =>
      template`<li><code>${clean(file)}</code>: ${format}, host ${clean(host)}${cut ? ', cut off at its end' : ''}${remarks.map((remark) => template`<br><small>${clean(remark)}</small>`)}</li>`,
  )}</ul></details>`;
}

/** Which rules were checked, and why others were not: a verdict says no more than that. */
export function rulesPart({ rules }: Report): Html {
  const { checked, notObservable, notApplicable } = rules;
  const missing = [...new Set(notObservable.flatMap(({ needs }) => needs))];
  const lines: [string, readonly string[], string][] = [
    ['checked', checked, ''],
    [
      'not observable',
      notObservable.map(({ rule }) => rule),
      missing.length > 0 ? `The input cannot show ${list(missing, 12)}.` : '',
    ],
    ['not applicable', notApplicable, 'Their situation never came.'],
  ];
  return template`<section aria-labelledby="rules-title"><h2 id="rules-title">Rules</h2>
<details><summary>${number(checked.length)} checked, ${number(notObservable.length)} not observable, ${number(notApplicable.length)} not applicable</summary><dl class="rules">${lines
    .filter(([, names]) => names.length > 0)
    .map(
      ([title, names, why]) =>
        template`<dt>${title}</dt><dd>${why === '' ? '' : template`${why} `}<small>${names.slice(0, MOST_NAMES).map((name) => template`<span>${name}</span> `)}${names.length > MOST_NAMES ? `and ${names.length - MOST_NAMES} more` : ''}</small></dd>`,
    )}</dl></details>
</section>
`;
}

/** A table that becomes a list of cards where there is no room for it. */
function table(
  title: string,
  heads: readonly string[],
  rows: readonly { search: string; cells: readonly (Html | string)[] }[],
): Html {
  return template`<div class="wide" tabindex="0" role="region" aria-label="${title}"><table><thead><tr>${heads.map((head) => template`<th scope="col">${head}</th>`)}</tr></thead><tbody>
${rows.map(
  ({ search, cells: [first, ...rest] }) =>
    template`<tr data-search="${search}"><th scope="row">${first}</th>${rest.map((cell, index) => template`<td data-head="${heads[index + 1]}">${cell === '' ? '–' : cell}</td>`)}</tr>
`,
)}</tbody></table></div>`;
}

/** The attempts to migrate, in numbers. */
export function migrationsPart({ measurements: { migrations } }: Report): Html | string {
  if (migrations.length === 0) return '';
  const heads = ['host', 'role', 'outcome', 'total', 'downtime', 'device state', 'rounds'];
  const rows = migrations
    .slice(0, 100)
    .map(({ host, role, outcome, total, downtime, bytes: moved, rounds }) => ({
      search: clean(host),
      cells: [
        template`<code>${clean(host)}</code>`,
        role,
        outcome,
        total === null ? 'not seen' : duration(total),
        downtime === null ? 'not seen' : duration(downtime),
        `${bytes(moved.precopy)} pre-copy, ${bytes(moved.stopcopy)} stop-copy`,
        number(rounds),
      ],
    }));
  return template`<section aria-labelledby="migrations-title"><h2 id="migrations-title">Migrations</h2>
${table('Migrations', heads, rows)}
${migrations.length > rows.length ? template`<p>And ${plural(migrations.length - rows.length, 'more attempt')}.</p>` : ''}
</section>
`;
}

/** The devices, with the time in each state: what the timeline shows, in words. */
export function devicesPart(report: Report): Html {
  const heads = [
    'device',
    'verdict',
    'role',
    'capabilities',
    'final state',
    'time in state',
    'read',
    'written',
  ];
  const rows = report.devices.map((device) => {
    const name = clean(`${device.host}/${device.id}`);
    return {
      search: name,
      cells: [
        template`<code>${name}</code>`,
        template`<span class="verdict ${device.verdict}">${device.verdict}</span>`,
        device.role === 'none' ? '' : device.role,
        device.capabilities.map(clean).join(', '),
        clean(device.finalState ?? device.state ?? ''),
        timesOf(device, report),
        bytes(device.bytesRead),
        bytes(device.bytesWritten),
      ],
    };
  });
  return template`<section aria-labelledby="devices-title"><h2 id="devices-title">Devices</h2>
${rows.length === 0 ? template`<p>None.</p>` : table('Devices', heads, rows)}
</section>
`;
}

function timesOf({ host, id }: DeviceReport, { measurements }: Report): string {
  const times = measurements.timeInState[`${host}/${id}`] ?? {};
  return Object.entries(times)
    .map(([state, time]) => `${state} ${duration(time)}`)
    .join(', ');
}
