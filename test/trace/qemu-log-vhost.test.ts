import { describe, expect, it } from 'vitest';
import { qemuLogReader as reader } from '../../src/trace/readers/qemu-log.js';
import { countsText, expectSameHoweverCut, feed, only, tally, trace } from './feed.js';

const log = (path: string) => trace(`vhost/${path}.trace.log.gz`);
const events = (...lines: string[]) => {
  const { events, counts } = feed(reader, `${lines.join('\n')}\n`);
  expect(counts.malformed).toBe(0);
  return events.map(({ host: _h, file: _f, line: _l, t: _t, ...rest }) => rest);
};

describe('vhost-vdpa', () => {
  it('a live migration with shadow virtqueues, of QEMU 11.1', () => {
    const { events, counts } = feed(reader, log('vdpa-happy/src'));
    expect(counts.malformed).toBe(0);
    expect([...counts.unknown]).toEqual([]);
    expect(tally(events)).toMatchObject({
      vhost_open: 1,
      vhost_close: 1,
      vhost_set_owner: 1,
      vhost_offered: 3,
      vhost_set_features: 2,
      vdpa_status: 11,
      vdpa_suspend: 2,
      vring_num: 4,
      vring_base: 4,
      vring_base_read: 4,
      vring_addr: 4,
      vring_enable: 4,
      shadow_virtqueues: 1,
      vhost_iotlb: 72,
      vhost_dev_start: 4,
      vhost_dev_stop: 4,
    });
    // Two vhost_devs, the second for the control queue, are one device.
    const devices = new Set(events.flatMap((event) => ('device' in event ? [event.device] : [])));
    expect([...devices]).toEqual(['vhost-vdpa 0x55b02d8b8b00']);
    // QEMU prints the bits that it adds; told is the status that the device gets. The guest's reset took ACKNOWLEDGE
    // and DRIVER away, and the first start does not set them again.
    expect(only(events, 'vdpa_status').map(({ status }) => status)).toEqual([
      3, 0, 0, 8, 12, 0, 3, 11, 15, 0, 3,
    ]);
    expect(only(events, 'vring_base_read').map(({ index, shadow }) => [index, shadow])).toEqual([
      [0, false],
      [1, false],
      [0, true],
      [1, true],
    ]);
  });

  it('after a cancel the rings are shadows again', () => {
    const { events } = feed(reader, log('vdpa-cancel/src'));
    expect(only(events, 'vring_base').map(({ shadow }) => shadow)).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
    ]);
    expect(only(events, 'shadow_virtqueues')).toMatchObject([{ on: true }]);
  });

  it.each([
    [
      'vhost_vdpa_set_vring_addr dev: 0x1 index: 1 flags: 0x1 desc_user_addr: 0x7f0000001000 used_user_addr: 0x3000 avail_user_addr: 0x2000 log_guest_addr: 0xfffffffffffff000',
      {
        kind: 'vring_addr',
        index: 1,
        log: true,
        desc: 0x7f0000001000,
        used: 0x3000,
        avail: 0x2000,
        logGuestAddr: '0xfffffffffffff000',
      },
    ],
    [
      'vhost_vdpa_set_vring_kick dev: 0x1 index: 0 fd: -1',
      { kind: 'vring_kick_fd', index: 0, attached: false },
    ],
    [
      'vhost_vdpa_set_vring_call dev: 0x1 index: 2 fd: 7',
      { kind: 'vring_call_fd', index: 2, attached: true },
    ],
    [
      'vhost_vdpa_set_vring_enable_one dev: 0x1, idx: 2, enable: 1, r: -22',
      { kind: 'vring_enable', index: 2, on: true, errno: 22 },
    ],
    [
      'vhost_vdpa_set_config dev: 0x1 offset: 4 size: 2 flags: 0x1',
      { kind: 'vhost_config', write: true, offset: 4, size: 2, migration: true },
    ],
    [
      'vhost_vdpa_set_log_base dev: 0x1 base: 0x7f00 size: 4096 refcnt: 1 fd: -1 log: 0x55',
      { kind: 'vhost_log_base', size: 4096 },
    ],
    // QEMU 7.2.
    ['vhost_vdpa_set_vring_base dev: 0x1 index: 1 num: 5', { kind: 'vring_base', index: 1, num: 5 }],
    ['vhost_vdpa_get_vring_base dev: 0x1 index: 1 num: 5', { kind: 'vring_base_read', index: 1, num: 5 }],
    ['vhost_vdpa_reset_device dev: 0x1 status: 0x0', { kind: 'vdpa_status', status: 0 }],
  ])('%s', (line, event) => {
    const [read] = events(line);
    expect(read).toMatchObject(event);
    expect(read).toMatchObject({ device: 'vhost 0x1' });
    expect(read).not.toHaveProperty(event.kind === 'vring_base' ? 'shadow' : 'nothing');
  });

  it('pointers of one device are joined: vhost_devs, vdpas, what they share, and the client that holds one', () => {
    const read = events(
      'vhost_vdpa_init dev: 0x10, common dev: 0x100 vdpa: 0x7f0000001190',
      'vhost_vdpa_init dev: 0x20, common dev: 0x100 vdpa: 0x7f0000005190',
      'vhost_vdpa_init dev: 0x30, common dev: 0x300 vdpa: 0x7f0000009190',
      'vhost_vdpa_suspend dev: 0x20',
      'vhost_vdpa_set_address_space_id vhost_vdpa: 0x7f0000005190 vq_group: 1 asid: 1',
      'vhost_vdpa_dma_map vdpa_shared:0x100 fd: 11 msg_type: 2 asid: 1 iova: 0x1000 size: 0x2000 uaddr: 0x7f perm: 0x3 type: 2',
      'vhost_vdpa_net_load_cmd vdpa state: 0x7f0000005010 class: 1 cmd: 1 sg_num: 1 size: 6',
      'vhost_vdpa_suspend dev: 0x30',
      'vhost_vdpa_cleanup dev: 0x10 vdpa: 0x7f0000001190',
      'vhost_vdpa_cleanup dev: 0x20 vdpa: 0x7f0000005190',
    );
    const one = { device: 'vhost-vdpa 0x100' };
    const other = { device: 'vhost-vdpa 0x300' };
    expect(read).toMatchObject([
      { kind: 'vhost_open', interface: 'vdpa', ...one },
      { kind: 'vhost_open', interface: 'vdpa', ...other },
      { kind: 'vdpa_suspend', ...one },
      { kind: 'vdpa_group_asid', group: 1, asid: 1, ...one },
      { kind: 'vhost_iotlb', type: 'update', asid: 1, iova: 0x1000, size: 0x2000, ...one },
      { kind: 'vdpa_cvq_command', class: 1, command: 1, ...one },
      { kind: 'vdpa_suspend', ...other },
      { kind: 'vhost_close', ...one },
    ]);
  });

  it('QEMU 7.2 has no pointer that is shared', () => {
    expect(
      events(
        'vhost_vdpa_init dev: 0x10 vdpa: 0x7f01',
        'vhost_vdpa_dma_map vdpa:0x7f01 fd: 11 msg_type: 2 iova: 0x0 size: 0x1000 uaddr: 0x7f perm: 0x3 type: 2',
        'vhost_vdpa_dma_unmap vdpa:0x7f01 fd: 11 msg_type: 2 iova: 0x0 size: 0x1000 type: 3',
        'vhost_vdpa_listener_begin_batch vdpa:0x7f01 fd: 11 msg_type: 2 type: 5',
        'vhost_vdpa_listener_commit vdpa:0x7f01 fd: 11 msg_type: 2 type: 6',
        'vhost_dev_start 0x10:virtio-net vrings:0',
      ),
    ).toMatchObject([
      { kind: 'vhost_open', device: 'vhost-vdpa 0x7f01' },
      { kind: 'vhost_iotlb', type: 'update', device: 'vhost-vdpa 0x7f01' },
      { kind: 'vhost_iotlb', type: 'invalidate', device: 'vhost-vdpa 0x7f01' },
      { kind: 'vhost_iotlb', type: 'batch_begin', device: 'vhost-vdpa 0x7f01' },
      { kind: 'vhost_iotlb', type: 'batch_end', device: 'vhost-vdpa 0x7f01' },
      { kind: 'vhost_dev_start', begin: true, vrings: false, device: 'vhost-vdpa 0x7f01' },
    ]);
  });

  it('a status whose beginning was not seen is not made up', () => {
    expect(events('vhost_vdpa_add_status dev: 0x1 status: 0x4')).toEqual([
      { kind: 'vdpa_status', device: 'vhost 0x1' },
    ]);
  });
});

