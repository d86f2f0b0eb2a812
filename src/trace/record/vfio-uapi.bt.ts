import { FEATURE_FLAGS, FEATURES, IOCTLS } from '../../uapi/vfio.js';
import {
  DeviceFeature,
  DmaLoggingControl,
  DmaLoggingReport,
  FeatureMigState,
  PrecopyInfo,
} from '../../uapi/vfio-structs.js';
import { InputError } from '../reader.js';
import { UAPI_SCHEMA } from './format.js';

/** What the recorder program is made for. */
export interface ProgramOptions {
  /** Record this process only; the default is every process. */
  pid?: number;
  /** Version of bpftrace, for the head line; the default is none. */
  bpftrace?: string;
}

const PAYLOAD = DeviceFeature.size;

/** Byte offsets of the fields that are recorded, from the start of what the ioctl points at. */
const AT = {
  argsz: DeviceFeature.offsets.argsz,
  flags: DeviceFeature.offsets.flags,
  /** The first word of a payload: a state, the migration flags, or a length. */
  first: PAYLOAD,
  dataFd: PAYLOAD + FeatureMigState.offsets.data_fd,
  logging: {
    pageSize: PAYLOAD + DmaLoggingControl.offsets.page_size,
    ranges: PAYLOAD + DmaLoggingControl.offsets.num_ranges,
  },
  report: {
    iova: PAYLOAD + DmaLoggingReport.offsets.iova,
    length: PAYLOAD + DmaLoggingReport.offsets.length,
    pageSize: PAYLOAD + DmaLoggingReport.offsets.page_size,
  },
  precopy: {
    flags: PrecopyInfo.offsets.flags,
    initial: PrecopyInfo.offsets.initial_bytes,
    dirty: PrecopyInfo.offsets.dirty_bytes,
  },
} as const;

const CDEV = '/dev/vfio/devices/';

const hex = (number: number): string => `0x${number.toString(16)}`;

/** A 32-bit or 64-bit word of user memory. */
const word = (bits: 32 | 64, pointer: string, offset: number): string =>
  `*(uint${bits}*)uptr(${pointer} + ${offset})`;

/** A member of a record: its name, its `printf` format, and the expression that gives it. */
type Field = readonly [name: string, format: string, value: string];

/** A `printf` of one record; `t` is an expression for the time of the call's begin, in ns. */
function line(ev: string, t: string, fields: readonly Field[]): string {
  const all: readonly Field[] = [['t', '%llu', t], ['pid', '%d', 'pid'], ['tid', '%d', 'tid'], ...fields];
  const members = all.map(([name, format]) => `\\"${name}\\":${format}`);
  members.splice(3, 0, `\\"ev\\":\\"${ev}\\"`);
  return `printf("{${members.join(',')}}\\n", ${all.map(([, , value]) => value).join(', ')});`;
}

/** The record of a call that has ended, with its result and how long it took. */
const ended = (ev: string, fields: readonly Field[], last: Field): string =>
  line(ev, '@t[tid]', [['fd', '%d', '@fd[tid]'], ...fields, ...RESULT, last]);

const RESULT: readonly Field[] = [
  ['ret', '%lld', '(int64)args->ret'],
  ['dur', '%llu', 'nsecs - @t[tid]'],
];
/** Texts are not escaped, so a record has one at most, and last, where a reader can cut it off. */
const COMM: Field = ['comm', '\\"%s\\"', 'comm'];
const name = (value: string): Field => ['name', '\\"%s\\"', value];

const feature = (payload: readonly Field[]): string =>
  ended(
    'vfio_device_feature',
    [['argsz', '%u', '@argsz[tid]'], ['flags', '%u', '@flags[tid]'], ...payload],
    COMM,
  );

