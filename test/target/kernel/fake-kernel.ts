import type { Files } from '../../../src/target/kernel/locate.js';
import type { Answer, Call, Syscalls } from '../../../src/target/kernel/syscalls.js';
import {
  type DataFd,
  DEVICE_FLAGS_RESET,
  type Device,
  DeviceAttachIommufdPt,
  DeviceBindIommufd,
  DeviceError,
  DeviceInfo,
  DirtyBitmap,
  DmaLoggingControl,
  DmaLoggingReport,
  decodeDmaLoggingRanges,
  decodeFeatureCall,
  ERRNO,
  encodePrecopyInfo,
  FEATURES,
  FeatureMigration,
  FeatureMigState,
  GroupStatus,
  IOCTLS,
  IOMMUFD_IOCTLS,
  IoasAlloc,
  MIG_STATE_NUMBER,
  MigDataSize,
  RegionInfo,
} from '../../../src/uapi/index.js';

/** A host in which not everything is as it should be. */
export interface Faults {
  /** By path: why it cannot be opened. */
  open?: Readonly<Record<string, string>>;
  /** By request number: why the ioctl fails. */
  ioctl?: Readonly<Record<number, string>>;
  /** Value of an ioctl that succeeds, by request number. */
  value?: Readonly<Record<number, number>>;
  /** Flags of the group; the default is VIABLE. */
  groupFlags?: number;
  /** The driver does not say that it resets. */
  hidesReset?: boolean;
  /** Bytes of one read or write at most. */
  most?: number;
}

const REGION_SIZE = 0x1000n;
const empty = new Uint8Array();

/** The files of a host, a folder by the names in it. */
export function fakeFiles(paths: readonly string[], links: Readonly<Record<string, string>> = {}): Files {
  return {
    exists: (path) => paths.some((each) => each === path || each.startsWith(`${path}/`)) || path in links,
    list: (path) =>
      paths
        .filter((each) => each.startsWith(`${path}/`))
        .map((each) => each.slice(path.length + 1).split('/')[0]!),
    link: (path) => links[path] ?? null,
  };
}

/** The system calls of a kernel that has one device, which is a model. */
export class FakeKernel implements Syscalls {
  readonly log: string[] = [];
  /** How often all was closed. */
  rests = 0;
  readonly isUsable = true;
  #next = 100;
  readonly #files = new Map<number, string>();
  readonly #dataFds = new Map<number, DataFd>();
  #device = -1;

  constructor(
    readonly model: Device,
    readonly faults: Faults = {},
  ) {}

  async call(call: Call, what: string): Promise<Answer> {
    this.log.push(what);
    const done = (value: number, bytes: Uint8Array = empty, pointed: readonly Uint8Array[] = []): Answer => ({
      value,
      errno: 0,
      bytes,
      pointed,
    });
    try {
      return await this.#make(call, done);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      return { value: -1, errno: error.errno, bytes: empty, pointed: [] };
    }
  }

