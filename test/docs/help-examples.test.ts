import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { afterAll, describe, expect, test } from 'vitest';
import { makeProgram } from '../../src/cli/program.js';
import { MAIN } from '../support/cli.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'stopcopy-help-'));
// A copy: what an example writes must not be written into the recordings.
cpSync(join(ROOT, 'test/traces'), join(scratch, 'test/traces'), { recursive: true });
afterAll(() => rmSync(scratch, { recursive: true }));

/** The help as it is printed. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}

/** Example lines: a command each; behind two blanks stands what it does. */
function examplesOf(help: string): string[] {
  const part = /\nExamples?:\n((?: {2,}.*\n?)+)/.exec(help)?.[1] ?? '';
  return part
    .split('\n')
    .map((line) => line.trim().replace(/ {2,}.*$/, ''))
    .flatMap((line) => [...line.matchAll(/\bstopcopy (?:[^|>&;)']|'[^']*')+/g)].map(([own]) => own.trim()));
}

const COMMANDS = makeProgram().commands.map((command) => ({ name: command.name(), help: helpOf(command) }));

/** Files that examples speak of, in what comes with the package. */
const FILES: Readonly<Record<string, string>> = {
  'src.log': 'test/traces/qemu-11.1/happy-default/src.trace.log.gz',
  'dst.log': 'test/traces/qemu-11.1/happy-default/dst.trace.log.gz',
  'src.trace.log': 'test/traces/qemu-11.1/happy-default/src.trace.log.gz',
  'dst.trace.log': 'test/traces/qemu-11.1/happy-default/dst.trace.log.gz',
  'a.log': 'test/traces/qemu-11.1/cancel-precopy/src.trace.log',
  'b.log': 'test/traces/qemu-11.1/cancel-precopy/dst.trace.log',
  'run.ndjson': 'test/traces/migrate/e810-vf-precopy.ndjson',
};

/** What needs a device, another host, root, a file of the user's, or that does not end by itself. */
const NOT_HERE =
  /--pid|demo$| -$|--suite|vm\.mig|vfio:|vfio-user|vhost-user|\/dev\/|\/run\/|tcp:|--incoming|--to |serve|proxy|state\.mig|save\.i|\/var\/|--resume|--checkpoint|suite\.json|\.qemu|stream|\/etc|~|fault=NAME|--target (?!mock:)|<|\*/;

interface Example {
  readonly name: string;
  readonly line: string;
}

const EXAMPLES: Example[] = COMMANDS.flatMap(({ name, help }) =>
  examplesOf(help).map((line) => ({ name, line })),
);

function argumentsOf(line: string): string[] {
  return [...line.replace(/^.*?stopcopy /, '').matchAll(/'([^']*)'|(\S+)/g)]
    .map(([, quoted, plain]) => quoted ?? plain ?? '')
    .map((arg) => {
      const [, host = '', file = arg] = /^([a-z]+=)?(.*)$/.exec(arg) ?? [];
      return FILES[file] === undefined || arg.startsWith('-') ? arg : host + FILES[file];
    });
}

/** The command that an argument list calls, with unknown options refused: nothing is run. */
function parses(args: readonly string[]): string | null {
  const program = makeProgram();
  let ran: string | null = null;
  for (const command of program.commands)
    command.action(() => {
      ran = command.name();
    });
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    return String(error);
  }
  return ran;
}

function run(args: readonly string[]): Promise<{ code: number | null; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: scratch,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (data) => {
      err += data;
    });
    child.on('close', (code) => resolve({ code, err }));
  });
}

describe('help', () => {
  test.each(COMMANDS)('$name has an example', ({ help }) => {
    expect(examplesOf(help).length).toBeGreaterThan(0);
    for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  test.each(EXAMPLES)('$line of $name is a command line', ({ name, line }) => {
    const names = COMMANDS.map((command) => command.name);
    expect(names, name).toContain(parses(argumentsOf(line)));
  });

  const here = EXAMPLES.filter(({ line }) => !NOT_HERE.test(line));
  test('most commands have an example that can be run here', () => {
    expect(new Set(here.map(({ name }) => name)).size).toBeGreaterThan(10);
  });

  test.concurrent.each(here)('$line runs', async ({ line }) => {
    const { code, err } = await run(argumentsOf(line));
    // What it finds is its own matter; 2 would be a line that it does not understand.
    expect([line, code === 2 ? err : '']).toEqual([line, '']);
  });
});
