import type { Step, StepOf } from '../suite/index.js';
import { dataBytes, UNKNOWN } from '../suite/index.js';
import { type DataFd, DeviceError } from '../uapi/device.js';
import type { Bench } from './bench.js';

/** What came of a step, in the words of the vfio-device machine. */
export interface Outcome {
  readonly label: string;
  /** Name of the error number, where there was one. */
  readonly errno: string | null;
  /** What the device said beside it. */
  readonly detail: string | null;
}

export interface Bounds {
  /** Most bytes that are read to the end of a stream. */
  readonly maxBytes: number;
}

/** Reads of one step: a device that gives a byte at a time must not keep the run for hours. */
const MOST_READS = 1 << 20;

/** What a step moves. */
export interface Traffic {
  readonly image: Uint8Array | null;
  /** Takes what was read. */
  took?(bytes: Uint8Array): void;
}

/**
 * Executes one step on the bench's device.
 * @throws HangError, or what the device throws that is no DeviceError
 */
export async function perform(step: Step, bench: Bench, traffic: Traffic, bounds: Bounds): Promise<Outcome> {
  bench.touched = true;
  const { device } = bench;
  switch (step.do) {
    case 'set':
      return performSet(step, bench);
    case 'get':
      return answer(async () => `GET.${await device.getState()}`, 'GET.error');
    case 'reset':
      return answer(() => done('RESET.ok', bench.reset()), 'RESET.error');
    case 'reopen':
      return answer(async () => {
        await bench.reopen();
        return `OPEN.${await bench.device.getState()}`;
      }, 'OPEN.error');
    case 'data_size':
      return answer(() => done('DATA_SIZE.ok', device.dataSize()), 'DATA_SIZE.error');
    case 'precopy_info_v2':
      return answer(() => done('OPT_IN.ok', device.optInPrecopyInfoV2()), 'OPT_IN.error');
    case 'read_region': {
      const { region, offset, size } = step;
      return answer(() => done('REGION.ok', device.readRegion(region, offset, size)), 'REGION.error');
    }
    case 'log_start':
    case 'log_stop':
    case 'log_report':
      return performLog(step, bench);
    case 'scenario':
      return performScenario(step, bench);
    default:
      return performOnFd(
        step,
        bench.fds[step.fd]!,
        { ...traffic, image: imageFor(step, bench, traffic) },
        bounds,
      );
  }
}

/** What was read of each data_fd, in its order. */
const streams = new WeakMap<DataFd, Uint8Array[]>();

/** The image that a step writes from: the device's, or what was read of another data_fd. */
function imageFor(step: Step, { fds }: Bench, { image }: Traffic): Uint8Array | null {
  if (step.do !== 'write' || step.data.of === undefined) return image;
  const fd = fds[step.data.of];
  return Buffer.concat((fd && streams.get(fd)) ?? []);
}

function keep(fd: DataFd, bytes: Uint8Array): void {
  const parts = streams.get(fd) ?? [];
  parts.push(bytes);
  streams.set(fd, parts);
}

async function done(label: string, call: unknown): Promise<string> {
  await call;
  return label;
}

/** The label of success, or that of a refusal. */
async function answer(
  call: () => Promise<string>,
  failed: string | ((error: DeviceError) => string),
): Promise<Outcome> {
  try {
    return { label: await call(), errno: null, detail: null };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    const label = typeof failed === 'string' ? failed : failed(error);
    return { label, errno: error.code, detail: error.message };
  }
}

function performSet({ state }: StepOf<'set'>, bench: Bench): Promise<Outcome> {
  return answer(
    async () => {
      const fd = await bench.device.setState(state);
      if (fd !== null) bench.fds.push(fd);
      return fd === null ? `SET.${state}` : `SET.${state}.data_fd`;
    },
    () => {
      const last = bench.events.findLast(({ kind }) => kind === 'set_state_result');
      const at = last?.kind === 'set_state_result' ? last.state : undefined;
      return `FAIL.${state}.${at ?? UNKNOWN}`;
    },
  );
}

function performLog(step: StepOf<'log_start' | 'log_stop' | 'log_report'>, bench: Bench): Promise<Outcome> {
  const logging = bench.device.dmaLogging!;
  switch (step.do) {
    case 'log_start': {
      const ranges = step.ranges.map(({ iova, length }) => ({ iova: BigInt(iova), length: BigInt(length) }));
      const request = { pageSize: BigInt(step.pageSize), ranges };
      return answer(() => done('START.ok', logging.start(request)), 'START.error');
    }
    case 'log_stop':
      return answer(() => done('STOP.ok', logging.stop()), 'STOP.error');
    case 'log_report': {
      const { iova, length, pageSize } = step;
      const range = { iova: BigInt(iova), length: BigInt(length), pageSize: BigInt(pageSize) };
      return answer(() => done('REPORT.ok', logging.report(range)), 'REPORT.error');
    }
  }
}

async function performScenario({ name }: StepOf<'scenario'>, bench: Bench): Promise<Outcome> {
  const ended = await bench.target.guest!.play(name, (event) => bench.tell(event));
  const label = ended === null ? 'SCENARIO.ok' : 'SCENARIO.broken';
  return { label, errno: null, detail: ended };
}

type FdStep = StepOf<'read' | 'write' | 'precopy_info' | 'close'>;

function performOnFd(step: FdStep, fd: DataFd, traffic: Traffic, bounds: Bounds): Promise<Outcome> {
  switch (step.do) {
    case 'read':
      return answer(
        () => read(step, fd, traffic, bounds),
        ({ code }) => (code === 'ENOMSG' ? 'READ.ENOMSG' : 'READ.error'),
      );
    case 'write':
      return answer(() => write(step, fd, traffic), 'WRITE.error');
    case 'precopy_info':
      return answer(
        () => done('PRECOPY_INFO.ok', fd.precopyInfo()),
        ({ code }) =>
          code === 'EINVAL' || code === 'ENOTTY' ? 'PRECOPY_INFO.refused' : 'PRECOPY_INFO.error',
      );
    case 'close':
      return answer(() => done('CLOSE.ok', fd.close()), 'CLOSE.error');
  }
}

async function read(
  { size, until }: StepOf<'read'>,
  fd: DataFd,
  traffic: Traffic,
  { maxBytes }: Bounds,
): Promise<string> {
  const into = new Uint8Array(size);
  let total = 0;
  for (let reads = 0; reads < MOST_READS && total <= maxBytes; reads++) {
    const count = await fd.read(into);
    if (count <= 0) return 'READ.end';
    total += count;
    const bytes = into.slice(0, count);
    traffic.took?.(bytes);
    keep(fd, bytes);
    if (until === 'once') return 'READ.data';
  }
  return 'READ.endless';
}

async function write({ data, piece }: StepOf<'write'>, fd: DataFd, traffic: Traffic): Promise<string> {
  const bytes = dataBytes(data, traffic.image ?? new Uint8Array(0));
  if (bytes.length === 0) await fd.write(bytes);
  for (let at = 0; at < bytes.length; ) {
    const part = bytes.subarray(at, piece === null ? undefined : at + piece);
    const taken = await fd.write(part);
    if (taken <= 0) throw new DeviceError('EIO', 'write() took nothing');
    at += taken;
  }
  return 'WRITE.ok';
}
