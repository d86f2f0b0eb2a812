import { hasSession, inPreCopy, inSavingGroup, statesOf } from '../machines/index.js';
import type { MigState } from '../uapi/vfio.js';
import type { Scripts } from './script.js';
import { closeAll } from './session-reads.js';

/** What can be asked of a device and of its data_fd, in each state, and what a data_fd is not there for. */
export function queryCases(scripts: Scripts): void {
  const states = statesOf(scripts.capabilities).filter((state) => state !== 'ERROR');
  for (const state of states)
    scripts.add(`data-size/${state}`, `MIG_DATA_SIZE in ${state}`, (walk) => {
      if (state !== 'RUNNING') walk.set(state);
      walk.dataSize();
      if (state === 'RESUMING') walk.write(walk.fd).dataSize();
      if (inSavingGroup(state)) walk.read(walk.fd, { until: 'end' }).dataSize();
      if (state !== 'RUNNING') walk.set('RUNNING');
      closeAll(walk);
    });
  for (const state of states.filter(hasSession)) {
    infoCase(scripts, state, false);
    if (inPreCopy(state)) infoCase(scripts, state, true);
    wrongWay(scripts, state);
  }
}

/** Precopy info through the life of a session: before data, behind some, at its end, and where it has no meaning. */
function infoCase(scripts: Scripts, state: MigState, optIn: boolean): void {
  const name = `precopy-info/${state}${optIn ? '/v2' : ''}`;
  scripts.add(name, `precopy info of a session of ${state}${optIn ? ', with v2' : ''}`, (walk) => {
    if (optIn) walk.optInPrecopyInfoV2();
    walk.set(state).precopyInfo(walk.fd);
    if (state === 'RESUMING') walk.write(walk.fd);
    else walk.read(walk.fd, { size: 1 }).precopyInfo(walk.fd).read(walk.fd, { until: 'end' });
    walk.precopyInfo(walk.fd);
    if (inPreCopy(state)) walk.set('STOP_COPY').precopyInfo(walk.fd);
    walk.set('RUNNING').precopyInfo(walk.fd);
    closeAll(walk);
  });
}

/** A data_fd goes one way only; who tries the other does no harm. */
function wrongWay(scripts: Scripts, state: MigState): void {
  const loads = state === 'RESUMING';
  const title = loads ? 'a read from the data_fd of RESUMING' : `a write to the data_fd of ${state}`;
  scripts.add(`wrong-way/${state}`, title, (walk) => {
    walk.set(state);
    if (loads) walk.read(walk.fd).write(walk.fd);
    else walk.write(walk.fd, { from: 0, to: 1 }).read(walk.fd).read(walk.fd, { until: 'end' });
    walk.set('RUNNING');
    closeAll(walk);
  });
}