describe('vhost-user', () => {
  it('a live migration of QEMU 11.1: messages, start and stop are one device', () => {
    const { events, counts } = feed(reader, log('passt-happy/src'));
    expect(countsText(counts)).toMatch(/^\d+ = 100 \+ \d+ \+ 0$/);
    expect([...counts.unknown]).toEqual([]);
    const devices = new Set(events.flatMap((event) => ('device' in event ? [event.device] : [])));
    expect([...devices]).toEqual(['vhost-user c0']);
    expect(tally(events)).toMatchObject({ vhost_message: 69, vhost_dev_start: 2, vring_stop: 4 });
    const about = only(events, 'vhost_message').filter(({ request }) => request === 'SET_LOG_BASE');
    expect(about).toMatchObject([
      { from: 'front_end', reply: false, needReply: false },
      { from: 'back_end', reply: true },
    ]);
  });

  it('a back end that was lost, and one that comes back', () => {
    const { events } = feed(reader, log('passt-src-backend-killed/src'));
    expect(only(events, 'vhost_close')).toMatchObject([
      { device: 'vhost-user c0', interface: 'user', lost: true },
    ]);
  });

  it('QEMU 7.2 to 10.0 print numbers, and the beginning of a start alone', () => {
    const device = 'vhost-user';
    expect(
      events(
        '12@1.000001:vhost_user_write req:1 flags:0x1',
        '12@1.000002:vhost_user_read req:1 flags:0x5',
        '12@1.000003:vhost_user_write req:200 flags:0x9',
        '12@1.000004:vhost_dev_start 0x10:virtio-net vrings:1',
        '12@1.000005:vhost_dev_stop 0x10:virtio-net vrings:1',
      ),
    ).toMatchObject([
      {
        kind: 'vhost_message',
        request: 'GET_FEATURES',
        from: 'front_end',
        reply: false,
        needReply: false,
        device,
      },
      { kind: 'vhost_message', request: 'GET_FEATURES', from: 'back_end', reply: true, device },
      { kind: 'vhost_message', request: 200, needReply: true, device },
      { kind: 'vhost_dev_start', begin: true, vrings: true, device },
      { kind: 'vhost_dev_stop', begin: true, vrings: true, device },
    ]);
  });

  it('a kernel back end beside it is a device of its own', () => {
    expect(
      events(
        'vhost_dev_init_in 0x10',
        'vhost_dev_init_out 0x10',
        'vhost_dev_init_in 0x20',
        'vhost_user_write req:1 (GET_FEATURES) flags:0x1',
        'vhost_dev_init_out 0x20',
        'vhost_dev_start_in 0x10:virtio-net vrings:0',
        'vhost_dev_start_in 0x20:virtio-net vrings:0',
      ),
    ).toMatchObject([{ device: 'vhost-user' }, { device: 'vhost 0x10' }, { device: 'vhost-user' }]);
  });

  it('of two connections nobody can tell the messages apart: none is told, and the report says so', () => {
    const { events, remarks } = feed(
      reader,
      [
        'vhost_user_event chr: c0 got event: 1',
        'vhost_dev_init_in 0x10',
        'vhost_user_write req:3 (SET_OWNER) flags:0x1',
        'vhost_dev_init_out 0x10',
        'vhost_user_event chr: c1 got event: 1',
        'vhost_dev_init_in 0x20',
        'vhost_user_write req:3 (SET_OWNER) flags:0x1',
        'vhost_dev_init_out 0x20',
        'vhost_user_write req:6 (SET_LOG_BASE) flags:0x1',
        'vhost_dev_start_in 0x10:virtio-net vrings:0',
        'vhost_dev_start_in 0x20:virtio-net vrings:0\n',
      ].join('\n'),
    );
    expect(events).toMatchObject([
      { kind: 'vhost_open', device: 'vhost-user c0' },
      { kind: 'vhost_message', device: 'vhost-user c0' },
      { kind: 'vhost_open', device: 'vhost-user c1' },
      { kind: 'vhost_dev_start', device: 'vhost-user c0' },
      { kind: 'vhost_dev_start', device: 'vhost 0x20' },
    ]);
    expect(remarks).toEqual([expect.stringContaining('several vhost-user back ends')]);
  });

  it('a connection that ends and comes again is the same back end', () => {
    const read = events(
      'vhost_user_event chr: c0 got event: 1',
      'vhost_user_write req:3 (SET_OWNER) flags:0x1',
      'vhost_user_event chr: c0 got event: 4',
      'vhost_user_event chr: c0 got event: 1',
      'vhost_user_write req:3 (SET_OWNER) flags:0x1',
    );
    expect(read.map(({ kind }) => kind)).toEqual([
      'vhost_open',
      'vhost_message',
      'vhost_close',
      'vhost_open',
      'vhost_message',
    ]);
  });
});

