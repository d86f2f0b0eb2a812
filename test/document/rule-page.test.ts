import { describe, expect, it } from 'vitest';
import { eventLine } from '../../src/document/event-line.js';
import { groupOf, type PageRule, ruleList, rulePage } from '../../src/document/rule-page.js';

const RULE: PageRule = {
  id: 'VFIO-FSM-3',
  title: 'a request ends in its state',
  party: 'driver',
  level: 'must',
  clause: { id: 'uapi/set', source: 'include/uapi/linux/vfio.h', text: 'The state is reached.' },
  needs: ['set_state'],
  about: 'A successful request leaves the device in the state that was asked for.',
  causes: 'The driver returns early.',
  conformant: [{ kind: 'set_state', host: 'src', device: 'd0', state: 'STOP' }],
  violating: [],
};

const plain = (_style: unknown, text: string) => text;

describe('rule page', () => {
  it('has everything about the rule', () => {
    const page = rulePage(RULE, plain);
    for (const part of [
      RULE.id,
      RULE.title,
      RULE.about,
      RULE.causes,
      'uapi/set',
      'must (the text binds)',
      'set_state',
    ]) {
      expect(page).toContain(part);
    }
    expect(page).toContain('conformant\n  src/d0 set_state state=STOP\n');
    expect(page).toContain('violating\n  (no event)\n');
  });

  it('is listed with its group', () => {
    expect(groupOf(RULE)).toBe('VFIO-FSM');
    const list = ruleList([RULE, { ...RULE, id: 'VMM-1' }, { ...RULE, id: 'VFIO-FSM-4' }], plain);
    expect(list.split('\n').filter((line) => !line.startsWith(' '))).toEqual([
      'VFIO-FSM (2)',
      '',
      'VMM (1)',
      '',
    ]);
  });
});

describe('event line', () => {
  it('names errors and leaves place and time out', () => {
    const place = { host: 'src', device: 'd0', t: 1, file: 'f', line: 2 };
    expect(eventLine({ kind: 'set_state_result', ...place, state: 'RUNNING', errno: 5 })).toBe(
      'src/d0 set_state_result state=RUNNING errno=EIO',
    );
    expect(eventLine({ kind: 'data_read', ...place, size: 10, result: -42 })).toBe(
      'src/d0 data_read size=10 result=-ENOMSG',
    );
    expect(eventLine({ kind: 'qmp_stop', host: 'src' })).toBe('src qmp_stop');
  });
});
