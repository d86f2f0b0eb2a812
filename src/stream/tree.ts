import { bytes, clean, cut, list, number, type Paint, plural } from '../text/words.js';
import type { InspectReport, PageCounts, SectionReport } from './report.js';

/** Longest name in a line. */
const NAME = 60;
/** Most lines of one table. */
const MOST_ROWS = 200;

const name = (text: string) => cut(clean(text), NAME);

/** The report for people: the stream as a tree, then totals. */
export function* inspectText(report: InspectReport, file: string, paint: Paint): Generator<string> {
  const what = report.format === 'multifd-channel' ? 'multifd channel' : 'migration stream';
  yield `${paint('bold', clean(file))}: ${what}, ${plural(report.bytes, 'byte')}\n\n`;
  yield* tree(report, paint);
  yield* ram(report, paint);
  yield* vfio(report, paint);
  yield* totals(report, paint);
  yield* description(report, paint);
  for (const remark of report.remarks) yield `${paint('yellow', 'remark')}: ${clean(remark)}\n`;
  if (report.error === undefined) {
    const more = report.trailing > 0 ? `, and ${plural(report.trailing, 'byte')} behind its end` : '';
    yield `${paint('green', 'complete')}: ${plural(report.bytes, 'byte')}${more}\n`;
  } else {
    yield `${paint('red', 'damaged')} at offset ${report.error.offset}: ${clean(report.error.message)}\n`;
  }
}

/** A line of the tree: where, how long, and what. */
interface Row {
  offset: number;
  size: number | undefined;
  text: string;
  below?: string[];
}

function* tree(report: InspectReport, paint: Paint): Generator<string> {
  const rows = [...parts(report)];
  if (rows.length === 0) return;
  const width = String(Math.max(...rows.map(({ offset }) => offset))).length;
  const sizeWidth = Math.max(4, ...rows.map(({ size = 0 }) => number(size).length));
  const offsetWidth = Math.max(6, width);
  yield paint('dim', `${'offset'.padStart(offsetWidth)}  ${'size'.padStart(sizeWidth)}\n`);
  const indent = ' '.repeat(offsetWidth + sizeWidth + 4);
  for (const { offset, size, text, below = [] } of rows) {
    const length = size === undefined ? '' : number(size);
    yield `${String(offset).padStart(offsetWidth)}  ${length.padStart(sizeWidth)}  ${text}\n`;
    for (const [index, line] of below.entries()) {
      yield `${indent}${index === below.length - 1 ? '└─' : '├─'} ${line}\n`;
    }
  }
  yield '\n';
}

/** Everything with a place, in the order of the stream. */
function parts(report: InspectReport): Row[] {
  const { configuration, sections, commands, eof, description: json } = report;
  const rows: Row[] = [];
  if (report.format === 'migration-stream')
    rows.push({ offset: report.offset, size: 8, text: 'header QEVM, version 3' });
  if (configuration !== null) {
    const { offset, size, machine, subsections } = configuration;
    const below = subsections.map((each) => `${name(each.name)} = ${cut(clean(each.value), NAME)}`);
    rows.push({ offset, size, text: `configuration ${name(machine)}`, below });
  }
  // Commands come in the order of the stream too.
  rows.push(
    ...sectionRows(
      sections,
      commands.map(({ offset }) => offset),
      report,
    ),
  );
  for (const { offset, name: command, value } of commands) {
    rows.push({
      offset,
      size: undefined,
      text: `command ${command}${value === '' ? '' : ` ${name(value)}`}`,
    });
  }
  if (commands.length > 0) rows.sort((a, b) => a.offset - b.offset);
  if (report.sectionsOmitted > 0) {
    const { offset } = rows.at(-1)!;
    rows.push({ offset, size: undefined, text: `... and ${plural(report.sectionsOmitted, 'more section')}` });
  }
  if (eof !== null) rows.push({ offset: eof.offset, size: 1, text: 'end of stream' });
  if (json !== null) {
    const text = `vmdescription, ${plural(json.devices.length, 'device')}`;
    rows.push({ offset: json.offset, size: json.size, text });
  }
  return rows;
}

/** PART sections stand together, a line for each live state, up to the next command or other section. */
function sectionRows(
  sections: readonly SectionReport[],
  commands: readonly number[],
  report: InspectReport,
): Row[] {
  const rows: Row[] = [];
  let run: SectionReport[] = [];
  let next = 0;
  const flush = () => {
    const [first] = run;
    if (first === undefined) return;
    if (run.length === 1) rows.push(sectionRow(first, report));
    else rows.push(runRow(run));
    run = [];
  };
  for (const section of sections) {
    const before = next;
    while (next < commands.length && commands[next]! < section.offset) next++;
    if (next > before || section.type !== 'PART') flush();
    if (section.type === 'PART') run.push(section);
    else rows.push(sectionRow(section, report));
  }
  flush();
  return rows;
}