describe('kernel vhost and iommufd', () => {
  it('kernel vhost shows its start and stop alone', () => {
    const { events } = feed(reader, log('vhostnet-happy/src'));
    expect(tally(events.filter(({ kind }) => kind.startsWith('v')))).toEqual({
      vm_state: 2,
      vm_stopped: 1,
      vhost_dev_start: 2,
      vhost_dev_stop: 2,
      vring_start: 4,
      vring_stop: 4,
    });
  });

  it.each([
    [
      'iommufd_backend_set_dirty  iommufd=9 hwpt=3 enable=1 (0)',
      { kind: 'iommufd_set_dirty', device: 'iommufd 9', hwpt: 3, on: true, errno: 0 },
    ],
    [
      'iommufd_backend_set_dirty  iommufd=9 hwpt=3 enable=1 (95)',
      { kind: 'iommufd_set_dirty', device: 'iommufd 9', hwpt: 3, on: true, errno: 95 },
    ],
    [
      'iommufd_backend_get_dirty_bitmap  iommufd=9 hwpt=3 iova=0x1000 size=0x2000 flags=0x1 page_size=0x1000 (0)',
      {
        kind: 'iommufd_dirty_bitmap',
        device: 'iommufd 9',
        hwpt: 3,
        iova: 0x1000,
        length: 0x2000,
        noClear: true,
        pageSize: 0x1000,
        errno: 0,
      },
    ],
    [
      'iommufd_backend_get_dirty_bitmap  iommufd=9 hwpt=3 iova=0x1000 size=0x2000 page_size=0x1000 (-1)',
      {
        kind: 'iommufd_dirty_bitmap',
        device: 'iommufd 9',
        hwpt: 3,
        iova: 0x1000,
        length: 0x2000,
        pageSize: 0x1000,
      },
    ],
  ])('%s', (line, event) => {
    expect(events(line)).toEqual([event]);
  });
});

it('gives the same however the blocks are cut', () => {
  expectSameHoweverCut(reader, log('vdpa-cancel/src').subarray(0, 30_000));
  expectSameHoweverCut(reader, log('passt-happy/src'));
});
