import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventKind, TraceEvent } from '../../src/trace/event.js';
import { InputError } from '../../src/trace/reader.js';
import { QemuLogParser, qemuLogReader } from '../../src/trace/readers/qemu-log.js';
import { IGNORED_EVENTS } from '../../src/trace/readers/qemu-log-ignored.js';
import { MIGRATION_ROWS } from '../../src/trace/readers/qemu-log-migration.js';
import { VFIO_ROWS } from '../../src/trace/readers/qemu-log-vfio.js';
import { PlainKernel } from '../../src/trace/scan/scan-plain.js';
import { countsText, feed, tally, trace } from './feed.js';

const DEV = '0000:3b:01.2';

/** The events of some lines, without what is the same in all. */
function read(...lines: string[]): object[] {
  return feed(qemuLogReader, lines.map((line) => `${line}\n`).join('')).events.map(
    ({ host: _host, file: _file, line: _line, ...event }) => event,
  );
}

describe('prefixes', () => {
  const event = { kind: 'data_read', device: DEV, result: 24 };
  const args = `vfio_save_block  (${DEV}) data_size 24`;

  it.each([
    ['none', args, event],
    ['thread and time', `175@1795225654.036963:${args}`, { ...event, thread: 175, t: 1795225654036963 }],
    [
      'as long as ISO',
      `1234567890@1795225654.036963:${args}`,
      { ...event, thread: 1234567890, t: 1795225654036963 },
    ],
    [
      'ISO',
      `2026-11-21T01:29:28.468502Z ${args}`,
      { ...event, t: Date.UTC(2026, 10, 21, 1, 29, 28) * 1000 + 468502 },
    ],
    [
      'ISO at a full second',
      `2026-11-21T01:29:28Z ${args}`,
      { ...event, t: Date.UTC(2026, 10, 21, 1, 29, 28) * 1000 },
    ],
    ['CR LF', `${args}\r`, event],
  ])('%s', (_name, line, expected) => {
    expect(read(line)).toEqual([expected]);
  });

  it('goes over midnight', () => {
    const [before, after] = feed(
      qemuLogReader,
      '2026-12-31T23:59:59.999999Z migration_cancel \n2027-01-01T00:00:00.000001Z migration_cancel \n',
    ).events as [TraceEvent, TraceEvent];
    expect(after.t! - before.t!).toBe(2);
  });

  it('gives the place', () => {
    expect(feed(qemuLogReader, `junk\n${args}\n`, { host: 'h' }).events[0]).toMatchObject({
      host: 'h',
      file: 'input',
      line: 2,
    });
  });
});

