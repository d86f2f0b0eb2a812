import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { readMatrix } from './mtty-matrix.js';

const text = readFileSync(new URL('../traces/kernel-mtty/matrix.ndjson', import.meta.url), 'utf8');
const matrix = readMatrix(text);

describe('readMatrix', () => {
  it('reads every row of the recorded matrix', () => {
    expect(matrix.rows).toBe(564);
    expect(matrix.cells).toHaveLength(160);
    expect(matrix.cells.filter((cell) => !cell.reached)).toHaveLength(20);
    expect(matrix.cells.filter((cell) => cell.reached && cell.errno === 0)).toHaveLength(88);
  });

  it('gives canonical events, from an opened device on', () => {
    for (const events of matrix.events) {
      for (const event of events) traceEventSchema.parse(event);
      expect(events.slice(0, 4).map((event) => event.kind)).toEqual([
        'device_open',
        'capabilities',
        'reset',
        'get_state',
      ]);
    }
  });

  it('keeps a pair as it was', () => {
    const cell = matrix.cells.find((each) => each.from === 'STOP_COPY' && each.to === 'RESUMING');
    expect(cell).toEqual({
      exp: 'matrix',
      from: 'STOP_COPY',
      to: 'RESUMING',
      reached: true,
      errno: 0,
      stateAfter: 'RESUMING',
      dataFd: true,
      oldFd: { op: 'read', result: -19, precopyErrno: 22 },
    });
  });

  it('tells the two devices of the round trip apart', () => {
    const trip = matrix.events.find((events) =>
      events.some((event) => 'device' in event && event.device === 'mtty-dst'),
    );
    const asked = (device: string) =>
      trip?.flatMap((event) => (event.kind === 'set_state' && event.device === device ? [event.state] : []));
    expect(asked('mtty')).toEqual(['PRE_COPY', 'PRE_COPY_P2P', 'STOP_COPY', 'STOP']);
    expect(asked('mtty-dst')).toEqual(['RESUMING', 'STOP', 'RUNNING_P2P', 'RUNNING']);
  });

  it('refuses a row that it does not know', () => {
    expect(() => readMatrix('{"seq":0,"t_us":1,"exp":"new"}')).toThrow(/unknown form/);
  });
});
