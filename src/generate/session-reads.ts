import { inPreCopy, inSavingGroup, statesOf } from '../machines/index.js';
import type { Scripts } from './script.js';
import type { Walk } from './steps.js';

/** Bytes of a read() that takes most streams at once. */
const LARGE = 1 << 22;
/** Sizes that fit no record. */
const ODD = 4095;
const SMALL = 61;

/** What read() of a saving data_fd gives: the temporary end, what comes behind it, the permanent end. */
export function readCases(scripts: Scripts): void {
  const saving = statesOf(scripts.capabilities).filter(inSavingGroup);
  for (const state of saving) {
    scripts.add(`reads/${state}/to-the-end`, `${state}: read to the end, and once more`, (walk) => {
      walk.set(state).read(walk.fd).read(walk.fd, { until: 'end' });
      walk.read(walk.fd).read(walk.fd, { size: 1 }).read(walk.fd, { until: 'end' });
      leave(walk);
    });
    scripts.add(
      `reads/${state}/in-pieces`,
      `${state}: what is read in small pieces is a whole stream`,
      (walk) => {
        walk.set(state).read(walk.fd, { size: 1 }).read(walk.fd, { size: 1 }).read(walk.fd, { size: 7 });
        walk.read(walk.fd, { size: ODD, until: 'end' });
        drain(walk, SMALL);
        loadBack(walk);
      },
    );
    scripts.add(`reads/${state}/at-once`, `${state}: read with a large buffer`, (walk) => {
      walk.set(state).read(walk.fd, { size: LARGE }).read(walk.fd, { size: LARGE, until: 'end' });
      drain(walk, LARGE);
      loadBack(walk);
    });
  }
  for (const state of saving.filter(inPreCopy)) precopyCases(scripts, state);
  if (scripts.capabilities.p2p && scripts.capabilities.preCopy) thereAndBack(scripts);
}

function precopyCases(scripts: Scripts, state: ReturnType<typeof statesOf>[number]): void {
  const parts = {
    unread: { title: 'nothing is read', script: () => {} },
    'one-byte': { title: 'one byte is read', script: (walk: Walk) => walk.read(walk.fd, { size: 1 }) },
    drained: {
      title: 'all is read',
      script: (walk: Walk) => walk.read(walk.fd).read(walk.fd, { until: 'end' }),
    },
  };
  for (const [name, { title, script }] of Object.entries(parts))
    scripts.add(`reads/${state}>STOP_COPY/${name}`, `${state}: ${title} before STOP_COPY`, (walk) => {
      walk.set(state);
      script(walk);
      drain(walk);
      walk.read(walk.fd).read(walk.fd, { size: 1 });
      loadBack(walk);
    });
}

/** The session goes on while the device goes to and fro in the saving group. */
function thereAndBack(scripts: Scripts): void {
  scripts.add('reads/PRE_COPY/to-and-fro', 'one session through PRE_COPY and PRE_COPY_P2P', (walk) => {
    walk.set('PRE_COPY').read(walk.fd).read(walk.fd, { until: 'end' });
    walk.set('PRE_COPY_P2P').read(walk.fd, { until: 'end' });
    walk.set('PRE_COPY').read(walk.fd, { size: 1 });
    walk.set('PRE_COPY_P2P');
    drain(walk);
    loadBack(walk);
  });
}

/** Goes to STOP_COPY, if the device is not there, and reads the rest. */
function drain(walk: Walk, size?: number): void {
  if (walk.at !== 'STOP_COPY') walk.set('STOP_COPY');
  walk.read(walk.fd, { until: 'end', ...(size === undefined ? {} : { size }) });
}

/** A device takes its own stream. */
function loadBack(walk: Walk): void {
  const saved = walk.fd;
  walk.set('STOP').set('RESUMING').write(walk.fd, { of: saved }).set('STOP').set('RUNNING');
  closeAll(walk);
}

function leave(walk: Walk): void {
  walk.set('RUNNING');
  closeAll(walk);
}

/** Closes what is open. */
export function closeAll(walk: Walk): void {
  for (const fd of walk.openFds) walk.close(fd);
}