describe('formats that changed', () => {
  it('set_state: a result up to 9.2, a request from 10.0 on', () => {
    expect(read(`vfio_migration_set_state  (${DEV}) state PRE_COPY_P2P`)).toEqual([
      { kind: 'set_state_result', device: DEV, state: 'PRE_COPY_P2P', errno: 0 },
    ]);
    expect(
      read(
        `vfio_migration_set_state  (${DEV}) new state STOP_COPY, recover state STOP`,
        `vfio_migration_set_device_state  (${DEV}) state STOP`,
      ),
    ).toEqual([
      { kind: 'set_state', device: DEV, state: 'STOP_COPY', recover: 'STOP' },
      { kind: 'set_state_result', device: DEV, state: 'STOP' },
    ]);
  });

  it('sizes: hexadecimal up to 8.x, decimal later', () => {
    expect(
      read(
        `vfio_save_setup  (${DEV}) data buffer size 0x100000`,
        `vfio_save_setup  (${DEV}) data buffer size 1048576`,
        `vfio_save_iterate  (${DEV}) precopy initial size 0xff precopy dirty size 0x0`,
        `vfio_load_state_device_data  (${DEV}) size 0x18 ret 0`,
        `vfio_load_state_device_data  (${DEV}) size 24 ret -14`,
      ),
    ).toEqual([
      { kind: 'save_setup', device: DEV, bufferSize: 1048576 },
      { kind: 'save_setup', device: DEV, bufferSize: 1048576 },
      { kind: 'save_iterate', device: DEV, initial: 255, dirty: 0 },
      { kind: 'data_write', device: DEV, size: 24, result: 24 },
      { kind: 'data_write', device: DEV, size: 24, result: -14 },
    ]);
  });

  it('pending queries', () => {
    expect(
      read(
        `vfio_state_pending_exact  (${DEV}) precopy 0x0 postcopy 0x0 stopcopy size 0x3c`,
        `vfio_state_pending_exact  (${DEV}) precopy 12348 postcopy 0 stopcopy size 60 precopy initial size 1 precopy dirty size 2`,
        `vfio_state_pending_estimate  (${DEV}) precopy 5 postcopy 0 precopy initial size 24 precopy dirty size 0`,
        `vfio_state_pending  (${DEV}) stopcopy size 60, precopy initial size 24, precopy dirty size 1, request switchover ack 1, exact 0, final 1`,
        'migrate_pending_exact exact pending size 12408 (pre = 12400 post=8)',
        'migrate_pending_estimate estimate pending size 7 (pre = 7 post=0)',
        'qemu_savevm_query_pending exact=1, final=0, precopy=1, stopcopy=2, postcopy=3, total=6, collected switchover ack pending=4, total switchover ack pending=5',
      ),
    ).toEqual([
      { kind: 'state_pending', device: DEV, exact: true, stopcopy: 60 },
      { kind: 'state_pending', device: DEV, exact: true, stopcopy: 60, initial: 1, dirty: 2 },
      { kind: 'state_pending', device: DEV, exact: false, initial: 24, dirty: 0 },
      {
        kind: 'state_pending',
        device: DEV,
        stopcopy: 60,
        initial: 24,
        dirty: 1,
        ack: true,
        exact: false,
        final: true,
      },
      { kind: 'query_pending', exact: true, precopy: 12400, postcopy: 8, total: 12408 },
      { kind: 'query_pending', exact: false, precopy: 7, postcopy: 0, total: 7 },
      {
        kind: 'query_pending',
        exact: true,
        final: false,
        precopy: 1,
        stopcopy: 2,
        postcopy: 3,
        total: 6,
        ackCollected: 4,
        ackTotal: 5,
      },
    ]);
  });

  it('switchover acknowledgement', () => {
    expect(
      read(
        'source_return_path_thread_switchover_acked ',
        'source_return_path_thread_switchover_acked switchover_ack_pending_num 1',
        'loadvm_state_switchover_ack_needed Switchover ack pending num=2',
        'migration_request_switchover_ack_legacy Requester 0000:00:02.0/vfio, switchover_ack_pending_num_legacy 3',
        'loadvm_approve_switchover Switchover ack pending num=1',
        'loadvm_approve_switchover Approver 0000:00:02.0/vfio',
        'loadvm_approve_switchover_legacy Approver 0000:00:02.0/vfio, switchover_ack_pending_num_legacy 0',
      ),
    ).toEqual([
      { kind: 'switchover_ack' },
      { kind: 'switchover_ack', pending: 1 },
      { kind: 'switchover_ack_needed', pending: 2 },
      { kind: 'switchover_ack_needed', pending: 3 },
      { kind: 'switchover_approved', pending: 1 },
      { kind: 'switchover_approved', approver: '0000:00:02.0/vfio' },
      { kind: 'switchover_approved', approver: '0000:00:02.0/vfio', pending: 0 },
    ]);
  });

  it('dirty bitmaps', () => {
    expect(
      read(
        'vfio_get_dirty_bitmap container fd=31, iova=0x0 size= 0xc0000 bitmap_size=0x18 start=0x0',
        'vfio_get_dirty_bitmap iova=0x100000 size= 0xff00000 bitmap_size=0x1fe0 start=0x100000 dirty_pages=7',
        'vfio_container_query_dirty_bitmap iova=0xffffffff00000000 size=0x8000 backend_flag=0x1 bitmap_size=0x8 gpa=0xe8000 dirty_pages=0',
      ),
    ).toEqual([
      { kind: 'dirty_bitmap', iova: 0, length: 0xc0000 },
      { kind: 'dirty_bitmap', iova: 0x100000, length: 0xff00000, dirtyPages: 7 },
      { kind: 'dirty_bitmap', iova: '0xffffffff00000000', length: 0x8000, dirtyPages: 0 },
    ]);
  });

  it('names of the same thing', () => {
    expect(
      read(
        'migrate_fd_cancel ',
        'migration_cancel ',
        'savevm_state_cleanup ',
        'migrate_fd_error error=a',
        'migrate_error error=Gerät fehlt',
        'vfio_reset_handler ',
        'vfio_device_reset_handler ',
        `vfio_load_device_config_state  (${DEV})`,
        `vfio_load_device_config_state_end  (${DEV})`,
        'process_incoming_migration_co_end ret=-22 postcopy-state=0',
        'process_incoming_migration_co_end ret=0',
      ).map((event) => Object.values(event).join(' ')),
    ).toEqual([
      'migration_cancel',
      'migration_cancel',
      'source_cleanup',
      'migration_error a',
      'migration_error Gerät fehlt',
      'vm_reset',
      'vm_reset',
      `load_config_end ${DEV}`,
      `load_config_end ${DEV}`,
      'destination_load_end 22',
      'destination_load_end 0',
    ]);
  });
});

