import { type NetFault, runNetRig } from '../../devices/virtio-net/index.js';
import { validateEvents } from '../../src/index.js';
import type { VhostInterface } from '../../src/uapi/index.js';

/** One run, judged. */
export async function judgedRun(face: VhostInterface, seed: number, fault?: NetFault) {
  const run = await runNetRig({ face, seed, ...(fault === undefined ? {} : { fault }) });
  const { violations } = validateEvents(run.events);
  return { run, findings: violations, problems: run.problems };
}

/** What is wrong with runs of a device without a fault, in words; nothing when all is well. */
export async function alarms(face: VhostInterface, from: number, to: number) {
  const words: string[] = [];
  const sums = { events: 0, received: 0, sent: 0, dropped: 0, commands: 0, packed: 0, iova: 0 };
  for (let seed = from; seed <= to; seed++) {
    const { run, findings, problems } = await judgedRun(face, seed);
    for (const { rule, level, message } of findings)
      if (level !== 'note') words.push(`${face} ${seed}: ${rule} ${message}`);
    for (const { kind, text } of problems) words.push(`${face} ${seed}: ${kind}: ${text}`);
    sums.events += run.events.length;
    sums.received += run.guest.received;
    sums.sent += run.guest.sent;
    sums.dropped += run.wire.dropped;
    sums.commands += run.guest.commands;
    if (run.plan.packed) sums.packed++;
    if (run.plan.iova !== null) sums.iova++;
  }
  return { words, sums };
}

/** The first seed whose run shows a fault, and by what; null: none of them does. */
export async function caught(fault: NetFault, face: VhostInterface, seeds: number) {
  for (let seed = 1; seed <= seeds; seed++) {
    const { findings, problems } = await judgedRun(face, seed, fault);
    const finding = findings.find(({ rule }) => fault.caughtBy.includes(rule));
    if (finding !== undefined) return { seed, rule: finding.rule, message: finding.message };
    const problem = problems.find(({ kind }) => kind === fault.seenAs);
    if (problem !== undefined) return { seed, rule: null, message: problem.text };
  }
  return null;
}
