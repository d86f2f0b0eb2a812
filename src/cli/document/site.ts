import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { linkTo, type Page, SECTION_PAGES, SECTIONS, wordsOf } from '../../document/book/index.js';
import { escapeHtml } from '../../text/html.js';
import { UsageError } from '../exit.js';
import { packagePath } from '../package.js';

/** A guide: Markdown that is written by hand. */
export interface Guide {
  /** From the book's folder. */
  readonly path: string;
  readonly title: string;
  readonly markdown: string;
}

/** Documents beside the guides that are pages of the book too: they are linked from there. */
const DOCUMENTS = [
  'docs/explore.md',
  'docs/learn.md',
  'docs/exec-target.md',
  'docs/coverage.md',
  'docs/mutants.md',
  'CONTRIBUTING.md',
];

/** The guides of the package, and the documents that they lead to. */
export function guides(): Guide[] {
  const own = readdirSync(packagePath('docs/guides'))
    .filter((file) => file.endsWith('.md'))
    .sort()
    .map((file) => `docs/guides/${file}`);
  return [...own, ...DOCUMENTS.filter((file) => existsSync(packagePath(file)))].map((file) => {
    const markdown = readFileSync(packagePath(file), 'utf8');
    const title = /^# (.+)$/m.exec(markdown)?.[1] ?? file;
    return { path: pathOfGuide(file), title: title.replaceAll('`', ''), markdown };
  });
}

const pathOfGuide = (file: string): string => `guides/${basename(file, '.md').toLowerCase()}.html`;

/** What a page looks like to the site generator. */
interface Data {
  readonly title: string;
  readonly path: string;
  readonly section: string | null;
}

/**
 * Writes the site: each page by Eleventy, then the theme, the search and its words.
 * @throws UsageError when the site generator is not installed
 */
export async function writeSite(
  pages: readonly Page[],
  handbook: readonly Guide[],
  output: string,
): Promise<void> {
  const Eleventy = await loadEleventy();
  const paths = new Set(handbook.map(({ path }) => path));
  mkdirSync(output, { recursive: true });
  const site = new Eleventy(packagePath('docs/theme'), output, {
    quietMode: true,
    configPath: false,
    source: 'script',
    config: (config) => {
      config.setQuietMode(true);
      config.amendLibrary('md', scrollByThemselves);
      config.addTemplate('_includes/page.11ty.js', (data) =>
        shell(data as unknown as Data & { content: string }),
      );
      for (const page of pages)
        config.addTemplate(templateName(page.path), () => page.body.text, dataOf(page));
      for (const guide of handbook)
        config.addTemplate(`${guide.path.replace(/\.html$/, '')}.md`, forBook(guide.markdown, paths), {
          ...dataOf({ ...guide, section: 'Guides' }),
          templateEngineOverride: 'md',
        });
    },
  });
  site.disableLogger();
  await site.write();
  writeAssets(pages, handbook, output);
}

const templateName = (path: string): string => `${path.replace(/\.html$/, '')}.11ty.js`;

function dataOf({ path, title, section }: Pick<Page, 'path' | 'title' | 'section'>) {
  return { title, path, section, permalink: path, layout: 'page.11ty.js' };
}

/**
 * A guide as the book has it: without its title, which the page has; the command of a quoted output above it; and links
 * to files that are pages lead to them, those to other files are their text.
 */
