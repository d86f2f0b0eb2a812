import { html, scrolling } from '../../text/html.js';
import type { TraceEvent } from '../../trace/event.js';
import { sequenceChart } from '../diagram/sequence-chart.js';
import { sequenceOf } from '../sequence.js';
import { linkTo, type Page } from './page.js';

/** A recorded run that the book shows. */
export interface Recording {
  /** Of its page. */
  readonly name: string;
  readonly title: string;
  /** What happens in it, and where it was recorded. */
  readonly words: string;
  /** The inputs, as `validate` takes them, from the package's folder. */
  readonly files: readonly string[];
  /** The hosts, in the order of their lanes. */
  readonly hosts: readonly string[];
  readonly events: readonly TraceEvent[];
}

const pathOf = (name: string): string => `migrations/${name}.html`;

/** A page with a sequence chart for each recording, and the list of them. */
export function migrationPages(recordings: readonly Recording[]): Page[] {
  const path = 'migrations/index.html';
  const list: Page = {
    path,
    title: 'Migrations',
    section: 'Migrations',
    body: html`<p>Whole migrations, drawn from what was recorded of them. None is drawn by hand.</p>
<ul>${recordings.map(
      ({ name, title, words }) => html`<li><a href="${linkTo(path, pathOf(name))}">${title}</a>: ${words}</li>
`,
    )}</ul>`,
  };
  return [list, ...recordings.map(recordingPage)];
}

function recordingPage({ name, title, words, files, hosts, events }: Recording): Page {
  const sequence = sequenceOf(events, hosts);
  const charts = sequenceChart(sequence, title);
  return {
    path: pathOf(name),
    title,
    section: 'Migrations',
    body: html`<p class="lead">${words}</p>
<p>A rounded box is the state that a device has reached, a plain one what the VMM is in. Bytes and numbers are sums of steps
that follow each other. What the validator says of it: <code>stopcopy validate ${files.join(' ')}</code></p>
${charts.map((chart, index) => html`<figure>${scrolling(`Sequence chart ${index + 1}`, chart)}</figure>`)}
${sequence.left > 0 ? html`<p>${sequence.left} more steps are not drawn.</p>` : ''}`,
  };
}