  async #make(
    call: Call,
    done: (value: number, bytes?: Uint8Array, pointed?: readonly Uint8Array[]) => Answer,
  ): Promise<Answer> {
    switch (call.call) {
      case 'open': {
        this.#fail(this.faults.open?.[call.path]);
        const fd = this.#next++;
        this.#files.set(fd, call.path);
        if (call.path.startsWith('/dev/vfio/devices/')) this.#device = fd;
        return done(fd);
      }
      case 'close':
        await this.#dataFd(call.fd).close();
        this.#dataFds.delete(call.fd);
        return done(0);
      case 'close_all':
        return done(0);
      case 'read': {
        const size = Math.min(call.size, this.faults.most ?? call.size);
        if (call.offset !== undefined) {
          const [region, at] = place(call.offset);
          return done(size, await this.model.readRegion(region, at, size));
        }
        const into = new Uint8Array(size);
        const value = await this.#dataFd(call.fd).read(into);
        return done(value, into.subarray(0, value));
      }
      case 'write': {
        const bytes = call.bytes.subarray(0, this.faults.most);
        if (call.offset === undefined) return done(await this.#dataFd(call.fd).write(bytes));
        const [region, at] = place(call.offset);
        await this.model.writeRegion(region, at, bytes);
        return done(bytes.length);
      }
      case 'ioctl':
        return this.#ioctl(call, done);
    }
  }

  async #ioctl(
    { fd, request, arg, pointed = [] }: Extract<Call, { call: 'ioctl' }>,
    done: (value: number, bytes?: Uint8Array, pointed?: readonly Uint8Array[]) => Answer,
  ): Promise<Answer> {
    this.#fail(this.faults.ioctl?.[request]);
    const value = this.faults.value?.[request] ?? 0;
    const bytes = typeof arg === 'number' ? empty : arg.slice();
    switch (request) {
      case IOCTLS.VFIO_GET_API_VERSION:
      case IOCTLS.VFIO_SET_IOMMU:
      case IOCTLS.VFIO_GROUP_SET_CONTAINER:
        return done(value);
      case IOCTLS.VFIO_CHECK_EXTENSION:
        return done(this.faults.value?.[request] ?? 1);
      case IOCTLS.VFIO_GROUP_GET_STATUS:
        return done(0, GroupStatus.encode({ argsz: 8, flags: this.faults.groupFlags ?? 1 }));
      case IOCTLS.VFIO_GROUP_GET_DEVICE_FD:
        this.log.push(new TextDecoder().decode(bytes));
        this.#device = this.#next++;
        return done(this.#device);
      case IOCTLS.VFIO_DEVICE_BIND_IOMMUFD:
        this.log.push(`iommufd is ${this.#files.get(DeviceBindIommufd.decode(bytes).iommufd)}`);
        return done(0, bytes);
      case IOMMUFD_IOCTLS.IOMMU_IOAS_ALLOC:
        return done(0, IoasAlloc.encode({ size: 12, flags: 0, out_ioas_id: 7 }));
      case IOCTLS.VFIO_DEVICE_ATTACH_IOMMUFD_PT:
        this.log.push(`attached to ${DeviceAttachIommufdPt.decode(bytes).pt_id}`);
        return done(0, bytes);
      case IOCTLS.VFIO_MIG_GET_PRECOPY_INFO:
        return done(0, encodePrecopyInfo(await this.#dataFd(fd).precopyInfo()));
    }
    if (fd !== this.#device) this.#fail('ENOTTY');
    switch (request) {
      case IOCTLS.VFIO_DEVICE_GET_INFO: {
        const flags = this.faults.hidesReset ? 0 : DEVICE_FLAGS_RESET;
        return done(0, DeviceInfo.encode({ ...DeviceInfo.decode(bytes), flags }));
      }
      case IOCTLS.VFIO_DEVICE_RESET:
        await this.model.reset();
        return done(0);
      case IOCTLS.VFIO_DEVICE_GET_REGION_INFO: {
        const { index } = RegionInfo.decode(bytes);
        if (index > 8) this.#fail('EINVAL');
        const offset = BigInt(index) << 40n;
        return done(
          0,
          RegionInfo.encode({ argsz: 32, flags: 3, index, cap_offset: 0, size: REGION_SIZE, offset }),
        );
      }
      case IOCTLS.VFIO_DEVICE_FEATURE:
        return this.#feature(
          bytes,
          pointed.map((memory) => ({ ...memory, bytes: memory.bytes.slice() })),
          done,
        );
    }
    return this.#fail('ENOTTY') as never;
  }

  async #feature(
    arg: Uint8Array,
    pointed: readonly { at: number; bytes: Uint8Array }[],
    done: (value: number, bytes?: Uint8Array, pointed?: readonly Uint8Array[]) => Answer,
  ): Promise<Answer> {
    const { index, set, probe, data } = decodeFeatureCall(arg);
    const logging = this.model.dmaLogging;
    const isLogging = index >= FEATURES.DMA_LOGGING_START && index <= FEATURES.DMA_LOGGING_REPORT;
    if (isLogging && logging === null) this.#fail('ENOTTY');
    if (probe) return done(0);
    const answer = (after: Uint8Array) => {
      arg.set(after, 8);
      return done(
        0,
        arg,
        pointed.map(({ bytes }) => bytes),
      );
    };
    switch (index) {
      case FEATURES.MIGRATION:
        return answer(FeatureMigration.encode({ flags: BigInt(this.model.flags) }));
      case FEATURES.MIG_DEVICE_STATE:
        return answer(await this.#state(set, data));
      case FEATURES.MIG_DATA_SIZE:
        return answer(MigDataSize.encode({ stop_copy_length: await this.model.dataSize() }));
      case FEATURES.MIG_PRECOPY_INFOv2:
        await this.model.optInPrecopyInfoV2();
        return answer(empty);
      case FEATURES.DMA_LOGGING_START: {
        const control = DmaLoggingControl.decode(data);
        const ranges = decodeDmaLoggingRanges(pointedAt(pointed, 16), control.num_ranges);
        return answer(
          DmaLoggingControl.encode({
            ...control,
            page_size: await logging!.start({ pageSize: control.page_size, ranges }),
          }),
        );
      }
      case FEATURES.DMA_LOGGING_STOP:
        await logging!.stop();
        return answer(empty);
      case FEATURES.DMA_LOGGING_REPORT: {
        const { iova, length, page_size } = DmaLoggingReport.decode(data);
        const dirt = await logging!.report({ iova, length, pageSize: page_size });
        const seen = new DirtyBitmap({ iova, length, pageSize: page_size }, pointedAt(pointed, 24));
        seen.merge(dirt);
        return answer(data);
      }
    }
    return this.#fail('ENOTTY') as never;
  }

  async #state(set: boolean, data: Uint8Array): Promise<Uint8Array> {
    if (!set) {
      const state = await this.model.getState();
      return FeatureMigState.encode({ device_state: MIG_STATE_NUMBER[state], data_fd: -1 });
    }
    const { device_state } = FeatureMigState.decode(data);
    const fd = await this.model.setState(device_state);
    if (fd === null) return FeatureMigState.encode({ device_state, data_fd: -1 });
    this.#dataFds.set(this.#next, fd);
    return FeatureMigState.encode({ device_state, data_fd: this.#next++ });
  }

  #dataFd(fd: number): DataFd {
    return this.#dataFds.get(fd) ?? (this.#fail('EBADF') as never);
  }

  #fail(code: string | undefined): void {
    if (code !== undefined) throw new DeviceError(ERRNO[code] === undefined ? 'EIO' : code, 'fake');
  }

  async rest(): Promise<void> {
    this.rests++;
  }
}

/** Region and place in it, by the offset in the device's file. */
const place = (offset: bigint): [number, number] => [
  Number(offset >> 40n),
  Number(offset & ((1n << 40n) - 1n)),
];

/** The memory whose address stands at this place of a feature's data. */
function pointedAt(pointed: readonly { at: number; bytes: Uint8Array }[], at: number): Uint8Array {
  const found = pointed.find((memory) => memory.at === at + 8);
  if (found === undefined) throw new DeviceError('EFAULT', 'no memory there');
  return found.bytes;
}