function forBook(markdown: string, pages: ReadonlySet<string>): string {
  return markdown
    .replace(/^# .+\n/m, '')
    .replace(/<!-- (?:not run: .*?|(stopcopy .*?)) -->\n+```(\w*)\n/g, (_, command, language) =>
      command === undefined ? `\`\`\`${language}\n` : `\`\`\`${language}\n$ ${command}\n`,
    )
    .replace(/<!--[\s\S]*?-->\n?/g, '')
    .replace(/\[([^\]]+)\]\((?!https?:|#)([^)#]+)(#[\w-]+)?\)/g, (whole, text, target, anchor = '') => {
      if (target.endsWith('.html')) return whole;
      const page = pathOfGuide(target);
      return pages.has(page) ? `[${text}](${basename(page)}${anchor})` : text;
    });
}

/** The page around what a page says. */
function shell({ title, path, section, content }: Data & { content: string }): string {
  const to = (target: string): string => linkTo(path, target);
  const links = SECTIONS.map(
    (name) =>
      `<a href="${to(SECTION_PAGES[name])}"${name === section ? ' aria-current="true"' : ''}>${name}</a>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} - stopcopy</title>
<link rel="stylesheet" href="${to('book.css')}">
<script defer src="${to('search.js')}" data-root="${to('')}"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
<header><a class="home" href="${to('index.html')}">stopcopy</a>
<nav aria-label="Book">${links.join(' ')}</nav>
<form class="search" role="search"><label><span class="unseen">Search the book</span><input type="search" placeholder="Search" autocomplete="off"></label></form></header>
<div class="results" role="region" aria-label="Search results" aria-live="polite" hidden></div>
<main id="main">
<h1>${escapeHtml(title)}</h1>
${content}
</main>
</body>
</html>
`;
}

/** The longest text of a page that is searched. */
const MOST_WORDS = 3000;

function writeAssets(pages: readonly Page[], handbook: readonly Guide[], output: string): void {
  copyFileSync(packagePath('docs/theme/search.js'), join(output, 'search.js'));
  const style = ['colors', 'book'].map((name) => readFileSync(packagePath(`docs/theme/${name}.css`), 'utf8'));
  writeFileSync(join(output, 'book.css'), style.join(''));
  // The package exports its modules only; beside them stands the script that any page can load.
  const module = createRequire(import.meta.url).resolve('minisearch');
  copyFileSync(join(dirname(module), '../umd/index.js'), join(output, 'minisearch.js'));
  const searched = [
    ...pages.map(({ path, title, section, body }) => ({
      id: path,
      title,
      section,
      text: wordsOf(body).slice(0, MOST_WORDS),
    })),
    ...handbook.map(({ path, title, markdown }) => ({
      id: path,
      title,
      section: 'Guides',
      text: markdown.slice(0, 4 * MOST_WORDS),
    })),
  ];
  // A script and not JSON: a page that is opened from a file may load no other.
  const text = JSON.stringify(searched).replace(/</g, '\\u003c');
  writeFileSync(join(output, 'search-pages.js'), `window.stopcopyPages = ${text};\n`);
}

/** What is used of markdown-it. */
interface Markdown {
  readonly renderer: {
    readonly rules: Record<string, ((...parts: readonly unknown[]) => string) | undefined>;
  };
}

/** Tables and blocks of code scroll by themselves, by keyboard too, as on all other pages. */
function scrollByThemselves({ renderer: { rules } }: Markdown): void {
  const { fence } = rules;
  rules.fence = (...parts) => fence!(...parts).replace('<pre', '<pre tabindex="0"');
  rules.table_open = () => '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>\n';
  rules.table_close = () => '</table></div>\n';
}

interface Config {
  setQuietMode(quiet: boolean): void;
  amendLibrary(name: string, change: (library: Markdown) => void): void;
  addTemplate(
    path: string,
    content: string | ((data: Readonly<Record<string, unknown>>) => string),
    data?: Readonly<Record<string, unknown>>,
  ): void;
}

type EleventyClass = new (
  input: string,
  output: string,
  options: {
    quietMode: boolean;
    configPath: false;
    source: 'script';
    config(config: Config): void;
  },
) => { disableLogger(): void; write(): Promise<void> };

async function loadEleventy(): Promise<EleventyClass> {
  try {
    // Its name is not for the compiler: it has no types of its own.
    const name = '@11ty/eleventy';
    const { default: Eleventy } = (await import(name)) as { default: EleventyClass };
    return Eleventy;
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UsageError(
      'the book needs a site generator that is not installed: npm install @11ty/eleventy minisearch @dagrejs/dagre',
    );
  }
}
