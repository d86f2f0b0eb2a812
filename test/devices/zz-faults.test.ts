import { test } from 'vitest';
import { runNetRig } from '../../devices/virtio-net/rig.js';
import { NET_FAULTS } from '../../devices/virtio-net/faults.js';
import { validateEvents } from '../../src/index.js';
const N = Number(process.env.N ?? 40);
const only = process.env.ONLY?.split(',');
test('try', async () => {
  for (const fault of NET_FAULTS) if (!only || only.includes(fault.name)) for (const face of fault.faces) {
    const rules = new Map<string, number>(), probs = new Map<string, number>(); let first = 0, firstOwn = 0, runs = 0, sample = '';
    for (let seed = 1; seed <= N; seed++) {
      runs++;
      const r = await runNetRig({ seed, face, fault });
      const rep: any = validateEvents(r.events);
      const bad = rep.violations.filter((v: any) => v.level !== 'note');
      for (const x of new Set(bad.map((v: any) => v.rule))) rules.set(x as string, (rules.get(x as string) ?? 0) + 1);
      if (bad.length && !first) { first = seed; }
      if (bad.some((v: any) => fault.caughtBy.includes(v.rule)) && !firstOwn) { firstOwn = seed; sample = bad.find((v: any) => fault.caughtBy.includes(v.rule)).message; }
      for (const p of r.problems) { const k = p.kind; probs.set(k, (probs.get(k) ?? 0) + 1); }
      if (seed >= 12 && firstOwn) break;
    }
    console.log(`${firstOwn ? 'ok ' : '---'} ${fault.name} ${face} first ${first} own ${firstOwn} of ${runs}: ${[...rules].map(([a, b]) => `${a}x${b}`).join(' ')} | ${[...probs].map(([a, b]) => `${a}x${b}`).join(' ')} | ${sample.slice(0, 160)}`);
  }
}, 900000);