describe('notifier numbers', () => {
  const line = (number: number | string) => `vfio_migration_state_notifier  (${DEV}) state ${number}`;
  const events = (lines: string[]) =>
    read(...lines)
      .filter((event) => 'kind' in event && event.kind === 'notifier')
      .map((event) => ('event' in event ? event.event : undefined));

  it('are those of 10.0 where the prefix has a thread id', () => {
    const old = [0, 1, 2].map((number) => `1@1795225654.036963:${line(number)}`);
    expect(events(old)).toEqual(['setup', 'done', 'failed']);
  });

  it('are those of 11.1 once the log shows that it is 11', () => {
    expect(events(['migration_call_notifiers type=0', ...[0, 1, 2, 3].map(line)])).toEqual([
      'setup',
      'switchover',
      'done',
      'failed',
    ]);
    expect(events([line(2), line(3), line(2)])).toEqual([undefined, 'failed', 'done']);
  });

  it('are status texts in 8.x', () => {
    expect(events(['setup', 'completed', 'cancelling', 'cancelled', 'failed', 'active'].map(line))).toEqual([
      'setup',
      'done',
      'failed',
      'failed',
      'failed',
      undefined,
    ]);
  });

  it('stay numbers where it is open', () => {
    expect(read(line(1))).toEqual([{ kind: 'notifier', device: DEV, number: 1 }]);
  });
});

describe('a device', () => {
  it('is opened once, whatever lines a version prints', () => {
    const init = `vfio_migration_init  (${DEV}) mig_flags 0x7, precopy_info_v2_used 1, dirty_pages_supported 0`;
    const realize = `vfio_migration_realize  (${DEV})`;
    const opened = { kind: 'device_open', device: DEV };
    const offers = { kind: 'capabilities', device: DEV, flags: 7, precopyInfoV2: true, dmaLogging: false };
    expect(read(init, realize, init, realize)).toEqual([opened, offers, opened, offers]);
    expect(read(realize, realize)).toEqual([opened, opened]);
    expect(read(`vfio_migration_probe  (${DEV})`)).toEqual([opened]);
  });

  it('has no reset when its flags say so', () => {
    const reset = `vfio_pci_reset  (${DEV})`;
    const flags = (value: number) => `vfio_device_get Device ${DEV} flags: ${value}, regions: 9, irqs: 5`;
    expect(read(reset)).toEqual([{ kind: 'reset', device: DEV }]);
    expect(read(flags(2), reset)).toEqual([
      { kind: 'capabilities', device: DEV, reset: false },
      { kind: 'reset', device: DEV, offered: false },
    ]);
    expect(read(flags(3), reset).at(-1)).toEqual({ kind: 'reset', device: DEV });
    const cdev = `iommufd_cdev_device_info  ${DEV} (31) num_irqs=5 num_regions=9 flags=2`;
    expect(read(cdev)).toEqual([{ kind: 'capabilities', device: DEV, reset: false }]);
    expect(read(flags(2).replace('device_get', 'get_device'))).toEqual([
      { kind: 'capabilities', device: DEV, reset: false },
    ]);
  });

  it('may have brackets and blanks in its name', () => {
    expect(read('vfio_save_cleanup  (VFIO user </tmp/a (1)b.sock>)')).toEqual([
      { kind: 'save_cleanup', device: 'VFIO user </tmp/a (1)b.sock>' },
    ]);
  });

  it('gives what it read and its errors', () => {
    expect(
      read(
        `vfio_save_block_precopy_empty_hit  (${DEV})`,
        `vfio_query_precopy_size  (${DEV}) init 24, dirty 3, reinit 1, ret 0`,
        `vfio_query_precopy_size  (${DEV}) init 0, dirty 0, reinit 0, ret -22`,
        `vfio_query_stop_copy_size  (${DEV}) stopcopy size 60 ret 0`,
        `vfio_query_stop_copy_size  (${DEV}) stopcopy size 107374182400 ret -95`,
        `vfio_query_stop_copy_size  (${DEV}) stopcopy size 18446744073709551615 ret 0`,
        `vfio_save_complete_precopy  (${DEV}) ret -5`,
        `vfio_save_complete_precopy_thread_end  (${DEV}) ret 1`,
        `vfio_save_complete_precopy_thread_end  (${DEV}) ret 0`,
        `vfio_load_state  (${DEV}) data 0xffffffffef100005`,
        `vfio_load_state  (${DEV}) data 0x1`,
      ),
    ).toEqual([
      { kind: 'data_read', device: DEV, result: -42 },
      { kind: 'precopy_info', device: DEV, initial: 24, dirty: 3, reinit: true, errno: 0 },
      { kind: 'precopy_info', device: DEV, errno: 22 },
      { kind: 'data_size', device: DEV, bytes: 60, errno: 0 },
      { kind: 'data_size', device: DEV, errno: 95 },
      { kind: 'data_size', device: DEV, errno: 0 },
      { kind: 'save_complete', device: DEV, errno: 5 },
      { kind: 'save_complete', device: DEV, multifd: true, errno: 0 },
      { kind: 'save_complete', device: DEV, multifd: true },
      { kind: 'load_record', device: DEV, tag: 'DEV_INIT_DATA_SENT' },
      { kind: 'load_record', device: DEV, value: '0x1' },
    ]);
  });
});