function runRow(run: readonly SectionReport[]): Row {
  const states = new Map<string, SectionReport[]>();
  for (const section of run) {
    const key = `${section.id}`;
    const list = states.get(key);
    if (list === undefined) states.set(key, [section]);
    else list.push(section);
  }
  const below = [...states.values()].map((each) => {
    const { idstr, id } = each[0]!;
    const size = each.reduce((sum, section) => sum + section.size, 0);
    return `${number(each.length)} x PART ${name(idstr)} (id ${id}): ${plural(size, 'byte')}${data(each)}`;
  });
  const size = run.reduce((sum, section) => sum + section.size, 0);
  return { offset: run[0]!.offset, size, text: `${plural(run.length, 'PART section')}`, below };
}

/** The sizes of device data in these sections. */
function data(sections: readonly SectionReport[]): string {
  const sizes = sections.flatMap(({ records = [] }) => records.flatMap(({ size }) => size ?? []));
  return sizes.length === 0 ? '' : `, device data ${list(sizes.map(number), 6)}`;
}

function sectionRow(section: SectionReport, report: InspectReport): Row {
  const { type, idstr, id, instance, version, offset, size, records, recordsOmitted = 0, complete } = section;
  const which = type === 'START' || type === 'FULL' ? `, instance ${instance}, version ${version}` : '';
  const broken = complete ? '' : ', not complete';
  const below = (records ?? []).map(({ tag, size: length }) =>
    length === undefined ? tag : `${tag} ${plural(length, 'byte')}`,
  );
  if (recordsOmitted > 0) below.push(`... and ${plural(recordsOmitted, 'more record')}`);
  if (type === 'START' && idstr === 'ram') {
    for (const block of report.ram.blocks) {
      below.push(`block ${name(block.name)}, ${bytes(block.usedLength ?? 0)}`);
    }
  }
  return { offset, size, text: `${type} ${name(idstr)} (id ${id}${which}${broken})`, below };
}

function* ram(report: InspectReport, paint: Paint): Generator<string> {
  const { blocks, ...sum } = report.ram;
  if (blocks.length === 0) return;
  yield `${paint('bold', 'RAM')}  ${counts(sum)}\n`;
  yield* rows(blocks, (block) => `  ${name(block.name)}: ${counts(block)}`);
  yield '\n';
}

function counts({ pages, zeroPages, encodedPages, bytes: size }: PageCounts): string {
  const encoded = encodedPages > 0 ? `, ${number(encodedPages)} encoded` : '';
  return `${number(pages)} normal, ${number(zeroPages)} zero${encoded} pages, ${plural(size, 'byte')}`;
}

function* vfio(report: InspectReport, paint: Paint): Generator<string> {
  if (report.vfio.length === 0) return;
  yield `${paint('bold', 'VFIO')}\n`;
  yield* rows(report.vfio, (device) => {
    const tags = Object.entries(device.tags).map(([tag, count]) => `${tag} ${number(count)}`);
    const pci = device.pci === null ? '' : ` (PCI ${device.pci})`;
    const all = tags.length > 0 ? `: ${tags.join(', ')}` : '';
    return (
      `  ${name(device.idstr)}${pci}: ${plural(device.dataBytes, 'byte')} of device data, ` +
      `${number(device.configBytes)} of config state, ${plural(device.records, 'record')}${all}`
    );
  });
  if (report.multifd !== null) {
    const { channel, packets, syncs } = report.multifd;
    yield `  channel ${channel}: ${plural(packets, 'packet')}, ${number(syncs)} with SYNC\n`;
  }
  yield '\n';
}

function* totals(report: InspectReport, paint: Paint): Generator<string> {
  if (report.totals.length === 0) return;
  yield `${paint('bold', 'Bytes by state')}, heads and footers included\n`;
  const sorted = [...report.totals].sort((a, b) => b.bytes - a.bytes);
  const width = number(sorted[0]!.bytes).length;
  yield* rows(sorted, ({ idstr, instance, sections, bytes: size }) => {
    const which = instance === 0 ? '' : ` (instance ${instance})`;
    return `  ${number(size).padStart(width)}  ${name(idstr)}${which}, ${plural(sections, 'section')}`;
  });
  yield '\n';
}

function* description(report: InspectReport, paint: Paint): Generator<string> {
  const { description: json } = report;
  if (json === null) return;
  const page = json.pageSize === null ? '' : `, page size ${json.pageSize}`;
  yield `${paint('bold', 'vmdescription')}  ${plural(json.devices.length, 'device')}${page}\n`;
  yield* rows(json.devices, (device) => {
    const version = device.version === undefined ? 'no fields of its own' : `version ${device.version}`;
    const fields = device.vmsd === undefined ? '' : `, ${plural(device.fields, 'field')}`;
    const parts = device.subsections.map((each) => name(each.name));
    const and = parts.length === 0 ? '' : `; with ${list(parts, 6)}`;
    const which = device.instance === 0 ? '' : ` (instance ${device.instance})`;
    return `  ${name(device.name)}${which}: ${version}${fields}, ${plural(device.size, 'byte')}${and}`;
  });
  yield '\n';
}

function* rows<T>(items: readonly T[], line: (item: T) => string): Generator<string> {
  for (const item of items.slice(0, MOST_ROWS)) yield `${line(item)}\n`;
  if (items.length > MOST_ROWS) yield `  ... and ${number(items.length - MOST_ROWS)} more\n`;
}
