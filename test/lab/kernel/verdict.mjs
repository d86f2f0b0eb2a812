// Compares what the tool, the C program and the recording say of mtty, and prints the report.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROFILES } from '../../../dist/machines/profiles.js';
import { LabError, run } from '../debian.mjs';

/** What mtty is known to do otherwise than the uAPI, by rule. */
const OF_MTTY = PROFILES.find(({ name }) => name === 'mtty').deviations;
/** What a kernel without IOMMUFD adds. */
const WITHOUT_IOMMUFD = {
  ...OF_MTTY,
  'VFIO-DMA-07':
    'without IOMMUFD the kernel answers DMA_LOGGING_REPORT with EOPNOTSUPP, though START succeeds',
};
/** What has to be found: by the whole suite, by the short one, and in each recording. */
const TO_FIND = {
  whole: ['VFIO-PRE-01', 'VFIO-SES-10', 'VFIO-FSM-10', 'VFIO-DMA-01'],
  short: ['VFIO-PRE-01', 'VFIO-DMA-01', 'VFIO-DMA-02'],
  recorded: ['VFIO-PRE-01', 'VFIO-SES-10', 'VFIO-FSM-10'],
};

/** An outcome in the words of the machine; what the validator alone sees is a sentence. */
const OUTCOME = /^[A-Z][A-Z0-9_]*(\.\w+)+$/;

const print = (line = '') => process.stdout.write(`${line}\n`);
const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

/** Results of a TAP report by case. */
function tapResults(text) {
  const results = new Map();
  for (const line of text.split('\n')) {
    const [, not, id, skip] = /^(not )?ok \d+ (\S+)( # SKIP.*)?/.exec(line) ?? [];
    if (id !== undefined) results.set(id, skip ? 'skips' : not ? 'fails' : 'passes');
  }
  return results;
}

/**
 * Cases in which the two programs differ. The C program has no validator: it may pass a case in which the
 * outcomes are all allowed, and only their order is not.
 */
function disagreements({ failures, skipped }, tap, ids) {
  const failed = new Set(failures.map((each) => each.case));
  const byOutcome = new Set(failures.filter(({ actual }) => OUTCOME.test(actual)).map((each) => each.case));
  const left = new Set(skipped.map((each) => each.case));
  const may = (id) => {
    if (left.has(id)) return ['skips'];
    if (!failed.has(id)) return ['passes'];
    return byOutcome.has(id) ? ['fails'] : ['fails', 'passes'];
  };
  return ids
    .filter((id) => !may(id).includes(tap.get(id)))
    .map((id) => `${id}: stopcopy test ${may(id)[0]} it, the C program ${tap.get(id) ?? 'does not run'} it`);
}

function printDeviations({ failures }, known) {
  const rules = new Map();
  for (const failure of failures) rules.set(failure.rule, [...(rules.get(failure.rule) ?? []), failure]);
  for (const [rule, found] of rules) {
    print(
      `  ${rule} ${found[0].ruleTitle} (${plural(new Set(found.map((each) => each.case)).size, 'case')})`,
    );
    print(`    ${known[rule] ?? 'NOT A KNOWN DEVIATION'}`);
    for (const call of found[0].shrunk) print(`      ${call}`);
    print(`      -> ${found[0].message}`);
  }
}

/** Checks what was found against what there is. */
function found(what, rules, wanted, known) {
  const missed = wanted.filter((rule) => !rules.has(rule));
  const wrong = [...rules].filter((rule) => known[rule] === undefined);
  const but = (words, list) => (list.length === 0 ? '' : `; ${words} ${list.join(', ')}`);
  return {
    [`${what} finds ${wanted.join(', ')}${but('not', missed)}`]: missed.length === 0,
    [`${what} finds nothing that is not so${but('but', wrong)}`]: wrong.length === 0,
  };
}

/** One run of both programs. */
function compare(where, { suite, report, tap }, wanted, known) {
  const ids = suite.cases.map(({ id }) => id);
  const { cases, passed, skipped, steps, resets, durationMs, failures, remarks } = report;
  print(
    `${where}: ${passed} of ${plural(cases, 'case')} pass, ${skipped.length} skipped; ${steps} steps, ${resets} resets, ${Math.round(durationMs / 1000)} s`,
  );
  printDeviations(report, known);
  for (const remark of remarks.filter((words) => words.includes('did not run'))) print(`  ${remark}`);
  const different = disagreements(report, tap, ids);
  for (const line of different) print(`  ${line}`);
  print();
  const all = cases + skipped.length >= ids.length;
  return {
    [`${where}: the suite ran to its end (${ids.length} cases)`]: all && report.verdict !== 'error',
    ...found(where, new Set(failures.map(({ rule }) => rule)), wanted, known),
    [`${where}: the C program agrees case by case`]: different.length === 0,
  };
}

/** The recording, a file a process: each used the device alone, and none is the other side of a migration. */
function recordings(share) {
  const lines = readFileSync(join(share, 'out/uapi.ndjson'), 'utf8').trim().split('\n');
  const pidOf = (line) => /"pid":(\d+)/.exec(line)?.[1];
  const pids = new Set(lines.map(pidOf).filter((pid) => pid !== undefined));
  return [...pids].map((pid) => {
    const own = lines.filter((line) => [pid, undefined].includes(pidOf(line)));
    const file = join(share, `out/uapi-${pid}.ndjson`);
    writeFileSync(file, `${own.join('\n')}\n`);
    const program = /"comm":"([^"]*)"/.exec(own.join('\n'))?.[1] ?? '';
    return { pid, program, file, calls: own.length };
  });
}

