import { describe, expect, it } from 'vitest';
import { straceReader as reader } from '../../src/trace/readers/strace.js';
import { straceText, straceTransfer } from '../../src/trace/readers/strace-text.js';
import { ERRNO } from '../../src/uapi/errno.js';
import { countsText, expectSameHoweverCut, feed, only, tally, trace } from './feed.js';

/** Events of lines, without their place. */
const events = (...lines: string[]) => {
  const { events, counts } = feed(reader, `${lines.join('\n')}\n`);
  expect(counts.malformed).toBe(0);
  return events.map(({ host: _h, file: _f, line: _l, t: _t, thread: _d, ...rest }) => rest);
};
/** Events of ioctls on a vhost descriptor. */
const onVhost = (...lines: string[]) =>
  events('openat(AT_FDCWD, "/dev/vhost-vdpa-0", O_RDWR) = 4', ...lines).slice(1);

describe('kernel vhost', () => {
  it('the log program: requests and results, no payload', () => {
    const { events, counts, cut, remarks } = feed(reader, trace('kernel-vhost/vhostlog.strace'));
    expect(cut).toBe(false);
    expect(countsText(counts)).toBe('87 = 17 + 70 + 0');
    expect(tally(events)).toEqual({
      vhost_open: 1,
      vhost_offered: 1,
      vhost_log_base: 6,
      vhost_set_owner: 2,
      vhost_set_features: 5,
      vhost_mem_table: 1,
      vhost_reset_owner: 1,
    });
    expect(only(events, 'vhost_open')).toMatchObject([
      { device: 'vhost-net fd 4', interface: 'kernel', thread: 154 },
    ]);
    expect(only(events, 'vhost_log_base')[0]).toMatchObject({ errno: ERRNO.EPERM });
    expect(only(events, 'vhost_set_owner').map(({ errno }) => errno)).toEqual([0, ERRNO.EBUSY]);
    expect(remarks).toEqual([expect.stringContaining('without their payload')]);
  });

  it.each([
    ['VHOST_SET_OWNER, 0', 'vhost_set_owner'],
    ['0xaf01, 0', 'vhost_set_owner'],
    ['0xaf01 /* VHOST_SET_OWNER */, 0xffffffff', 'vhost_set_owner'],
    ['_IOC(_IOC_NONE, 0xaf, 0x7e, 0), 0xffffffff', 'vdpa_resume'],
    ['0xaf7e /* _IOC(_IOC_NONE, 0xaf, 0x7e, 0) */, 0xffffffff', 'vdpa_resume'],
    ['VHOST_VDPA_SUSPEND, 0xffffffff', 'vdpa_suspend'],
    ['_IOC(_IOC_WRITE, 0xaf, 0x83, 0x8), 0x7ffcf1b99bb0', 'vhost_set_features'],
    ['0x4008af83 /* _IOC(_IOC_WRITE, 0xaf, 0x83, 0x8) */, 0x7ffcf1b99bb0', 'vhost_set_features'],
    ['0x8008af83, 0x7ffcf1b99bb0', 'vhost_offered'],
    ['VHOST_SET_BACKEND_FEATURES, 0x7ffc', 'vhost_set_backend_features'],
    ['VHOST_VDPA_SET_STATUS, 0x7ffc', 'vdpa_status'],
    ['VHOST_VDPA_GET_STATUS, 0x7ffc', 'vdpa_status_read'],
    ['VHOST_VDPA_SET_CONFIG, 0x7ffc', 'vhost_config'],
  ])('ioctl(4, %s)', (text, kind) => {
    expect(onVhost(`ioctl(4, ${text}) = -1 EBUSY (Device or resource busy)`)).toMatchObject([
      { kind, device: 'vhost-vdpa-0 fd 4', errno: ERRNO.EBUSY },
    ]);
  });

  it('says of a ring what strace has made of the pointer, and nothing without', () => {
    expect(onVhost('ioctl(4, VHOST_SET_VRING_NUM, 0x7ffc) = 0')).toEqual([]);
    expect(
      onVhost(
        'ioctl(4, VHOST_SET_VRING_NUM, {index=1, num=256}) = 0',
        'ioctl(4, 0x4008af12 /* VHOST_SET_VRING_BASE */, {index=1, num=7}) = 0',
        'ioctl(4, VHOST_SET_VRING_ADDR, {index=0, flags=0x1, desc_user_addr=0x7f1000, used_user_addr=0x7f2000, avail_user_addr=0x7f3000, log_guest_addr=0x2000}) = 0',
        'ioctl(4, VHOST_SET_VRING_KICK, {index=0, fd=-1}) = 0',
        'ioctl(4, VHOST_VDPA_SET_GROUP_ASID, {index=1, num=2}) = 0',
        'ioctl(4, VHOST_SET_FEATURES, [0x300000000]) = 0',
      ),
    ).toMatchObject([
      { kind: 'vring_num', index: 1, num: 256, interface: 'vdpa' },
      { kind: 'vring_base', index: 1, num: 7 },
      { kind: 'vring_addr', index: 0, log: true, desc: 0x7f1000, logGuestAddr: 0x2000 },
      { kind: 'vring_kick_fd', index: 0, attached: false },
      { kind: 'vdpa_group_asid', group: 1, asid: 2 },
      { kind: 'vhost_set_features', features: 0x300000000 },
    ]);
  });

  it('reads IOTLB messages where they were printed', () => {
    const bytes = Buffer.alloc(72);
    bytes.writeUInt32LE(2, 0);
    bytes.writeUInt32LE(1, 4);
    bytes.writeBigUInt64LE(0x1000n, 8);
    bytes.writeBigUInt64LE(0x2000n, 16);
    bytes[32] = 3;
    bytes[33] = 2;
    const hex = [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
    expect(onVhost(`write(4, "${hex}", 72) = 72`)).toMatchObject([
      { kind: 'vhost_iotlb', type: 'update', asid: 1, iova: 0x1000, size: 0x2000, errno: 0 },
    ]);
    expect(onVhost(`write(4, "${hex.slice(0, 32 * 4)}"..., 72) = 72`)).toEqual([]);
  });

  it('follows a descriptor over dup and close, and leaves a child’s close alone', () => {
    const read = events(
      '10 openat(AT_FDCWD, "/dev/vhost-net", O_RDWR) = 4',
      '10 dup(4) = 7',
      '10 close(4) = 0',
      '10 ioctl(7, VHOST_SET_OWNER, 0) = 0',
      '10 vfork() = 11',
      '11 close(7) = 0',
      '10 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 12',
      '12 ioctl(7, VHOST_RESET_OWNER, 0) = 0',
      '12 close(7) = 0',
      '10 openat(AT_FDCWD, "/dev/vhost-net", O_RDWR) = 4',
    );
    expect(read.map(({ kind }) => kind)).toEqual([
      'vhost_open',
      'vhost_set_owner',
      'vhost_reset_owner',
      'vhost_close',
      'vhost_open',
    ]);
    expect(new Set(read.map((event) => 'device' in event && event.device))).toEqual(
      new Set(['vhost-net fd 4']),
    );
  });

  it('takes a descriptor that it has not seen opened for what it answers to, or by its path', () => {
    expect(events('ioctl(5, VHOST_SET_OWNER, 0) = 0')).toMatchObject([
      { device: 'vhost fd 5', interface: 'kernel' },
    ]);
    expect(events('ioctl(5</dev/vhost-vdpa-3<char 508:3>>, VHOST_SET_OWNER, 0) = 0')).toMatchObject([
      { device: 'vhost-vdpa-3 fd 5', interface: 'vdpa' },
    ]);
    expect(events('ioctl(5, VHOST_SET_OWNER, 0) = -1 ENOTTY (Inappropriate ioctl for device)')).toEqual([]);
    expect(events('ioctl(5</dev/null>, VHOST_SET_OWNER, 0) = 0')).toEqual([]);
  });
});

describe('KVM, iommufd, type1', () => {
  it.each(['names', 'verbose', 'raw', 'exits'])('one program under strace 6.1: %s', (how) => {
    const { events, counts, remarks } = feed(reader, trace(`vhost/strace/ioctls-${how}.strace`));
    expect(counts.malformed).toBe(0);
    const device = 'kvm-vm fd 6';
    const exit = { kind: 'kvm_exit', device, vcpu: 0, errno: 0 };
    expect(events).toMatchObject([
      { kind: 'kvm_memslot', device, slot: 0, log: true, gpa: 0, size: 65536, errno: 0 },
      { kind: 'kvm_vcpu', device, errno: 0 },
      how === 'exits' ? { ...exit, reason: 5 } : exit,
      { kind: 'kvm_reset_dirty_rings', device, errno: ERRNO.EINVAL },
      { kind: 'kvm_memslot', device, slot: 0, size: 0, errno: 0 },
    ]);
    expect(remarks).toContainEqual(expect.stringContaining('KVM_GET_DIRTY_LOG'));
  });

  it('counts the vCPUs of each VM, and tells a VM on a descriptor used again by another name', () => {
    const read = events(
      'ioctl(4</dev/kvm>, KVM_CREATE_VM, 0) = 6<anon_inode:kvm-vm>',
      'ioctl(6<anon_inode:kvm-vm>, KVM_CREATE_VCPU, 0) = 7<anon_inode:kvm-vcpu:0>',
      'ioctl(6<anon_inode:kvm-vm>, KVM_CREATE_VCPU, 1) = 8<anon_inode:kvm-vcpu:1>',
      'ioctl(8<anon_inode:kvm-vcpu:1>, KVM_RUN, 0) = 0 (KVM_EXIT_DIRTY_RING_FULL)',
      'ioctl(6<anon_inode:kvm-vm>, KVM_RESET_DIRTY_RINGS, 0) = 17',
      'close(6) = 0',
      'ioctl(4</dev/kvm>, KVM_CREATE_VM, 0) = 6<anon_inode:kvm-vm>',
      'ioctl(6<anon_inode:kvm-vm>, KVM_CREATE_VCPU, 0) = 9<anon_inode:kvm-vcpu:0>',
    );
    expect(read).toMatchObject([
      { kind: 'kvm_vcpu', device: 'kvm-vm fd 6' },
      { kind: 'kvm_vcpu', device: 'kvm-vm fd 6' },
      { kind: 'kvm_exit', vcpu: 1, reason: 31 },
      { kind: 'kvm_reset_dirty_rings', count: 17 },
      { kind: 'kvm_vcpu', device: 'kvm-vm fd 6 #2' },
    ]);
  });

  it('knows what unmaps by the descriptor, for numbers mean several things', () => {
    expect(
      events(
        'openat(AT_FDCWD, "/dev/iommu", O_RDWR) = 3',
        'openat(AT_FDCWD, "/dev/vfio/vfio", O_RDWR) = 4',
        'ioctl(3, _IOC(_IOC_NONE, 0x3b, 0x86, 0), 0x7ffc) = 0',
        'ioctl(4, VFIO_DEVICE_QUERY_GFX_PLANE or VFIO_IOMMU_UNMAP_DMA, 0x7ffc) = 0',
        'ioctl(9, VFIO_DEVICE_QUERY_GFX_PLANE or VFIO_IOMMU_UNMAP_DMA, 0x7ffc) = 0',
      ),
    ).toEqual([
      { kind: 'iommufd_unmap', device: 'iommufd 3', errno: 0 },
      { kind: 'type1_unmap', device: 'container fd 4', errno: 0 },
    ]);
  });
});

describe('a vhost-user socket', () => {
  it.each([
    [
      'passt-happy/src',
      69,
      { vhost_log_base: 1, vring_base_read: 2, vhost_state_fd: 1, vhost_state_check: 1 },
    ],
    ['passt-happy/dst', 62, { vhost_rarp: 5, vhost_state_fd: 1, vhost_state_check: 1 }],
    ['passt-dst-killed/src', 65, { vhost_log_base: 1, vring_base_read: 2 }],
    ['passt-dst-killed/dst', 20, { vhost_set_owner: 1 }],
  ])(
    '%s: headers alone, for the payloads were read by a call that was not traced',
    (path, messages, some) => {
      const { events, counts, remarks } = feed(reader, trace(`vhost/${path}.passt.strace.gz`));
      expect(counts.malformed).toBe(0);
      expect(remarks).toEqual([]);
      expect(tally(events)).toMatchObject({
        vhost_open: 1,
        vhost_message: messages,
        vhost_close: 1,
        ...some,
      });
      // Which ring a request is of stands in its payload.
      expect(tally(events)).not.toHaveProperty('vring_addr');
      expect(tally(events)).not.toHaveProperty('vring_enable');
    },
  );

  it.each(['vhost-user-both-ends', 'vhost-user-both-ends-hex'])('%s: both ends, with payloads', (name) => {
    const { events, counts } = feed(reader, trace(`vhost/strace/${name}.strace.gz`));
    expect(counts.malformed).toBe(0);
    const of = (device: string) =>
      events
        .filter((event) => 'device' in event && event.device === device)
        .map(({ host: _h, file: _f, line: _l, t: _t, thread: _d, ...rest }) => ({ ...rest, device: '' }));
    // What one end sends, the other gets: the same events from both.
    expect(of('vhost-user fd 3')).toEqual(of('vhost-user fd 4'));
    expect(tally(events)).toMatchObject({
      vhost_message: 86,
      vhost_mem_table: 2,
      vring_addr: 8,
      vring_enable: 4,
      vhost_log_base: 2,
      vring_base_read: 4,
    });
    expect(only(events, 'vhost_log_base')).toMatchObject([{ size: 65536 }, { size: 65536 }]);
    expect(only(events, 'vhost_message').find(({ request }) => request === 'SET_MEM_TABLE')).toMatchObject({
      fds: 2,
    });
  });

  const recv = (hex: string, size: number) =>
    `recvmsg(3, {msg_iov=[{iov_base="${hex}", iov_len=12}]}, 0) = ${size}`;
  const GET_FEATURES = recv('\\1\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0', 12);

  it('is known by the header of a request alone', () => {
    expect(events(GET_FEATURES)).toHaveLength(2);
    expect(events('read(3, "\\1\\0\\0\\0\\1\\0\\0\\0", 8) = 8')).toEqual([]);
    expect(events(recv('\\1\\0\\0\\0\\5\\0\\0\\0\\0\\0\\0\\0', 12))).toEqual([]);
    expect(events(recv('\\1\\0\\0\\0\\2\\0\\0\\0\\0\\0\\0\\0', 12))).toEqual([]);
    expect(events(recv('\\377\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0', 12))).toEqual([]);
  });

  it('is not the channel on which the back end asks', () => {
    const asks =
      'sendmsg(9, {msg_iov=[{iov_base="\\2\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0", iov_len=12}]}, 0) = 12';
    expect(events(GET_FEATURES, asks)).toHaveLength(2);
  });

  it('joins a message that came in pieces', () => {
    const read = events(
      GET_FEATURES,
      recv('\\10\\0\\0\\0\\1\\0\\0\\0\\10\\0\\0\\0', 12),
      'recvfrom(3, "\\1\\0\\0\\0", 4, 0, NULL, NULL) = 4',
      'recvfrom(3, "\\0\\1\\0\\0", 4, 0, NULL, NULL) = 4',
    );
    expect(read.slice(2)).toMatchObject([
      { kind: 'vhost_message', request: 'SET_VRING_NUM', size: 8 },
      { kind: 'vring_num', index: 1, num: 256 },
    ]);
  });

  it('tells no message that was cut', () => {
    const read = events(
      GET_FEATURES,
      recv('\\10\\0\\0\\0\\1\\0\\0\\0\\10\\0\\0\\0', 12),
      recv('\\1\\0\\0\\0', 4),
    );
    expect(read).toHaveLength(2);
  });

  it('stops where the stream makes no sense any more', () => {
    const read = events(GET_FEATURES, recv('garbage that is none', 12), GET_FEATURES);
    expect(tally(read as never)).toEqual({ vhost_open: 1, vhost_message: 1 });
  });

  it('a child that closes its copy ends nothing', () => {
    const read = events(
      `10 ${GET_FEATURES}`,
      '10 fork() = 11',
      '11 close(3) = 0',
      `10 ${GET_FEATURES}`,
      '10 close(3) = 0',
    );
    expect(read.map(({ kind }) => kind)).toEqual([
      'vhost_open',
      'vhost_message',
      'vhost_message',
      'vhost_close',
    ]);
  });

  it('seen from the front end, an end of file means that the back end is lost', () => {
    const send = GET_FEATURES.replace('recvmsg', 'sendmsg');
    expect(events(send, 'recvmsg(3, {}, 0) = 0', 'close(3) = 0').at(-1)).toMatchObject({
      kind: 'vhost_close',
      lost: true,
    });
  });
});

describe('bytes as strace prints them', () => {
  it.each([
    ['"abc"', 'abc', false],
    ['"\\1\\18\\0001\\377"', '\x01\x018\x001\xff', false],
    ['"\\n\\t\\r\\f\\v\\\\\\""', '\n\t\r\f\v\\"', false],
    ['"\\x00\\xff"', '\0\xff', false],
    ['"ab"...', 'ab', true],
    ['""', '', false],
  ])('%s', (text, bytes, cut) => {
    expect(straceText(text, 100)).toMatchObject({ cut });
    expect(Buffer.from(straceText(text, 100)!.bytes).toString('latin1')).toBe(bytes);
  });

  it('takes no more than it is asked for', () => {
    expect(straceText(`"${'a'.repeat(1000)}"`, 10)?.bytes).toHaveLength(10);
    expect(straceText('no text', 10)).toBeUndefined();
    expect(straceText('"open', 10)).toBeUndefined();
  });

  it('counts descriptors, with and without what they are', () => {
    const of = (list: string) =>
      straceTransfer(`, {msg_iov=[{iov_base="a", iov_len=1}], cmsg_type=SCM_RIGHTS, cmsg_data=[${list}]}`, 9)
        ?.fds;
    expect(of('42')).toBe(1);
    expect(of('5, 6, 7')).toBe(3);
    expect(of('5</memfd:m>(deleted), 6<anon_inode:[eventfd]>')).toBe(2);
    expect(straceTransfer(', {msg_iov=[{iov_base="a", iov_len=1}]}', 9)?.fds).toBe(0);
  });
});

it('gives the same however the blocks are cut', () => {
  expectSameHoweverCut(reader, trace('vhost/strace/vhost-user-both-ends.strace.gz').subarray(0, 20_000));
  expectSameHoweverCut(reader, trace('kernel-vhost/vhostlog.strace'));
});
