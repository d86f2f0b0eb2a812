import { isAbsolute, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Finding, Report } from '../report.js';

/** Name that stands for standard input among the files. */
const STDIN = '-';

/** Where a finding is, for people: `src.trace.log:184211`. */
export function placeText(finding: Finding, report: Report): string | null {
  if (finding.file === null) return null;
  const file = finding.file === STDIN ? '(standard input)' : finding.file;
  if (finding.line === null) return file;
  return isBinary(finding.file, report) ? `${file}: byte ${finding.line}` : `${file}:${finding.line}`;
}

/** Whether `line` of findings in this file is a byte offset. */
export function isBinary(file: string, report: Report): boolean {
  return report.inputs.some((input) => input.file === file && /simpletrace/.test(input.format));
}

/** The path of a file from `baseDir` with forward slashes; null when it is not below it, or no file. */
export function relativePath(file: string, baseDir: string): string | null {
  if (file === STDIN) return null;
  const path = relative(baseDir, resolve(baseDir, file));
  if (path === '' || path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) return null;
  return path.split(sep).join('/');
}

/** A URI reference for a file: relative below `baseDir`, else a `file:` URI; null for standard input. */
export function fileUri(file: string, baseDir: string): { uri: string; relative: boolean } | null {
  if (file === STDIN) return null;
  const path = relativePath(file, baseDir);
  if (path === null) return { uri: pathToFileURL(resolve(baseDir, file)).href, relative: false };
  // A name such as `a:b` would read as a scheme; every segment is encoded, colons included.
  return { uri: path.split('/').map(encodeURIComponent).join('/'), relative: true };
}
