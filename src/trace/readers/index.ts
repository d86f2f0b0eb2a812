import type { Reader } from '../reader.js';
import { uapiBpftraceReader } from './bpftrace-uapi.js';
import { kernelLogReader } from './dmesg.js';
import { ftraceReader } from './ftrace.js';
import { libvfioUserLogReader } from './libvfio-user-log.js';
import { ndjsonReader } from './ndjson.js';
import { qemuLogReader } from './qemu-log.js';
import { qmpReader } from './qmp.js';
import { simpletraceReader } from './simpletrace.js';
import { straceReader } from './strace.js';
import { vfioUserReader } from './vfio-user.js';
import { vhostUserCaptureReader } from './vhost-user-capture.js';

/** All formats that can be read. Where two are equally sure of an input, the first is taken. */
export const READERS: readonly Reader[] = [
  qemuLogReader,
  ndjsonReader,
  uapiBpftraceReader,
  qmpReader,
  vfioUserReader,
  libvfioUserLogReader,
  vhostUserCaptureReader,
  simpletraceReader,
  kernelLogReader,
  ftraceReader,
  straceReader,
];
