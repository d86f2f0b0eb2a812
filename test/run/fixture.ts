import { capabilitySet } from '../../src/machines/index.js';
import { type RunOptions, runSuite, type TestReport } from '../../src/run/index.js';
import { type Case, caseSchema, type Step, SUITE_SCHEMA, type Suite } from '../../src/suite/index.js';
import type { GuestRig, Target } from '../../src/target/index.js';
import type { Device } from '../../src/uapi/index.js';
import type { OptionalCall } from '../../src/uapi/optional-call.js';

/** A target in this process; every open but the first resets the device. */
export function targetOf(
  device: Device,
  lacks: readonly OptionalCall[] = [],
  guest: GuestRig | null = null,
): Target {
  let opened = false;
  return {
    uri: 'test:device',
    profile: undefined,
    lacks: new Set(lacks),
    guest,
    open: async () => {
      if (opened) await device.reset();
      opened = true;
      return device;
    },
    close: async () => {},
  };
}

interface Said {
  do: Step['do'];
  expect: string | string[];
  [field: string]: unknown;
}

/** Steps of a case in short: `at` is RUNNING and the rule VFIO-FSM-01 unless said. */
export function caseOf(id: string, steps: Said[]): Case {
  return caseSchema.parse({
    id,
    title: id,
    criterion: 'test',
    steps: steps.map((step) => ({
      rule: 'VFIO-FSM-01',
      at: 'RUNNING',
      ...step,
      expect: [step.expect].flat(),
    })),
  });
}

export function suiteOf(cases: Case[], capabilities = ['stop-copy', 'p2p', 'pre-copy']): Suite {
  capabilitySet(capabilities);
  return { schema: SUITE_SCHEMA, model: 'vfio-device', capabilities, coverage: [], guarantee: null, cases };
}

export async function reportOf(
  device: Device,
  cases: Case[],
  options: Partial<RunOptions> = {},
): Promise<TestReport> {
  const run = { target: targetOf(device), suite: suiteOf(cases), ...options };
  return (await runSuite(run)).report;
}

/** A whole save and a load of the image. */
export const SAVE_AND_LOAD = caseOf('save-and-load', [
  { do: 'set', state: 'STOP_COPY', expect: 'SET.STOP_COPY.data_fd' },
  { do: 'get', expect: 'GET.STOP_COPY', at: 'STOP_COPY' },
  { do: 'read', fd: 0, size: 4096, until: 'end', expect: 'READ.end', at: 'STOP_COPY' },
  { do: 'set', state: 'RESUMING', expect: 'SET.RESUMING.data_fd', at: 'STOP_COPY' },
  { do: 'write', fd: 1, data: {}, piece: 7, expect: 'WRITE.ok', at: 'RESUMING' },
  { do: 'set', state: 'RUNNING', expect: 'SET.RUNNING', at: 'RESUMING' },
  { do: 'close', fd: 1, expect: 'CLOSE.ok' },
  { do: 'read', fd: 0, size: 16, until: 'once', expect: 'READ.error' },
]);
