import { readFileSync } from 'node:fs';

/** A page of the repository's root. */
export function page(name: string): string {
  return readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
}

/**
 * The quoted files of a page: a fenced block below a comment that names a file has that file's text.
 * A comment may name a command instead, and the block then holds what it prints.
 */
export function quotes(text: string): { source: string; block: string }[] {
  const found = text.matchAll(/^<!-- (\S.*?) -->\n+```\w*\n(.*?)^```$/gms);
  return [...found].map(([, source = '', block = '']) => ({ source, block }));
}

/** The line that stands for lines left out. */
const LEFT_OUT = '[...]';

/** Lines of a quoted output that the real output does not have, in this order. */
export function notInOutput(block: string, output: string): string[] {
  const real = output.trimEnd().split('\n');
  let at = 0;
  return block
    .trimEnd()
    .split('\n')
    .filter((line) => {
      if (line === LEFT_OUT) return false;
      const found = real.indexOf(line, at);
      if (found >= 0) at = found + 1;
      return found < 0;
    });
}
