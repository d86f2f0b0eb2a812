import { isAbsolute, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Finding, Report } from '../report.js';

/** Whether this stands for standard input among the files: as users name it, and as reports do. */
export function isStdin(file: string): boolean {
  return file === '-' || file === 'stdin';
}

/** Where a finding is, for people: `src.trace.log:184211`. */
export function placeText(finding: Finding, report: Report): string | null {
  if (finding.file === null) return null;
  const file = isStdin(finding.file) ? '(standard input)' : finding.file;
  if (finding.line === null) return file;
  return isBinary(finding.file, report) ? `${file}: byte ${finding.line}` : `${file}:${finding.line}`;
}

/** Whether `line` of findings in this file is a byte offset. */
export function isBinary(file: string, report: Report): boolean {
  return report.inputs.some((input) => input.file === file && /simpletrace/.test(input.format));
}

/** Directories that file names are taken from and told from. */
export interface Directories {
  readonly cwd: string;
  readonly root: string;
}

/** The path of a file from `root` with forward slashes; null when it is not below it, or no file. */
export function relativePath(file: string, { cwd, root }: Directories): string | null {
  if (isStdin(file)) return null;
  const path = relative(root, resolve(cwd, file));
  if (path === '' || path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) return null;
  return path.split(sep).join('/');
}

/** A URI reference for a file: relative below `root`, else a `file:` URI; null for standard input. */
export function fileUri(file: string, places: Directories): { uri: string; relative: boolean } | null {
  if (isStdin(file)) return null;
  const path = relativePath(file, places);
  if (path === null) return { uri: pathToFileURL(resolve(places.cwd, file)).href, relative: false };
  // A name such as `a:b` would read as a scheme; every segment is encoded, colons included.
  return { uri: path.split('/').map(encodeURIComponent).join('/'), relative: true };
}
