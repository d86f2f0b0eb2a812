import { test } from 'vitest';
import { runNetRig } from '/work/main/devices/virtio-net/rig.js';
let validateEvents: any = () => ({ violations: [] }); if (!process.env.NOVAL) validateEvents = (await import('/work/main/src/index.js')).validateEvents;
import { traceEventSchema } from '/work/main/src/trace/index.js';
const from = Number(process.env.FROM ?? 1), N = Number(process.env.N ?? 20), faces = (process.env.FACES ?? 'kernel,user').split(',');
test('try', async () => {
  let ev = 0, tr = 0, tv = 0; const sums: any = {};
  for (const face of faces as any[]) for (let seed = from; seed < from + N; seed++) {
    const a = performance.now();
    const r = await runNetRig({ seed, face });
    const b = performance.now();
    if (seed < 4) for (const e of r.events) traceEventSchema.parse(e);
    const rep = validateEvents(r.events);
    const c = performance.now();
    tr += b - a; tv += c - b; ev += r.events.length;
    for (const [k, v] of Object.entries({ ...r.guest, ...r.wire })) sums[k] = (sums[k] ?? 0) + (v as number);
    const bad = rep.violations.filter((v: any) => v.level !== 'note');
    if (r.problems.length || bad.length) console.log(face, seed, JSON.stringify(r.problems), bad.slice(0, 3).map((v: any) => `${v.rule} ${v.message} :: ${JSON.stringify(v.event ?? '')}`), JSON.stringify({ ...r.plan, blocks: 0 }));
  }
  console.log({ ev, tr, tv, sums });
}, 600000);