/** The body of the exit of VFIO_DEVICE_FEATURE: one branch for each feature whose payload matters. */
const FEATURE_EXIT = `
    $feature = @flags[tid] & ${hex(FEATURE_FLAGS.MASK)};
    if (@flags[tid] & ${hex(FEATURE_FLAGS.PROBE)}) {
      ${feature([])}
    } else if ($feature == ${FEATURES.MIG_DEVICE_STATE}) {
      ${feature([
        ['in', '%u', '@in[tid]'],
        ['out', '%u', word(32, '@arg[tid]', AT.first)],
        ['data_fd', '%d', `*(int32*)uptr(@arg[tid] + ${AT.dataFd})`],
      ])}
      if (args->ret == 0 && (@flags[tid] & ${hex(FEATURE_FLAGS.SET)}) && *(int32*)uptr(@arg[tid] + ${AT.dataFd}) >= 0) {
        @data[pid, (uint64)${word(32, '@arg[tid]', AT.dataFd)}] = 1;
      }
    } else if ($feature == ${FEATURES.MIGRATION} || $feature == ${FEATURES.MIG_DATA_SIZE}) {
      ${feature([['out', '%llu', word(64, '@arg[tid]', AT.first)]])}
    } else if ($feature == ${FEATURES.DMA_LOGGING_START}) {
      ${feature([
        ['page_size', '%llu', '@page[tid]'],
        ['page_size_out', '%llu', word(64, '@arg[tid]', AT.logging.pageSize)],
        ['num_ranges', '%u', word(32, '@arg[tid]', AT.logging.ranges)],
      ])}
    } else if ($feature == ${FEATURES.DMA_LOGGING_REPORT}) {
      ${feature([
        ['iova', '\\"0x%llx\\"', word(64, '@arg[tid]', AT.report.iova)],
        ['length', '\\"0x%llx\\"', word(64, '@arg[tid]', AT.report.length)],
        ['page_size', '%llu', word(64, '@arg[tid]', AT.report.pageSize)],
      ])}
    } else {
      ${feature([])}
    }`;

const ioctlOf = (command: number): string => `(args->cmd & 0xffffffff) == ${hex(command)}`;
const FD = 'args->fd & 0xffffffff';

/**
 * What is kept of a thread's call while it lasts. Each begin sets all of them, for newer versions
 * of bpftrace print a warning into the recording when a key is deleted that is not there.
 */
const IOCTL_MAPS = ['t', 'fd', 'arg', 'cmd', 'argsz', 'flags', 'in', 'page'];
const TRANSFER_MAPS = ['t', 'fd', 'count'];
const forget = (maps: readonly string[]): string => maps.map((map) => `delete(@${map}[tid]);`).join(' ');

const ioctls = (mine: string): string => `
tracepoint:syscalls:sys_enter_ioctl /${mine}${ioctlOf(IOCTLS.VFIO_DEVICE_FEATURE)}/ {
  @t[tid] = nsecs; @cmd[tid] = args->cmd & 0xffffffff; @fd[tid] = ${FD}; @arg[tid] = args->arg;
  @argsz[tid] = ${word(32, 'args->arg', AT.argsz)};
  @flags[tid] = ${word(32, 'args->arg', AT.flags)};
  @in[tid] = ${word(32, 'args->arg', AT.first)};
  @page[tid] = ${word(64, 'args->arg', AT.logging.pageSize)};
}
tracepoint:syscalls:sys_enter_ioctl /${mine}(${OTHER_IOCTLS.map(ioctlOf).join(' || ')} ||
    (${ioctlOf(IOCTLS.VFIO_DEVICE_PCI_HOT_RESET)} && @device[pid, ${FD}]))/ {
  @t[tid] = nsecs; @cmd[tid] = args->cmd & 0xffffffff; @fd[tid] = ${FD}; @arg[tid] = args->arg;
  @argsz[tid] = ${word(32, 'args->arg', AT.argsz)}; @flags[tid] = (uint32)0; @in[tid] = (uint32)0; @page[tid] = (uint64)0;
}
tracepoint:syscalls:sys_exit_ioctl /@t[tid]/ {
  if (@cmd[tid] == ${hex(IOCTLS.VFIO_DEVICE_FEATURE)}) {
    if (args->ret == 0) { @device[pid, @fd[tid]] = 1; @process[pid] = 1; }${FEATURE_EXIT}
  } else if (@cmd[tid] == ${hex(IOCTLS.VFIO_MIG_GET_PRECOPY_INFO)}) {
    ${PRECOPY_EXIT}
  } else if (@cmd[tid] == ${hex(IOCTLS.VFIO_GROUP_GET_DEVICE_FD)}) {
    if (args->ret >= 0) {
      @device[pid, (uint64)args->ret] = 1; @process[pid] = 1; @fd[tid] = (uint64)args->ret;
      ${ended('device_open', [], name('str(uptr(@arg[tid]))'))}
    }
  } else if (@cmd[tid] == ${hex(IOCTLS.VFIO_DEVICE_BIND_IOMMUFD)}) {
    if (args->ret == 0) {
      @device[pid, @fd[tid]] = 1; @process[pid] = 1;
      ${ended('device_open', [], name('@cdev[pid, @fd[tid]]'))}
    }
  } else {
    ${ended('device_reset', [['cmd', '%u', '@cmd[tid]']], COMM)}
  }
  ${forget(IOCTL_MAPS)}
}
`;

