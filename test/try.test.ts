import { test } from 'vitest';
import { chartText } from '../src/explore/counterexample/chart.js';
import { traceOf } from '../src/explore/counterexample/trace.js';
import { explore } from '../src/explore/engine/explore.js';
import { MODELS } from '../src/explore/models/index.js';
import { modelOptions } from '../src/explore/models/options.js';
import { exploreReport } from '../src/explore/report.js';
import { asymmetry } from '../src/explore/engine/symmetry.js';
import { validateEvents } from '../src/validate/index.js';
const entry = MODELS.find((e) => e.name === process.env.MODEL)!;
const charts = process.env.CHARTS?.split(',') ?? [];
const say = (...a: unknown[]) => process.stdout.write(a.join(' ') + '\n');
test('try', async () => {
  const size = process.env.SIZE ? JSON.parse(process.env.SIZE) : {};
  const base = entry.make(modelOptions(entry, size));
  say('asymmetry', asymmetry(base), 'actions', base.actions.length);
  for (const variant of process.env.ONLY ? [process.env.ONLY === 'none' ? null : process.env.ONLY] : [null, ...entry.variants.map((v) => v.name)]) {
    const model = entry.make(modelOptions(entry, { ...size, variant }));
    const r = exploreReport(model, await explore(model, { states: 6e6 }));
    const bad = r.properties.filter((p) => p.verdict !== 'holds');
    const breaks = entry.variants.find((v) => v.name === variant)?.breaks ?? [];
    const ok = JSON.stringify(bad.map((p) => p.id).sort()) === JSON.stringify([...breaks].sort());
    say(ok ? 'ok ' : 'BAD', variant, r.states, r.edges, r.depth, r.statistics.seconds.toFixed(2), r.reason ?? '');
    if (!ok) say('    expected', breaks.join(' '));
    for (const p of bad) {
      if (!ok) say('    ', p.id, p.verdict, p.reason ?? '', p.counterexample?.actions.length ?? '');
      if ((charts.includes('all') || charts.includes(p.id) || (charts.includes('new') && !breaks.includes(p.id))) && p.counterexample) say(chartText(model, p.counterexample).join('\n'));
      if (charts.includes('judge') && p.counterexample) say('      judged', p.id, [...new Set(validateEvents(traceOf(model, p.counterexample), { traced: new Set(model.actions.flatMap((a) => a.events.map((e) => e.kind))) }).violations.map((v) => v.rule + '/' + v.level))].join(' '));
    }
    if (variant === null) for (const p of r.properties) if (p.witness) { const v = validateEvents(traceOf(model, p.witness), { traced: new Set(model.actions.flatMap((a) => a.events.map((e) => e.kind))) }).violations.filter(v=>v.level!=='note'); if (v.length) say('   WITNESS', p.id, v.map((x) => x.rule + ': ' + x.message).slice(0,4).join(' | ')); if (charts.includes('witness')) say(p.id, chartText(model, p.witness).join('\n')); }
  }
}, 600000);
