import { appendFileSync, realpathSync } from 'node:fs';
import type { TraceInput } from '../../trace/open.js';
import type { InputError } from '../../trace/reader.js';
import { validateInputs } from '../../validate/index.js';
import type { Report } from '../../validate/report.js';
import {
  type Excerpts,
  REPORTERS,
  type ReporterOptions,
  reporterNamed,
} from '../../validate/reporters/index.js';
import { wantsColor } from '../color.js';
import { EXIT, EXIT_OF_VERDICT, UsageError } from '../exit.js';
import { htmlParts } from '../html-parts.js';
import { traceInputs } from '../inputs.js';
import { complain, fileOutput, type Output, stdoutOutput } from '../output.js';
import { packageVersion } from '../package.js';
import { Progress } from '../progress.js';
import { RULE_TEXTS } from '../rule-texts.js';
import { didYouMean } from '../suggest.js';
import type { ValidateFlags } from './validate.js';

/** Runs `stopcopy validate` and returns its exit code. */
export async function runValidate(operands: readonly string[], flags: ValidateFlags): Promise<number> {
  const inputs = traceInputs(operands, flags.format);
  const wishes = reporterWishes(flags);
  for (const { file } of wishes) refuseInput(file, inputs);
  const targets = wishes.map(({ name, file }) => ({ name, file, output: outputFor(file) }));
  const { report, unreadable } = await judge(inputs, flags);
  await writeReports(report, targets, flags);
  return unreadable > 0 ? EXIT.usage : EXIT_OF_VERDICT[report.verdict];
}

/** What to write and where; no file means standard output. */
interface Wish {
  readonly name: string;
  readonly file: string | undefined;
}

interface Target extends Wish {
  readonly output: Output;
}

/** At most one reporter prints: two documents in one stream are of use to nobody. */
function reporterWishes({ reporter, json, output, quiet }: ValidateFlags): Wish[] {
  const wishes = [...reporter, ...(json ? ['json'] : [])].map(reporterWish);
  const printed = [...new Set(wishes.filter(({ file }) => file === undefined).map(({ name }) => name))];
  if (printed.length > 1) {
    throw new UsageError(
      `${printed.join(' and ')} would print into one stream; give one a file, as in ${printed[0]}=FILE`,
    );
  }
  if (quiet && printed.length > 0 && printed[0] !== 'people') {
    throw new UsageError(`--quiet is for people; --reporter ${printed[0]} has one form`);
  }
  return [{ name: printed[0] ?? 'people', file: output }, ...wishes.filter(({ file }) => file !== undefined)];
}

function reporterWish(text: string): Wish {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  const file = equals < 0 ? undefined : text.slice(equals + 1);
  const names = REPORTERS.map((reporter) => reporter.name);
  if (!names.includes(name)) {
    throw new UsageError(
      `unknown reporter '${name}'${didYouMean(name, names)}; there are ${names.join(', ')}`,
    );
  }
  if (file === '') throw new UsageError(`--reporter ${text} names no file`);
  return { name, file };
}

function outputFor(file: string | undefined): Output {
  return file === undefined || file === '-' ? stdoutOutput() : fileOutput(file);
}

/** Opening an output empties it, which must not happen to a trace. */
function refuseInput(file: string | undefined, inputs: readonly TraceInput[]): void {
  const real = file === undefined ? undefined : realPath(file);
  if (real !== undefined && inputs.some((input) => realPath(input.file) === real)) {
    throw new UsageError(`${file} is an input; the report would overwrite it`);
  }
}

function realPath(file: string): string | undefined {
  try {
    return realpathSync(file);
  } catch {
    return undefined;
  }
}

/**
 * Judges the inputs. With several, one that cannot be read is told about and the others are judged all
 * the same; alone, it ends the run.
 */
async function judge(
  inputs: readonly TraceInput[],
  flags: ValidateFlags,
): Promise<{ report: Report; unreadable: number }> {
  const progress = new Progress();
  const errors: InputError[] = [];
  const report = await validateInputs(inputs, {
    profile: flags.profile,
    failOn: flags.failOn,
    maxFindings: flags.maxFindings,
    progress: (file, done, total) => progress.update(file, done, total),
    onUnreadable: (_input, error) => errors.push(error),
  }).finally(() => progress.end());
  const last = errors.at(-1);
  for (const error of errors.slice(0, -1)) complain(error.message);
  if (last !== undefined && errors.length === inputs.length) throw last;
  if (last !== undefined) complain(last.message);
  return { report, unreadable: errors.length };
}

/** The forms that show lines of the inputs. */
const QUOTING: ReadonlySet<string> = new Set(['people', 'html', 'perfetto']);

async function writeReports(report: Report, targets: readonly Target[], flags: ValidateFlags): Promise<void> {
  const quote = targets.some(({ name }) => QUOTING.has(name) && !(name === 'people' && flags.quiet === true));
  const excerpts = quote ? await quotedLines(report) : new Map();
  for (const { name, file, output } of targets) {
    const render = await reporterNamed(name)!.load();
    const color = file === undefined && wantsColor(flags.color);
    const page = name === 'html' ? { page: htmlParts() } : {};
    await output.write(render(report, { ...reporterOptions(flags, excerpts, color), ...page }));
    output.close();
    if (name === 'github') await writeStepSummary(report);
  }
}

async function quotedLines(report: Report): Promise<Excerpts> {
  const { readExcerpts } = await import('../../validate/reporters/excerpts.js');
  return readExcerpts(report);
}

function reporterOptions(flags: ValidateFlags, excerpts: Excerpts, color: boolean): ReporterOptions {
  const cwd = process.cwd();
  return {
    version: packageVersion(),
    cwd,
    root: process.env.GITHUB_WORKSPACE || cwd,
    rules: RULE_TEXTS,
    failOn: flags.failOn,
    color,
    quiet: flags.quiet === true,
    excerpts,
  };
}

/** GitHub Actions shows what is appended to this file on the page of the run. */
async function writeStepSummary(report: Report): Promise<void> {
  const file = process.env.GITHUB_STEP_SUMMARY;
  if (!file) return;
  const { githubSummary } = await import('../../validate/reporters/github.js');
  try {
    appendFileSync(file, githubSummary(report));
  } catch (error) {
    complain(`cannot append to GITHUB_STEP_SUMMARY: ${(error as Error).message}`);
  }
}
