import { test } from 'vitest';
import { FAULTS } from '../../devices/faults/index.js';
import { mockTarget } from '../../devices/mock-target.js';
import { DeviceTeacher } from '../../src/learn/device-teacher.js';
import { protocolExpectation } from '../../src/learn/index.js';
import { learnMachine } from '../../src/learn/learner.js';
import { sameAnswers } from './same-answers.js';

function diffs(m: any, e: any) {
  const out: string[] = [];
  const seen = new Set(['0 ' + e.initial]);
  const q = [{ s: 0, p: e.initial }];
  const W = m.inputs.length;
  const status = m.inputs.at(-1) === 'GET';
  const n = status ? W - 1 : W;
  for (const { s, p } of q)
    for (let i = 0; i < n; i++) {
      const o = m.outputs[m.output[s * W + i]];
      const t = m.next[s * W + i];
      const st = status ? m.outputs[m.output[t * W + n]] : null;
      const ok = e.accepts(p, m.inputs[i], o, st);
      if (!ok) {
        out.push(
          `${m.states[s]} ${m.inputs[i]}: ${o}/${st} want ${e
            .allowed(p, m.inputs[i])
            .map((x: any) => x.output + '/' + x.status)
            .join('|')}`,
        );
        continue;
      }
      const f = e.follow(p, m.inputs[i], o, st);
      const k = t + ' ' + f;
      if (!seen.has(k)) {
        seen.add(k);
        q.push({ s: t, p: f });
      }
    }
  return out;
}
test('x', async () => {
  for (const [base, groups] of [
    ['dma', ['request', 'session']],
    ['dma', ['request', 'logging']],
    ['uart', ['request', 'session']],
  ] as const) {
    let good: any;
    for (const f of [null, ...FAULTS]) {
      const uri = 'mock:' + base + (f ? '?fault=' + f.name : '');
      const t = await DeviceTeacher.open(() => mockTarget(uri), { groups, fresh: 'open', status: true });
      const t0 = performance.now();
      const l = await learnMachine(t, { extraStates: 1, maxRequests: 400000 });
      if (!f) good = l.machine;
      const w = sameAnswers(good, l.machine);
      const d = diffs(l.machine, protocolExpectation(t.capabilities, t.alphabet));
      console.log(
        base,
        groups.join(),
        f?.name ?? '-',
        '| states',
        l.machine.states.length,
        'req',
        l.requests,
        l.complete,
        Math.round(performance.now() - t0) + 'ms',
        w?.join(', ') ?? 'same',
        d.length,
        d.slice(0, 4).join(' ;; '),
      );
      if (!l.complete) console.log(l.reason, JSON.stringify(l.nondeterminism), l.notes);
      await t.close();
    }
  }
}, 600000);