/** Rules of drivers that are broken in a recording; the suite itself asks for what a VMM must not. */
async function brokenInRecording({ file }, main) {
  const report = `${file}.json`;
  const args = [main, 'validate', file, '--max-findings', '1000000', '--reporter', `json=${report}`];
  const { code, output } = await run(process.execPath, args);
  if (code > 1) throw new LabError(`stopcopy validate of the recording: ${output.trim().split('\n').at(-1)}`);
  const { violations } = JSON.parse(readFileSync(report, 'utf8'));
  const ofDriver = violations.filter(({ party, level }) => party === 'driver' && level !== 'note');
  return ofDriver.map(({ rule }) => rule);
}

/** By the program that was recorded: the rules that it saw broken. */
async function recorded(share, main) {
  const programs = new Map();
  for (const recording of recordings(share)) {
    const broken = await brokenInRecording(recording, main);
    print(
      `recording of ${recording.program} (process ${recording.pid}): ${recording.calls} lines, broken: ${[...new Set(broken)].join(', ') || 'nothing'}`,
    );
    const rules = programs.get(recording.program) ?? new Set();
    for (const rule of broken) rules.add(rule);
    programs.set(recording.program, rules);
  }
  print();
  return programs;
}

/**
 * Prints the report.
 * @returns whether all is as it should be
 */
export async function verdict(share, main) {
  const read = (name) => readFileSync(join(share, name), 'utf8');
  const json = (name) => JSON.parse(read(name));
  const lines = read('out/facts').trim().split('\n');
  const facts = Object.fromEntries(lines.map((line) => /^(\w+)=(.*)$/.exec(line).slice(1)));
  print(`Linux ${facts.kernel} with its sample driver mtty; Node ${facts.node}, ${facts.bpftrace}`);
  print(
    `IOMMUFD is ${facts.iommufd === '1' ? 'on' : 'off'} in this kernel; ${facts.group} stands for the device by container and group, ${facts.file} with VFIO and IOMMUFD built from the same sources`,
  );
  print();
  const [byGroup, byFile] = [facts.group, facts.file];
  const whole = {
    suite: json('suite.json'),
    report: json('out/test.json'),
    tap: tapResults(read('out/c.tap')),
  };
  const short = {
    suite: json('short.json'),
    report: json('out/file-test.json'),
    tap: tapResults(read('out/file-c.tap')),
  };
  const known = facts.iommufd === '1' ? OF_MTTY : WITHOUT_IOMMUFD;
  const checks = {
    ...compare(byGroup, whole, TO_FIND.whole, known),
    ...compare(byFile, short, TO_FIND.short, OF_MTTY),
  };
  const programs = await recorded(share, main);
  for (const program of ['node', 'suite'])
    Object.assign(
      checks,
      found(`the recording of ${program}`, programs.get(program) ?? new Set(), TO_FIND.recorded, known),
    );
  for (const [what, good] of Object.entries(checks)) print(`${good ? 'ok    ' : 'not ok'} ${what}`);
  return Object.values(checks).every(Boolean);
}
