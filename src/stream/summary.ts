import type { CommandItem } from './command.js';
import { BodySizes } from './description.js';
import type { StreamError } from './error.js';
import type {
  ConfigurationSubsection,
  DescriptionItem,
  PageEncoding,
  SectionItem,
  StreamItem,
  StreamSink,
  VfioItem,
} from './item.js';
import { PageCounter } from './page-counter.js';
import {
  type CommandReport,
  type ConfigurationReport,
  type DescriptionReport,
  INSPECT_SCHEMA,
  type InspectReport,
  type SectionReport,
  type TotalReport,
} from './report.js';
import { VfioCounter } from './vfio-counter.js';

/** Bounds of the lists: what is beyond is counted. */
const MAX_SECTIONS = 1 << 16;
const MAX_COMMANDS = 4096;
const MAX_RECORDS = 16;
const MAX_TOTALS = 16384;
const MAX_REMARKS = 20;

/** Takes a stream from its reader and keeps what it consists of, in bounded memory. */
export class StreamSummary implements StreamSink {
  readonly skipPages = true;
  readonly #pages = new PageCounter();
  readonly #vfio = new VfioCounter();
  readonly #sections: SectionReport[] = [];
  readonly #commands: CommandReport[] = [];
  readonly #totals = new Map<string, TotalReport>();
  readonly #remarks: string[] = [];
  #configuration: ConfigurationReport | null = null;
  #description: DescriptionReport | null = null;
  #eof: { offset: number } | null = null;
  #open: SectionReport | undefined;
  #body = 0;
  #inVfio = false;
  #omitted = { sections: 0, commands: 0 };
  #trailing = 0;
  readonly #origin: number;

  /** @param origin where the stream begins in its file */
  constructor(origin = 0) {
    this.#origin = origin;
  }

  item(item: StreamItem, offset: number, size: number): void {
    switch (item.kind) {
      case 'configuration':
        this.#configuration = {
          offset,
          size,
          machine: item.machine,
          subsections: item.subsections.map(subsectionReport),
        };
        break;
      case 'section':
        this.#begin(item, offset, size);
        break;
      case 'section-end':
        this.#close(offset, size, true);
        break;
      case 'block':
        this.#pages.block(item.name, item.usedLength);
        break;
      case 'vfio':
        this.#record(item);
        break;
      case 'command':
        if (this.#commands.length >= MAX_COMMANDS) this.#omitted.commands++;
        else this.#commands.push({ name: item.name, offset, value: commandValue(item) });
        break;
      case 'eof':
        this.#eof = { offset };
        break;
      case 'description':
        this.#describe(item, offset, size);
        break;
      case 'trailing':
        this.#trailing = item.size;
        break;
    }
  }

  page(block: string, _address: number, encoding: PageEncoding, _data: Uint8Array, size: number): void {
    this.#pages.page(block, encoding, size);
  }

  data(piece: Uint8Array): void {
    if (this.#inVfio) this.#vfio.data(piece);
  }

  /**
   * What was read.
   * @param end offset up to which the stream was understood
   * @param error what ended the reading, unless the stream's own end did
   */
  report(end: number, pageSize: number, error?: StreamError): InspectReport {
    this.#close(error?.offset ?? end, 0, false);
    return {
      schema: INSPECT_SCHEMA,
      format: 'migration-stream',
      complete: error === undefined,
      offset: this.#origin,
      bytes: end - this.#origin,
      pageSize,
      configuration: this.#configuration,
      sections: this.#sections,
      sectionsOmitted: this.#omitted.sections,
      commands: this.#commands,
      commandsOmitted: this.#omitted.commands,
      ram: this.#pages.report(),
      vfio: this.#vfio.report(),
      totals: [...this.#totals.values()],
      eof: this.#eof,
      description: this.#description,
      multifd: null,
      trailing: this.#trailing,
      remarks: this.#remarks,
      ...(error === undefined ? {} : { error: { offset: error.offset, message: error.message } }),
    };
  }

  #begin({ type, id, idstr, instance, version }: SectionItem, offset: number, size: number): void {
    this.#body = offset + size;
    const section = { type, idstr, instance, version, id, offset, size, bodySize: 0, complete: false };
    this.#open = section;
    this.#inVfio = false;
    if (this.#sections.length < MAX_SECTIONS) this.#sections.push(section);
    else this.#omitted.sections++;
  }

  #close(footer: number, footerSize: number, complete: boolean): void {
    const section = this.#open;
    if (section === undefined) return;
    this.#open = undefined;
    this.#inVfio = false;
    section.complete = complete;
    section.bodySize = Math.max(0, footer - this.#body);
    section.size = footer + footerSize - section.offset;
    const key = `${section.instance} ${section.idstr}`;
    let total = this.#totals.get(key);
    if (total === undefined) {
      total = { idstr: section.idstr, instance: section.instance, sections: 0, bytes: 0 };
      if (this.#totals.size < MAX_TOTALS) this.#totals.set(key, total);
    }
    total.sections++;
    total.bytes += section.size;
  }

  #record({ tag, size }: VfioItem): void {
    const section = this.#open;
    if (section === undefined) return;
    if (!this.#inVfio) this.#vfio.device(section.idstr, section.instance);
    this.#inVfio = true;
    this.#vfio.record(tag);
    section.records ??= [];
    if (section.records.length < MAX_RECORDS)
      section.records.push(size === undefined ? { tag } : { tag, size });
    else section.recordsOmitted = (section.recordsOmitted ?? 0) + 1;
  }

  #describe({ description }: DescriptionItem, offset: number, size: number): void {
    const { pageSize = null, devices } = description;
    this.#description = { offset, size, pageSize, devices };
    const sizes = new BodySizes(description);
    for (const section of this.#sections) {
      if (section.type !== 'FULL') continue;
      const told = sizes.take(section.idstr, section.instance);
      if (told === section.bodySize || this.#remarks.length >= MAX_REMARKS) continue;
      const name = `FULL section ${section.id} (${section.idstr}) at ${section.offset}`;
      this.#remarks.push(
        told === undefined
          ? `${name}: not in the vmdescription`
          : `${name}: body of ${section.bodySize} bytes, ${told} in the vmdescription`,
      );
    }
  }
}

function subsectionReport(it: ConfigurationSubsection): ConfigurationReport['subsections'][number] {
  const { name, version, targetPageBits, capabilities, uuid, data } = it;
  const bytes = uuid ?? data;
  const value =
    targetPageBits?.toString() ??
    capabilities?.join(', ') ??
    (bytes === undefined ? '' : Buffer.from(bytes).toString('hex'));
  return { name, version, value };
}

function commandValue(item: CommandItem): string {
  switch (item.name) {
    case 'PING':
      return `0x${item.value.toString(16)}`;
    case 'PACKAGED':
      return `${item.size} bytes`;
    case 'POSTCOPY_ADVISE':
      return item.pageSizes === undefined ? '' : `page sizes 0x${item.pageSizes.toString(16)}`;
    case 'POSTCOPY_RAM_DISCARD':
      return `${item.block}: ${item.ranges.length} ranges`;
    case 'RECV_BITMAP':
      return item.block;
    default:
      return '';
  }
}
