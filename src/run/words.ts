import type { Step, StepOf } from '../suite/index.js';

/** A step as a call in the words of the uAPI, on one line. */
export function callWords(step: Step): string {
  switch (step.do) {
    case 'set':
      return `SET of MIG_DEVICE_STATE to ${step.state}`;
    case 'get':
      return 'GET of MIG_DEVICE_STATE';
    case 'reset':
      return 'VFIO_DEVICE_RESET';
    case 'reopen':
      return 'close() of the device, open()';
    case 'read':
      return `read() of data_fd ${step.fd}, ${step.size} bytes${step.until === 'end' ? ' at a time, to the end' : ''}`;
    case 'write':
      return `write() to data_fd ${step.fd}: ${dataWords(step)}`;
    case 'precopy_info':
      return `VFIO_MIG_GET_PRECOPY_INFO of data_fd ${step.fd}`;
    case 'close':
      return `close() of data_fd ${step.fd}`;
    case 'data_size':
      return 'GET of MIG_DATA_SIZE';
    case 'precopy_info_v2':
      return 'SET of MIG_PRECOPY_INFOv2';
    case 'read_region':
      return `read of ${step.size} bytes at ${step.offset} of region ${step.region}`;
    case 'log_start':
      return `DMA_LOGGING_START, page size ${step.pageSize}, ${step.ranges.length === 1 ? '1 range' : `${step.ranges.length} ranges`}`;
    case 'log_stop':
      return 'DMA_LOGGING_STOP';
    case 'log_report':
      return `DMA_LOGGING_REPORT of ${step.length} bytes at ${step.iova}, page size ${step.pageSize}`;
    case 'scenario':
      return `a migration with a guest: ${step.name}`;
  }
}

function dataWords({ data, piece }: StepOf<'write'>): string {
  const { from, to, flip, extra } = data;
  const whole = from === 0 && to === null;
  const part = whole ? 'the image' : `bytes ${from} to ${to ?? 'the end'} of the image`;
  const changed = flip === undefined ? '' : `, byte ${flip.at} changed`;
  const more = extra ? `, and ${extra} zero bytes` : '';
  return `${part}${changed}${more}${piece === null ? '' : `, ${piece} bytes at a time`}`;
}
