import { mkdirSync } from 'node:fs';
import { bookPages } from '../../document/book/index.js';
import { MACHINES } from '../../machines/index.js';
import { PROFILES } from '../../machines/profiles.js';
import { plural } from '../../text/words.js';
import { ruleFacts } from '../document/facts.js';
import { imageFormats } from '../document/images.js';
import { recordings } from '../document/recordings.js';
import { guides, writeSite } from '../document/site.js';
import { UsageError } from '../exit.js';
import { print } from '../output.js';
import { packageVersion } from '../package.js';
import { RULE_TEXTS } from '../rule-texts.js';
import { StatusLine } from '../status-line.js';
import type { DocumentFlags } from './document.js';

/** @throws UsageError when there can be no folder: it is better known before the work than behind it */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new UsageError(`cannot make the folder ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** Runs `stopcopy document`. */
export async function runDocument({ output }: DocumentFlags): Promise<void> {
  makeFolder(output);
  const status = new StatusLine(300);
  try {
    status.show(() => 'judging the recordings');
    const facts = await ruleFacts();
    const handbook = guides();
    const pages = bookPages({
      version: packageVersion(),
      machines: MACHINES,
      rules: RULE_TEXTS,
      facts,
      profiles: PROFILES,
      recordings: await recordings(),
      formats: imageFormats(),
      guides: handbook,
    });
    status.show(() => `writing ${plural(pages.length + handbook.length, 'page')}`);
    await writeSite(pages, handbook, output);
    status.end();
    await print(`${plural(pages.length + handbook.length, 'page')} in ${output}\n`);
  } finally {
    status.end();
  }
}
