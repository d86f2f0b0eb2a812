import { hasState, inPreCopy, inSavingGroup, statesOf } from '../machines/index.js';
import type { Case } from '../suite/index.js';
import { VFIO_PCI_CONFIG_REGION } from '../uapi/pci.js';
import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import { loggingCases } from './logging-cases.js';
import { type ScriptContext, Scripts } from './script.js';
import { closeAll } from './session-reads.js';

/** Numbers that are no state: the next one, one with bits of many bytes, and the largest. */
const OUT_OF_RANGE = [MIG_STATES.length, 0xabcd, 0xffff_ffff];

/** The criterion `errors`: calls that must fail and change nothing. */
export function errorCases(context: ScriptContext): Case[] {
  const scripts = new Scripts('errors', context);
  for (const state of statesOf(context.capabilities).filter((each) => each !== 'ERROR'))
    for (const [name, requests] of Object.entries(refusedIn(state, scripts)))
      if (requests.length > 0) refusedCase(scripts, state, name, requests);
  regionCases(scripts);
  loggingCases(scripts);
  return scripts.cases;
}

/** By the reason: requests that fail in this state. */
function refusedIn(state: MigState, { capabilities }: Scripts): Record<string, (MigState | number)[]> {
  return {
    'out-of-range': OUT_OF_RANGE,
    error: ['ERROR'],
    'not-offered': MIG_STATES.filter((each) => !hasState(each, capabilities)),
    blocked: state === 'STOP_COPY' ? statesOf(capabilities).filter(inPreCopy) : [],
  };
}

/** What was refused has changed nothing: neither the state, nor the session. */
function refusedCase(
  scripts: Scripts,
  state: MigState,
  name: string,
  requests: readonly (MigState | number)[],
): void {
  scripts.add(`requests/${state}/${name}`, `${state}: requests that fail, ${name}`, (walk) => {
    if (state !== 'RUNNING') walk.set(state);
    if (inSavingGroup(state)) walk.read(walk.fd, { size: 1 });
    for (const request of requests) walk.set(request).get();
    if (inSavingGroup(state)) walk.read(walk.fd, { until: 'end' });
    if (state === 'RESUMING') walk.write(walk.fd);
    if (state !== 'RUNNING') walk.set('RUNNING').get();
    closeAll(walk);
  });
}

/** A device that is stopped still answers in configuration space: its vendor id. */
function regionCases(scripts: Scripts): void {
  const states = statesOf(scripts.capabilities);
  for (const state of states.filter((each) => each !== 'ERROR' && each !== 'RESUMING'))
    scripts.add(`config-space/${state}`, `configuration space is read in ${state}`, (walk) => {
      if (state !== 'RUNNING') walk.set(state);
      walk.readRegion(VFIO_PCI_CONFIG_REGION, 0, 2);
      if (state !== 'RUNNING') walk.set('RUNNING');
      closeAll(walk);
    });
}