describe('counting', () => {
  it('tells malformed, foreign and unknown lines apart', () => {
    const { counts, events } = feed(
      qemuLogReader,
      `${[
        'qemu-system-x86_64: warning: host does not support requested feature',
        '',
        'char device redirected to /dev/pts/3 (label s0)',
        '2026-11-21T01:29:28.468502Z vfio_migration_set_state  (d) new state JUMPING, recover state ERROR',
        '2026-11-21T01:29:28.468502Z vfio_save_block  d data_size 1',
        '2026-11-21T01:29:28.468502Z migrate_set_state new state asleep',
        '2026-11-21T01:29:28.468502Z kvm_unheard_of vcpu 1',
        '2026-11-21T01:29:28.468502Z kvm_unheard_of vcpu 1',
        '2026-11-21T01:29:28.468502Z ram_save_page pc.ram: offset: 0x0 host: 0x7f',
        '2026-11-21T01:29:28.468502Z migration_cancel ',
      ].join('\n')}\n`,
    );
    expect(countsText(counts)).toBe('10 = 1 + 6 + 3');
    expect([...counts.unknown]).toEqual([['kvm_unheard_of', 2]]);
    expect(events.map(({ line }) => line)).toEqual([10]);
  });

  it('counts what nobody wants as ignored', () => {
    const wants = new Set<EventKind>(['capabilities']);
    const input = trace('qemu-11.1/happy-default/src.trace.log.gz');
    const { events, counts } = feed(qemuLogReader, input, { wants });
    expect(tally(events)).toEqual({ capabilities: 2 });
    expect(counts).toMatchObject({ decoded: 2, malformed: 0, ignored: counts.lines - 2 });
  });

  it('says that the input is cut when its last line has no newline, and does not trust that line', () => {
    const whole = `vfio_migration_set_device_state  (${DEV}) state STOP_COPY`;
    expect(feed(qemuLogReader, `${whole}\n`)).toMatchObject({ cut: false, counts: { decoded: 1 } });
    for (let lost = 0; lost < whole.length; lost++) {
      const { events, counts, cut } = feed(qemuLogReader, whole.slice(0, whole.length - lost));
      expect({ events, cut }).toEqual({ events: [], cut: true });
      expect(counts).toMatchObject({ lines: 1, ignored: 1, malformed: 0, unknown: new Map() });
    }
  });

  it('knows every event once', () => {
    const names = [...VFIO_ROWS, ...MIGRATION_ROWS].map(({ name }) => name).concat(IGNORED_EVENTS);
    expect(new Set(names).size).toBe(names.length);
    const marks = [...VFIO_ROWS, ...MIGRATION_ROWS]
      .flatMap(({ forms }) => forms)
      .map(({ steps }) => steps.filter(({ literal }) => literal === undefined).length);
    // As many as the parser passes on.
    expect(Math.max(...marks)).toBeLessThanOrEqual(8);
  });
});

