import type { DeviceSender } from './device-sender.js';
import type { RamSender } from './ram-sender.js';
import { ramDigest } from './ram-snapshot.js';
import {
  type DestinationReport,
  type DeviceReport,
  MIGRATE_SCHEMA,
  type MigrateReport,
  type Outcome,
  type RunsOn,
} from './report.js';
import type { Prerequisite } from './requirements.js';
import type { VirtualMachine } from './virtual-machine.js';

/** What a source knows at its end. */
export interface SourceFacts {
  readonly vm: VirtualMachine;
  readonly outcome: Outcome;
  /** There was a return path: a completed migration is one that the destination has said it runs. */
  readonly answered: boolean;
  readonly error: string | null;
  /** What the destination has told after the switchover; null when nothing came. */
  readonly answer: DestinationReport | null;
  readonly prerequisites: readonly Prerequisite[];
  /** Digests of the devices when they had stopped, by name. */
  readonly deviceDigests: ReadonlyMap<string, string | null>;
  readonly senders: readonly DeviceSender[];
  readonly ram: RamSender;
  readonly phases: Readonly<Record<string, number>>;
  readonly totalBytes: number;
  /** `performance.now()` of the moments; null when they did not come. */
  readonly times: {
    readonly started: number;
    readonly setupEnded: number | null;
    readonly stopped: number | null;
    readonly resumed: number | null;
  };
}

/** The report of a source; compares both sides where the destination has told its digests. */
export function sourceReport(facts: SourceFacts): MigrateReport {
  const { vm, outcome, answer, times, ram, senders } = facts;
  const devices = vm.parts.map(({ name }) => deviceReport(facts, name));
  const memoryEqual = answer?.ramDigest == null ? null : answer.ramDigest === ramDigest(vm.ram);
  const states = devices.map(({ stateEqual }) => stateEqual);
  const books = devices.flatMap((device) => (device.books === null ? [] : [device.books]));
  const sum = (pick: (each: (typeof books)[number]) => number) =>
    answer === null ? null : books.reduce((total, each) => total + pick(each), 0);
  const between = (from: number | null, to: number | null) =>
    from === null || to === null ? null : to - from;
  const { asked, given } = vm.workload;
  return {
    schema: MIGRATE_SCHEMA,
    outcome,
    running: runsOn(vm, outcome, facts.answered),
    error: facts.error,
    advice: null,
    memoryEqual,
    deviceStateEqual: states.includes(false) ? false : states.includes(null) || answer === null ? null : true,
    framesLost: sum(({ framesLost }) => framesLost),
    framesDuplicated: sum(({ framesDuplicated }) => framesDuplicated),
    downtimeMs: between(times.stopped, times.resumed),
    totalMs: (times.resumed ?? performance.now()) - times.started,
    setupMs: between(times.started, times.setupEnded),
    bytes: {
      ram: ram.bytes,
      device: senders.reduce((total, { bytes }) => total + bytes, 0),
      total: facts.totalBytes,
    },
    phases: facts.phases,
    pages: { normal: ram.normal, zero: ram.zero },
    rounds: ram.rounds,
    guestSlowdown: asked === 0 ? null : 1 - given / asked,
    throttle: vm.throttle,
    prerequisites: facts.prerequisites,
    devices,
  };
}

function runsOn(vm: VirtualMachine, outcome: Outcome, answered: boolean): RunsOn {
  if (outcome === 'completed') return answered ? 'destination' : 'none';
  return vm.running ? 'source' : 'none';
}

function deviceReport({ vm, answer, senders, deviceDigests }: SourceFacts, name: string): DeviceReport {
  const { model } = vm.parts.find((device) => device.name === name)!.machine;
  const told = answer?.devices.find((device) => device.name === name);
  const own = deviceDigests.get(name) ?? null;
  const its = told?.digest ?? null;
  return {
    name,
    model,
    bytes: senders.find(({ device }) => device.name === name)?.bytes ?? 0,
    stateEqual: own === null || its === null ? null : own === its,
    works: told?.works ?? null,
    books: told?.books ?? null,
  };
}
