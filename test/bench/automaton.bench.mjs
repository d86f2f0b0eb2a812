// How fast the compiled table of the VFIO device steps, next to XState on the same events in the same run.
//   node test/bench/automaton.bench.mjs [--events=N] [--runs=N]
import { parseArgs } from 'node:util';
import { createActor, initialTransition, transition } from 'xstate';
import { accepted, compile, configurationName, step } from '../../dist/automaton/index.js';
import { CAPABILITY_SETS, machineNamed } from '../../dist/machines/index.js';

const { values } = parseArgs({
  options: { events: { type: 'string', default: '5000000' }, runs: { type: 'string', default: '5' } },
});
const count = Number(values.events);
const runs = Number(values.runs);
/** How many of the events XState gets: it is a rate that is compared. */
const some = Math.min(count, 20_000);
/** What the table is to be faster than the actor by. */
const GOAL = 400;

const machine = machineNamed('vfio-device').make(CAPABILITY_SETS[3]);
const automaton = compile(machine);
const events = legalEvents(count);
const objects = Array.from(events.subarray(0, some), (event) => ({ type: automaton.events[event] }));

/** A pseudo-random walk from the initial state: event numbers that each state on the way accepts. */
function legalEvents(length) {
  const choices = automaton.states.map((_, state) =>
    accepted(automaton, state).map((name) => automaton.eventIndex.get(name)),
  );
  const walk = new Uint16Array(length);
  let seed = 1;
  let state = 0;
  for (let index = 0; index < length; index++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const list = choices[state];
    walk[index] = list[Math.floor((seed / 2 ** 32) * list.length)];
    state = step(automaton, state, walk[index]);
  }
  return walk;
}

function stepTable(list) {
  let state = 0;
  for (let index = 0; index < list.length; index++) state = step(automaton, state, list[index]);
  return automaton.states[state];
}

const configuration = ({ value }) => automaton.regions.map((region) => value[region]);

function sendToActor() {
  const actor = createActor(machine).start();
  for (const event of objects) actor.send(event);
  const end = configuration(actor.getSnapshot());
  actor.stop();
  return end;
}

function callTransition() {
  let [snapshot] = initialTransition(machine);
  for (const event of objects) [snapshot] = transition(machine, snapshot, event);
  return configuration(snapshot);
}

/** Transitions per second of the best run, and where they led. */
function measure(work, length) {
  let best = 0;
  let end;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    end = work();
    best = Math.max(best, (length / (performance.now() - start)) * 1000);
  }
  return { rate: best, end: configurationName(end) };
}

const rows = [
  { name: 'compiled table, step()', ...measure(() => stepTable(events), count) },
  { name: 'XState actor, send()', ...measure(sendToActor, some) },
  { name: 'XState transition()', ...measure(callTransition, some) },
];
const [table, actor, pure] = rows;
const expected = configurationName(stepTable(events.subarray(0, some)));
for (const { name, end } of [actor, pure])
  if (end !== expected) throw new Error(`${name} ended in ${end}, the table in ${expected}`);

console.log(
  `vfio-device: ${automaton.states.length} states, ${automaton.events.length} events; ` +
    `${count.toLocaleString('en-US')} legal events (XState: ${some.toLocaleString('en-US')}), best of ${runs}\n`,
);
for (const { name, rate } of rows) {
  const ratio = rate === table.rate ? '' : `   table is ${Math.round(table.rate / rate)}x`;
  console.log(
    `${name.padEnd(24)} ${Math.round(rate).toLocaleString('en-US').padStart(12)} transitions/s${ratio}`,
  );
}
const reached = table.rate / actor.rate >= GOAL;
console.log(`\ngoal: ${GOAL}x the actor: ${reached ? 'reached' : 'missed'}`);
if (!reached) process.exitCode = 1;