describe('QEMU 7.2', () => {
  it.each([
    `vfio_migration_probe  (${DEV}) Region 9`,
    `vfio_migration_set_state  (${DEV}) state 3`,
    `vfio_vmstate_change  (${DEV}) running 1 reason running device state 1`,
    `vfio_update_pending  (${DEV}) pending 0x10`,
  ])('%s', (line) => {
    const input = `7@1795225654.036963:migration_cancel \n7@1795225654.036963:${line}\n`;
    expect(() => qemuLogReader.detect(Buffer.from(input), 'old.log')).toThrow(InputError);
    expect(() => feed(qemuLogReader, input)).toThrow(
      /^input:2: QEMU 7\.2 and older speak migration protocol v1/,
    );
  });
});

describe('detection', () => {
  const detect = (text: string | Buffer) => qemuLogReader.detect(Buffer.from(text), 'file');

  it('is sure of real logs, also behind foreign lines', () => {
    const log = trace('qemu-11.1/happy-default/src.trace.log.gz');
    expect(detect(log.subarray(0, 65536))).toBeGreaterThan(0.9);
    expect(
      detect(`${'qemu-system-x86_64: warning: TCG\n'.repeat(30)}${log.toString('latin1', 0, 300)}`),
    ).toBeGreaterThan(0.5);
  });

  it('takes a log of other QEMU events, and nothing else', () => {
    expect(detect('2026-11-21T01:29:28.468502Z kvm_unheard_of x\n'.repeat(3))).toBe(0.3);
    expect(detect('nr_free_pages 12\nnr_zone_inactive_anon 1\n')).toBe(0);
    expect(detect('{"kind":"vfio_save_block"}\n')).toBe(0);
    expect(detect('')).toBe(0);
  });
});

describe('real logs', () => {
  const traces = new URL('../traces/', import.meta.url);
  const LOGS = readdirSync(traces, { recursive: true })
    .map(String)
    .filter((path) => /qemu-1[01]\..*\.trace\.log(\.gz)?$/.test(path));

  it('are there', () => {
    expect(LOGS.filter((path) => path.includes('qemu-11.1')).length).toBeGreaterThan(1);
    expect(LOGS.filter((path) => path.includes('qemu-10.0')).length).toBeGreaterThan(1);
  });

  it.each(LOGS)('%s is read without a malformed or unknown line', (path) => {
    const { counts, cut, events } = feed(qemuLogReader, trace(path));
    expect(counts.malformed).toBe(0);
    expect([...counts.unknown]).toEqual([]);
    expect(counts.decoded).toBeGreaterThan(0);
    expect(cut).toBe(false);
    expect(events.every(({ t }) => t !== undefined)).toBe(true);
  });

  it.each(LOGS.filter((path) => path.includes('src')).slice(0, 6))(
    '%s gives the same however it is cut, by either kernel',
    (path) => {
      const input = trace(path);
      const whole = feed(qemuLogReader, input);
      fc.assert(
        fc.property(fc.array(fc.nat(input.length), { maxLength: 20 }), (cuts) => {
          const parts = feed(qemuLogReader, input, { cuts });
          expect(parts.events).toEqual(whole.events);
          expect(parts.counts).toEqual(whole.counts);
        }),
        { numRuns: 10 },
      );
      const events: TraceEvent[] = [];
      const context = {
        file: 'input',
        host: 'src',
        emit: (event: TraceEvent) => events.push(event),
        remark() {},
      };
      const parser = new QemuLogParser(context, new PlainKernel());
      parser.write(input);
      parser.end();
      expect(events).toEqual(whole.events);
      expect(parser.counts).toEqual(whole.counts);
    },
  );
});
