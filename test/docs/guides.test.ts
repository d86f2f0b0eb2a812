import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { MAIN } from '../support/cli.js';
import { notInOutput, page } from './quotes.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FILES = readdirSync(join(ROOT, 'docs/guides')).map((file) => `docs/guides/${file}`);

/** A folder as a reader has it: the package's files, and room for what commands write. */
const scratch = mkdtempSync(join(tmpdir(), 'stopcopy-guides-'));
for (const name of ['test/traces', 'docs/examples'])
  cpSync(join(ROOT, name), join(scratch, name), { recursive: true });
afterAll(() => rmSync(scratch, { recursive: true }));

interface Block {
  readonly file: string;
  /** The comment before it, if there is one. */
  readonly note: string;
  readonly language: string;
  readonly text: string;
}

const BLOCKS: Block[] = FILES.flatMap((file) =>
  [...page(file).matchAll(/(?:^<!-- (.*?) -->\n+)?^```(\w*)\n(.*?)^```$/gms)].map(
    ([, note = '', language = '', text = '']) => ({ file, note, language, text }),
  ),
);

/** Words of a command line; quotes keep blanks. */
const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

function run(line: string): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const [, ...args] = words(line);
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: scratch,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (data) => {
      out += data;
    });
    child.stderr.on('data', (data) => {
      err += data;
    });
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const commandsOf = (text: string): string[] => [
  ...new Set(
    [
      ...text.replace(/<!--.*?-->/g, '').matchAll(/(?:^|run: |`)(?:sudo )?(stopcopy [a-z]+(?: [^`\n]*)?)/gm),
    ].map(([, line]) => line!.trim()),
  ),
];

const known = new Map<string, Promise<string>>();
const helpOf = (command: string): Promise<string> => {
  const help = known.get(command) ?? run(`stopcopy ${command} --help`).then(({ out }) => out);
  known.set(command, help);
  return help;
};

/** Holds that a command and its options exist. */
async function expectKnown(line: string): Promise<void> {
  const [, command = '', ...args] = words(line);
  const help = await helpOf(command);
  expect(help, line).toContain(`stopcopy ${command}`);
  for (const arg of args.filter((each) => each.startsWith('--')))
    expect(help, line).toContain(arg.split('=')[0]);
}

describe('guides', () => {
  test('every block can be checked', () => {
    const checked = ({ language, note }: Block): boolean =>
      language === 'sh' || language === 'yaml' || note.startsWith('stopcopy ') || note.startsWith('part of ');
    expect(BLOCKS.filter((block) => !checked(block)).map(({ file, text }) => `${file}: ${text}`)).toEqual([]);
    expect(BLOCKS.length).toBeGreaterThan(15);
  });

  const quoted = BLOCKS.filter(({ note }) => note.startsWith('stopcopy '));
  test.concurrent.each(quoted)('$file: $note', async ({ note, text }) => {
    const { out } = await run(note);
    const end = /^(.*)\[\.\.\.\]$/;
    const lines = text.split('\n').filter((line) => !end.test(line) || line === '[...]');
    expect(notInOutput(lines.join('\n'), out)).toEqual([]);
    for (const line of text.split('\n')) {
      const start = end.exec(line)?.[1];
      if (start)
        expect(
          out.split('\n').some((each) => each.startsWith(start)),
          line,
        ).toBe(true);
    }
  });

  const shell = BLOCKS.filter(({ language, note }) => language === 'sh' && !note.startsWith('not run: '));
  // What a command finds is its own matter; it has to understand what it was asked, and to find its inputs.
  test.concurrent.each(shell)('$file runs $text', async ({ text }) => {
    for (const line of text.trim().split('\n')) {
      const { code, err } = await run(line);
      expect([line, code === 2 ? err : null]).toEqual([line, null]);
    }
  });

  test('what is not run is a command with options that exist; so is each command in the text', async () => {
    for (const file of FILES) for (const line of commandsOf(page(file))) await expectKnown(line);
  });

  test('each begins with its title, and its links lead somewhere', () => {
    for (const file of FILES) {
      const text = page(file);
      expect(text, file).toMatch(/^# \S/);
      const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, target]) => target!);
      // Pages of the book are there when it was made.
      for (const target of targets.filter((each) => !each.endsWith('.html')))
        expect(() => page(join(dirname(file), target)), `${file}: ${target}`).not.toThrow();
    }
  });
});