const OTHER_IOCTLS = [
  IOCTLS.VFIO_MIG_GET_PRECOPY_INFO,
  IOCTLS.VFIO_DEVICE_RESET,
  IOCTLS.VFIO_GROUP_GET_DEVICE_FD,
  IOCTLS.VFIO_DEVICE_BIND_IOMMUFD,
];

const PRECOPY_EXIT = ended(
  'precopy_info',
  [
    ['argsz', '%u', '@argsz[tid]'],
    ['flags', '%u', word(32, '@arg[tid]', AT.precopy.flags)],
    ['initial', '%llu', word(64, '@arg[tid]', AT.precopy.initial)],
    ['dirty', '%llu', word(64, '@arg[tid]', AT.precopy.dirty)],
  ],
  COMM,
);

/** Remembers the name of a device's character device from its opening to its binding. */
const cdevNames = (mine: string): string => `
tracepoint:syscalls:sys_enter_openat /${mine}strncmp(str(uptr(args->filename)), "${CDEV}", ${CDEV.length}) == 0/ {
  @path[tid] = str(uptr(args->filename + ${CDEV.length}));
}
tracepoint:syscalls:sys_exit_openat /@path[tid] != ""/ {
  if (args->ret >= 0) { @cdev[pid, (uint64)args->ret] = @path[tid]; }
  delete(@path[tid]);
}
`;

/** Reads and writes of data_fds. Their closes at the begin: at its end another thread may have the number. */
const transfers = (call: 'read' | 'write'): string => `
tracepoint:syscalls:sys_enter_${call} /@data[pid, ${FD}]/ {
  @t[tid] = nsecs; @fd[tid] = ${FD}; @count[tid] = args->count;
}
tracepoint:syscalls:sys_exit_${call} /@t[tid]/ {
  ${ended(`data_${call}`, [['count', '%llu', '@count[tid]']], COMM)}
  ${forget(TRANSFER_MAPS)}
}
`;

const closes = `
tracepoint:syscalls:sys_enter_close /@data[pid, ${FD}]/ {
  ${line('data_close', 'nsecs', [['fd', '%d', FD], COMM])}
  delete(@data[pid, ${FD}]);
}
tracepoint:syscalls:sys_enter_close /@device[pid, ${FD}]/ {
  ${line('device_close', 'nsecs', [['fd', '%d', FD], COMM])}
  delete(@device[pid, ${FD}]);
  if (@cdev[pid, ${FD}] != "") { delete(@cdev[pid, ${FD}]); }
}
tracepoint:sched:sched_process_exit /@process[pid] && pid == tid/ {
  ${line('process_exit', 'nsecs', [COMM])}
  delete(@process[pid]);
}
`;

/** Every map is emptied at the end, or bpftrace would print it into the recording. */
const ALL_MAPS = [...new Set([...IOCTL_MAPS, ...TRANSFER_MAPS, 'data', 'device', 'process', 'cdev', 'path'])];

function checkPid(pid: number | undefined): void {
  if (pid !== undefined && (!Number.isInteger(pid) || pid <= 0)) {
    throw new InputError(`a process id is a positive whole number, not ${pid}`);
  }
}

/**
 * The bpftrace program that records the VFIO uAPI calls of running VMMs, without touching them.
 *
 * For bpftrace 0.17 and newer; the old one sets the syntax (`args->x`), the new ones forbid to give
 * a variable a second type. It reads payloads in user memory at the end of a call, when the kernel
 * has just touched those pages; only what the kernel overwrites is kept from the begin. Not seen:
 * data_fds that came before the recording, or by fork, dup or a socket, and 32-bit system calls. A
 * device fd from before the recording is followed all the same; it just has no name.
 *
 * @returns source text of the program
 * @throws InputError when `pid` is no process id
 */
export function recorderProgram(options: ProgramOptions = {}): string {
  checkPid(options.pid);
  const version = (options.bpftrace ?? '').replace(/[^\w.+~-]/g, '');
  const mine = options.pid === undefined ? '' : `pid == ${options.pid} && `;
  return `#!/usr/bin/env bpftrace
BEGIN {
  printf("{\\"schema\\":\\"${UAPI_SCHEMA}\\",\\"bpftrace\\":\\"${version}\\",\\"t\\":%llu}\\n", nsecs);
}
${ioctls(mine)}${cdevNames(mine)}${transfers('read')}${transfers('write')}${closes}
END {
  printf("{\\"ev\\":\\"end\\",\\"t\\":%llu}\\n", nsecs);
  ${ALL_MAPS.map((map) => `clear(@${map});`).join(' ')}
}
`;
}
