import type { Html } from '../../text/html.js';

/** The parts of the book, in the order of its navigation. */
export const SECTIONS = ['Guides', 'Machines', 'Rules', 'Migrations', 'Formats', 'Implementations'] as const;
export type Section = (typeof SECTIONS)[number];

/** A page of the book. */
export interface Page {
  /** From the book's folder, such as `machines/vfio-device.html`. */
  readonly path: string;
  readonly title: string;
  /** Null: the first page. */
  readonly section: Section | null;
  /** What stands below the title. */
  readonly body: Html;
}

/** The first page of each section. */
export const SECTION_PAGES: Readonly<Record<Section, string>> = {
  Guides: 'guides/index.html',
  Machines: 'machines/index.html',
  Rules: 'rules/index.html',
  Migrations: 'migrations/index.html',
  Formats: 'formats/index.html',
  Implementations: 'implementations.html',
};

/** A link from one page to another, relative, so that the book works from a file too. */
export function linkTo(from: string, to: string): string {
  return '../'.repeat(from.split('/').length - 1) + to;
}
