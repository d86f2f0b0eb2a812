import { describe, expect, test } from 'vitest';
import { REFUSED, step } from '../../src/automaton/automaton.js';
import { compile } from '../../src/automaton/compile.js';
import { capabilitiesOfFlags } from '../../src/machines/capabilities.js';
import { hasSession, inSavingGroup } from '../../src/machines/vfio-arcs.js';
import { vfioDevice } from '../../src/machines/vfio-device.js';
import { validateEvents } from '../../src/validate/index.js';
import { trace } from '../trace/feed.js';
import { type MatrixCell, readMatrix } from './mtty-matrix.js';

const matrix = readMatrix(trace('kernel-mtty/matrix.ndjson').toString('utf8'));
const automaton = compile(vfioDevice(capabilitiesOfFlags(7)));

/** The machine event of a cell, as the program on the real kernel saw it. */
function eventOf(cell: MatrixCell): string {
  if (cell.errno !== 0) return `FAIL.${cell.to}.${cell.stateAfter}`;
  return cell.dataFd ? `SET.${cell.to}.data_fd` : `SET.${cell.to}`;
}

/** The model's state in which the cell's request was made. */
function stateOf(cell: MatrixCell): number {
  const session = inSavingGroup(cell.from) ? 'saving' : hasSession(cell.from) ? 'resuming' : 'none';
  return automaton.states.findIndex(([device, fd]) => device === cell.from && fd === session);
}

describe('what Linux 7.2 and mtty answered, cell by cell', () => {
  test('both matrices are whole: 8 states, each asked for 8 states and 2 numbers out of range', () => {
    expect(matrix.cells).toHaveLength(160);
  });

  test.each(matrix.cells.map((cell) => [`${cell.exp}: ${cell.from} -> ${cell.to}`, cell] as const))(
    '%s',
    (_name, cell) => {
      if (!cell.reached) {
        // ERROR cannot be requested, and mtty never enters it: the request for it failed and changed nothing.
        expect(cell).toMatchObject({ from: 'ERROR', errno: 22, stateAfter: 'RUNNING' });
        return;
      }
      if (typeof cell.to === 'number') {
        expect(cell).toMatchObject({ errno: 22, stateAfter: cell.from, dataFd: false });
        return;
      }
      const event = automaton.eventIndex.get(eventOf(cell));
      expect(event, eventOf(cell)).toBeDefined();
      const next = step(automaton, stateOf(cell), event!);
      expect(next, `${eventOf(cell)} in ${cell.from}`).not.toBe(REFUSED);
      expect(automaton.states[next]![0]).toBe(cell.stateAfter);
    },
  );

  test('no cell of the fed matrix fails where the model has a path', () => {
    const failed = matrix.cells.filter(
      (cell) => cell.exp === 'matrix_resuming_fed' && cell.reached && cell.errno !== 0,
    );
    for (const cell of failed) {
      const legal = ['', '.data_fd'].some((suffix) => {
        const event = automaton.eventIndex.get(`SET.${cell.to}${suffix}`);
        return event !== undefined && step(automaton, stateOf(cell), event) !== REFUSED;
      });
      expect(legal, `${cell.from} -> ${cell.to}`).toBe(false);
    }
  });
});

describe('the experiments around the cells', () => {
  const findings = new Map<string, Set<string>>();
  for (const events of matrix.events)
    for (const { rule, party, level } of validateEvents(events).violations)
      findings.set(rule, (findings.get(rule) ?? new Set()).add(`${party} ${level}`));

  test('mtty deviates in the ways that are known, and in no other', () => {
    const ofDriver = [...findings].filter(([, sides]) =>
      [...sides].some((side) => side.startsWith('driver')),
    );
    expect(Object.fromEntries(ofDriver.map(([rule, sides]) => [rule, [...sides]]))).toEqual({
      // The temporary end of PRE_COPY data reads 0.
      'VFIO-PRE-01': ['driver should'],
      // A header refused with EFAULT is accepted when RESUMING is left.
      'VFIO-SES-10': ['driver must'],
      // The migration state survives close and open.
      'VFIO-FSM-10': ['driver should'],
      // A second DMA_LOGGING_START succeeds, as do a page size of 4097 and a STOP without START.
      'VFIO-DMA-01': ['driver must'],
      'VFIO-DMA-03': ['driver note'],
      'VFIO-DMA-05': ['driver note'],
      // A kernel without CONFIG_IOMMUFD cannot report what it logs.
      'VFIO-DMA-07': ['driver must'],
    });
  });

  test('with the profile of mtty only the kernel without CONFIG_IOMMUFD is left', () => {
    const left = matrix.events.flatMap((events) =>
      validateEvents(events, { profile: 'mtty' }).violations.filter(
        ({ level, party }) => level !== 'note' && party === 'driver',
      ),
    );
    expect(new Set(left.map(({ rule }) => rule))).toEqual(new Set(['VFIO-DMA-07']));
  });
});
