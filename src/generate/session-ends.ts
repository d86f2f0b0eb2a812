import { hasSession, inSavingGroup, statesOf } from '../machines/index.js';
import type { MigState } from '../uapi/vfio.js';
import type { Scripts } from './script.js';
import { closeAll } from './session-reads.js';
import type { Walk } from './steps.js';

type End = MigState | 'RESET';

/** How a session ends, what the data_fd gives afterwards, and whether another session can begin. */
export function endCases(scripts: Scripts): void {
  const states = statesOf(scripts.capabilities).filter((state) => state !== 'ERROR');
  const sessions = states.filter(hasSession);
  for (const state of sessions) {
    const ends = states.filter((end) => end !== state && !(inSavingGroup(state) && inSavingGroup(end)));
    for (const end of [...ends, 'RESET' as const]) endCase(scripts, state, end);
    for (const next of sessions) followCases(scripts, state, next);
    closedEarly(scripts, state);
  }
  for (const state of states) {
    resetCase(scripts, state);
    reopenCase(scripts, state);
  }
  cancelCases(scripts);
  resetsOfLoads(scripts);
}

/** After its session a data_fd gives errors, and the same session can begin once more. */
function endCase(scripts: Scripts, state: MigState, end: End): void {
  scripts.add(`ends/${state}>${end}`, `a session of ${state} that ${end} ends`, (walk) => {
    begin(walk, state);
    const old = walk.fd;
    finish(walk, end);
    use(walk, old, state);
    // Data was moved through another fd by now, if the new state has one.
    if (walk.session !== null) giveUp(walk);
    walk.close(old);
    begin(walk, state);
    giveUp(walk);
    closeAll(walk);
  });
}

/** Any session can follow any other; the old data_fd is dead meanwhile. */
function followCases(scripts: Scripts, first: MigState, second: MigState): void {
  for (const end of ['RUNNING', 'RESET'] as const)
    scripts.add(`follows/${first}>${end}>${second}`, `${second} after ${first}, by ${end}`, (walk) => {
      begin(walk, first);
      const old = walk.fd;
      finish(walk, end);
      walk.set(second);
      use(walk, old, first);
      if (second === 'RESUMING') walk.write(walk.fd);
      else walk.read(walk.fd);
      giveUp(walk);
      closeAll(walk);
    });
}

/** Whoever closes a data_fd early gives up the session, not the device. */
function closedEarly(scripts: Scripts, state: MigState): void {
  scripts.add(`closed-early/${state}`, `the data_fd of ${state} is closed early`, (walk) => {
    begin(walk, state);
    walk.close(walk.fd);
    if (state === 'RESUMING') walk.reset();
    else walk.set('RUNNING');
    begin(walk, state);
    giveUp(walk);
    closeAll(walk);
  });
}

function resetCase(scripts: Scripts, state: MigState): void {
  scripts.add(`reset/${state}`, `reset in ${state}`, (walk) => {
    if (state !== 'RUNNING') walk.set(state);
    walk.reset().get().set('STOP').set('STOP_COPY').read(walk.fd, { until: 'end' });
    walk.set('RUNNING').get();
    closeAll(walk);
  });
}

function reopenCase(scripts: Scripts, state: MigState): void {
  scripts.add(`reopen/${state}`, `close of the device in ${state}, and open`, (walk) => {
    if (state !== 'RUNNING') walk.set(state);
    walk.reopen().get().set('STOP_COPY').read(walk.fd, { until: 'end' }).set('RUNNING');
    closeAll(walk);
  });
}

/** A save that is given up leaves the device as it was, as often as it happens. */
function cancelCases(scripts: Scripts): void {
  for (const state of statesOf(scripts.capabilities).filter(inSavingGroup)) {
    scripts.add(`cancel/${state}`, `${state} is given up three times, nothing was read`, (walk) => {
      for (let times = 0; times < 3; times++) walk.set(state).set('RUNNING').close(walk.fd);
    });
    scripts.add(`cancel/${state}/read`, `${state} is given up after its data was read, twice`, (walk) => {
      for (let times = 0; times < 2; times++)
        walk.set(state).read(walk.fd).read(walk.fd, { until: 'end' }).set('RUNNING').close(walk.fd);
    });
  }
  for (const between of scripts.capabilities.p2p ? (['STOP', 'RUNNING_P2P'] as const) : (['STOP'] as const))
    scripts.add(
      `saves/STOP_COPY>${between}`,
      `saved twice, with ${between} between and no RUNNING`,
      (walk) => {
        for (let times = 0; times < 2; times++)
          walk.set('STOP_COPY').read(walk.fd, { until: 'end' }).set(between).close(walk.fd);
        walk.set('RUNNING');
      },
    );
}

/** A load is aborted by a reset, however far it has come. */
function resetsOfLoads(scripts: Scripts): void {
  const loads = {
    empty: (walk: Walk) => walk,
    whole: (walk: Walk) => walk.write(walk.fd),
    loaded: (walk: Walk) => walk.write(walk.fd).set('STOP'),
  };
  for (const [name, load] of Object.entries(loads))
    scripts.add(`reset/RESUMING/${name}`, `reset of a load: ${name}`, (walk) => {
      load(walk.set('RESUMING')).reset().get();
      use(walk, walk.fd, 'RESUMING');
      closeAll(walk);
      begin(walk, 'RESUMING');
      giveUp(walk);
      closeAll(walk);
    });
}

/** Begins a session, and moves some of its data: all that a load needs. */
function begin(walk: Walk, state: MigState): void {
  walk.set(state);
  if (state === 'RESUMING') walk.write(walk.fd);
  else walk.read(walk.fd, { size: 1 });
}

/** Ends the session of a device, and one that the new state brings gets its data. */
function finish(walk: Walk, end: End): void {
  if (end === 'RESET') walk.reset();
  else walk.set(end);
  if (walk.at === 'RESUMING') walk.write(walk.fd);
}

/** What the fd of a session is there for. */
function use(walk: Walk, fd: number, state: MigState): void {
  if (state === 'RESUMING') walk.write(fd, { from: 0, to: 1 });
  else walk.read(fd);
}

function giveUp(walk: Walk): void {
  if (walk.at !== 'RUNNING') walk.set('RUNNING');
}
