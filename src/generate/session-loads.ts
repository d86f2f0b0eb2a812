import { statesOf } from '../machines/index.js';
import type { Scripts } from './script.js';
import { closeAll } from './session-reads.js';
import type { Walk, WriteData } from './steps.js';

/** Cuts of an image that leave out something: for images of five bytes and more. */
const TRUNCATED: Readonly<Record<string, WriteData>> = {
  'last-byte-missing': { from: 0, to: -1 },
  'last-four-missing': { from: 0, to: -4 },
  'first-byte-only': { from: 0, to: 1 },
};

/** Images with something in them that the device has not given. Some drivers can tell, others cannot. */
const CHANGED: Readonly<Record<string, WriteData>> = {
  'first-byte-changed': { flip: { at: 0, mask: 0xff } },
  'ninth-byte-changed': { flip: { at: 8, mask: 0xff } },
  'last-byte-changed': { flip: { at: -1, mask: 0x01 } },
  'one-byte-behind': { extra: 1 },
  'page-behind': { extra: 4096 },
  'first-byte-missing': { from: 1, to: null },
  'zeros-only': { from: 0, to: 0, extra: 64 },
};

/** What becomes of the data that is written in RESUMING. */
export function loadCases(scripts: Scripts): void {
  wholeCases(scripts);
  for (const [name, data] of Object.entries(TRUNCATED)) truncatedCases(scripts, name, data);
  for (const [name, data] of Object.entries(CHANGED))
    scripts.add(`loads/${name}`, `RESUMING, ${words(name)}`, (walk) => {
      walk.set('RESUMING').write(walk.fd, data).set('STOP').get().reset();
      loadAndRun(walk);
    });
  scripts.add('loads/nothing', 'RESUMING is left and nothing was written', (walk) => {
    walk.set('RESUMING').set('STOP').get().reset();
    loadAndRun(walk);
  });
  scripts.add('loads/again', 'RESUMING is asked for in RESUMING', (walk) => {
    walk.set('RESUMING').write(walk.fd, { from: 0, to: 1 }).set('RESUMING');
    walk.write(walk.fd, { from: 1, to: null }).set('RUNNING');
    closeAll(walk);
  });
  scripts.add('loads/twice', 'a device is loaded twice without running between', (walk) => {
    walk.set('RESUMING').write(walk.fd).set('STOP');
    loadAndRun(walk);
  });
  scripts.add('loads/second-truncated', 'the data of a second load is looked at', (walk) => {
    walk.set('RESUMING').write(walk.fd).set('RUNNING');
    walk.set('RESUMING').write(walk.fd, { from: 0, to: -1 }).set('STOP').get().reset();
    loadAndRun(walk);
  });
  scripts.add('loads/saved-again', 'a device that was loaded saves a stream that it takes', (walk) => {
    walk.set('RESUMING').write(walk.fd).set('STOP_COPY').read(walk.fd, { until: 'end' });
    const saved = walk.fd;
    walk.set('RESUMING').write(walk.fd, { of: saved }).set('RUNNING');
    closeAll(walk);
  });
}

/** The uAPI keeps no segmentation, and each state that RESUMING can be left for takes the data. */
function wholeCases(scripts: Scripts): void {
  scripts.add('loads/in-pieces', 'RESUMING, written in small pieces', (walk) => {
    walk.set('RESUMING').write(walk.fd, { from: 0, to: 1 }).write(walk.fd, { from: 1, to: 2 });
    walk.write(walk.fd, { from: 2, to: 64 }, 1).write(walk.fd, { from: 64, to: null }, 61);
    walk.set('STOP').set('RUNNING');
    closeAll(walk);
  });
  for (const state of statesOf(scripts.capabilities)) {
    if (state === 'ERROR' || state === 'RESUMING') continue;
    scripts.add(`loads/whole>${state}`, `RESUMING, left for ${state} with all data`, (walk) => {
      walk.set('RESUMING').write(walk.fd).set(state).get();
      if (state !== 'RUNNING') walk.set('RUNNING');
      closeAll(walk);
    });
  }
}

/** RESUMING is not left for any state before all data has come. A reset helps. */
function truncatedCases(scripts: Scripts, name: string, data: WriteData): void {
  for (const state of ['STOP', 'RUNNING', 'STOP_COPY'] as const)
    scripts.add(`loads/${name}>${state}`, `RESUMING, left for ${state}, ${words(name)}`, (walk) => {
      walk.set('RESUMING').write(walk.fd, data).set(state).get().reset();
      loadAndRun(walk);
    });
}

function loadAndRun(walk: Walk): void {
  walk.set('RESUMING').write(walk.fd).set('RUNNING');
  closeAll(walk);
}

const words = (name: string): string => name.replaceAll('-', ' ');
