import { describe, expect, test } from 'vitest';
import { type Linux, loadLinux } from '../../src/linux/index.js';
import { TargetError } from '../../src/target/index.js';
import { KvmAgreementRun } from '../../src/target/kvm/agreement.js';
import { Alarm } from '../../src/target/kvm/alarm.js';
import { examineHost } from '../../src/target/kvm/dirty-log.js';
import { KvmEvents, runsOf } from '../../src/target/kvm/events.js';
import { GUEST_CODE } from '../../src/target/kvm/guest-code.js';
import { KvmVm, runKvmDirtyLog } from '../../src/target/kvm/index.js';
import { Vcpu } from '../../src/target/kvm/vcpu.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { KVM_EXIT, KVM_IOCTLS, KVM_PAGE, KvmMemoryRegion } from '../../src/uapi/index.js';
import { whyNoKvm } from './kvm-live.js';

const why = await whyNoKvm();
const SEQUENCES = 100;
/** Where the slot of these tests begins, and its pages. */
const [FIRST, PAGES] = [0x20, 100];
const SLOT = { slot: 0, gpa: FIRST * KVM_PAGE, size: PAGES * KVM_PAGE, log: true };

test.skipIf(why !== null)(
  `the machines agree with this host's KVM over ${SEQUENCES} random sequences${why === null ? '' : ` (${why})`}`,
  async () => {
    const events: TraceEvent[] = [];
    const result = await runKvmDirtyLog({
      seed: 1,
      sequences: SEQUENCES,
      emit: (event) => events.push(event),
    });
    expect(result.disagreements).toEqual([]);
    expect(result).toMatchObject({ skipped: null, sequences: SEQUENCES });
    expect(Object.values(result.byMode)).toEqual(Array(4).fill(SEQUENCES / 4));
    // Every kind of refusal came up, and there was something to find.
    expect(Object.keys(result.refused).sort()).toEqual([
      'E2BIG',
      'EEXIST',
      'EFAULT',
      'EINVAL',
      'ENOENT',
      'ENXIO',
    ]);
    expect(result.written).toBeGreaterThan(SEQUENCES);
    expect(result.ringFull).toBeGreaterThan(0);
    for (const event of events) traceEventSchema.parse(event);
    expect(new Set(events.map(({ kind }) => kind)).size).toBe(9);
    const again = await runKvmDirtyLog({ seed: 1, sequences: SEQUENCES });
    // How far a guest gets before its ring is full depends on the host's interrupts too.
    const { steps, refused, byMode } = result;
    expect(again).toMatchObject({ steps, refused, byMode, disagreements: [] });
  },
);

test('without a KVM the run says why, and is no success', async () => {
  const noKvm = new Proxy(await loadLinux(), {
    get: (linux, name) =>
      name === 'open' ? (path: string) => linux.open(`${path}-none`, 0) : Reflect.get(linux, name, linux),
  });
  expect(() => KvmVm.open(noKvm)).toThrow(TargetError);
  expect(() => KvmVm.open(noKvm)).toThrow('/dev/kvm: there is no such file: this host has no KVM');
});

test('runs of pages', () => {
  expect(runsOf([])).toEqual([]);
  expect(runsOf([7, 1, 2, 2, 3, 9, 8])).toEqual([
    [1, 3],
    [7, 3],
  ]);
});

describe.skipIf(why !== null)('a VM', () => {
  const withVm = async (use: (vm: KvmVm, linux: Linux) => void): Promise<void> => {
    const linux = await loadLinux();
    const vm = KvmVm.open(linux);
    try {
      use(vm, linux);
    } finally {
      vm.close();
    }
  };

  test('logs what the guest writes, across pages too, and nothing that it reads', () =>
    withVm((vm) => {
      vm.setSlot(SLOT);
      const vcpu = vm.createVcpu();
      expect(vm.touch(vcpu, 'write', [FIRST, FIRST + 3], 5)).toEqual({
        written: [FIRST, FIRST + 3],
        exits: [{ reason: KVM_EXIT.HLT }],
      });
      expect(vm.getDirtyLog(0, PAGES)).toEqual([0, 3]);
      expect(vm.getDirtyLog(0, PAGES)).toEqual([]);
      vm.touch(vcpu, 'write_word', [FIRST + 63], KVM_PAGE - 1);
      expect(vm.getDirtyLog(0, PAGES)).toEqual([63, 64]);
      expect(vm.touch(vcpu, 'write_and_exit', [FIRST, FIRST], 0).exits).toEqual([
        { reason: KVM_EXIT.IO },
        { reason: KVM_EXIT.IO },
        { reason: KVM_EXIT.HLT },
      ]);
      expect(vm.touch(vcpu, 'read', [FIRST + 1], 0).written).toEqual([]);
    }));

  test('loses what a GET without memory for its bitmap has cleared', () =>
    withVm((vm) => {
      vm.setSlot(SLOT);
      vm.touch(vm.createVcpu(), 'write', [FIRST], 0);
      expect(() => vm.getDirtyLog(0, PAGES, true)).toThrow('EFAULT');
      expect(vm.getDirtyLog(0, PAGES)).toEqual([]);
    }));

  test('stops a vCPU whose ring is full until it was harvested and reset', () =>
    withVm((vm, linux) => {
      const { reserved } = examineHost(linux);
      const entries = 2 ** Math.ceil(Math.log2(Math.max(2 * reserved, KVM_PAGE / 16)));
      vm.enableCap('dirty_ring', entries * 16);
      vm.setSlot(SLOT);
      const vcpu = vm.createVcpu();
      const burst = Array.from({ length: 32 }, (_, page) => FIRST + page);
      let exit = vm.touch(vcpu, 'write', burst, 0).exits.at(-1);
      for (let turn = 0; turn < entries && exit?.reason === KVM_EXIT.HLT; turn++) {
        // What was reset is pushed again; other pages fill the ring where each is in it once.
        const other = burst.map((page) => FIRST + ((page - FIRST + 32 * (turn + 1)) % PAGES));
        exit = vm.touch(vcpu, 'write', other, 0).exits.at(-1);
        if (turn > 3 && vm.ring(vcpu).used < entries - reserved) return; // A processor that marks each page once.
      }
      expect(exit).toEqual({ reason: KVM_EXIT.DIRTY_RING_FULL });
      expect(vm.touch(vcpu, 'write', burst, 0)).toEqual({ written: [], exits: [exit] });
      const { used } = vm.ring(vcpu);
      expect(vm.harvest(vcpu)).toHaveLength(used);
      expect(vm.resetRings()).toBe(used);
      expect(vm.touch(vcpu, 'write', burst, 0).written).toEqual(burst);
    }));

  test('an alarm ends a KVM_RUN that does not return', async () => {
    const linux = await loadLinux();
    const kvm = linux.open('/dev/kvm', 2);
    const vm = linux.ioctl(kvm, KVM_IOCTLS.KVM_CREATE_VM);
    const memory = linux.mmap(-1, { length: GUEST_CODE.size });
    memory.bytes.set([0xeb, 0xfe]); // jmp to itself
    const region = {
      slot: 0,
      flags: 0,
      guest_phys_addr: BigInt(GUEST_CODE.gpa),
      memory_size: BigInt(GUEST_CODE.size),
    };
    linux.ioctl(
      vm,
      KVM_IOCTLS.KVM_SET_USER_MEMORY_REGION,
      KvmMemoryRegion.encode({ ...region, userspace_addr: memory.address }),
    );
    const runBytes = linux.ioctl(kvm, KVM_IOCTLS.KVM_GET_VCPU_MMAP_SIZE);
    const fd = linux.ioctl(vm, KVM_IOCTLS.KVM_CREATE_VCPU);
    const vcpu = new Vcpu(linux, fd, { index: 0, runBytes, ringBytes: 0 });
    const alarm = new Alarm(linux, 50);
    vcpu.start({ rip: 0n, rcx: 0n, rdx: 0n, rsi: 0n, rdi: 0n });
    expect(alarm.during(() => vcpu.run())).toEqual({ errno: 4 });
    alarm.close();
    vcpu.close();
    linux.close(vm);
    linux.close(kvm);
    memory.unmap();
  });
});

/** A kernel that is wrong in one thing is found out: the comparison is no formality. */
describe.skipIf(why !== null)('a KVM that does otherwise', () => {
  const wrong: Record<string, { change: Partial<Record<keyof KvmVm, unknown>>; found: string }> = {
    'leaves out a page': {
      change: {
        getDirtyLog(this: KvmVm, ...args: Parameters<KvmVm['getDirtyLog']>) {
          return KvmVm.prototype.getDirtyLog.apply(this, args).slice(1);
        },
      },
      found: '1 pages of slot 0 were written and are not reported, first page 2: 2',
    },
    'takes a range that it must refuse': {
      change: { clearDirtyLog() {} },
      found: 'clear_dirty_log ended with errno 0; the model has 22 (OK for EINVAL)',
    },
  };
  test.each(Object.entries(wrong))('%s', async (_, { change, found }) => {
    const linux = await loadLinux();
    const vm = Object.assign(KvmVm.open(linux), change);
    const run = new KvmAgreementRun(vm, examineHost(linux), new KvmEvents('vm', () => {}));
    const memslot = { call: 'memslot', ...SLOT, uaddr: vm.userAddress(SLOT.gpa) } as const;
    const steps = [
      run.step({ do: 'call', call: { call: 'create_vcpu' } }),
      run.step({ do: 'call', call: memslot }),
      run.step({
        do: 'touch',
        vcpu: 0,
        access: 'write',
        pages: [
          [0, 2],
          [0, 9],
        ],
        offset: 0,
      }),
      run.step({ do: 'call', call: { call: 'clear_dirty_log', slot: 0, first: 1, pages: 64, set: [] } }),
      run.step({ do: 'call', call: { call: 'get_dirty_log', slot: 0 } }),
    ];
    vm.close();
    expect(steps.flatMap(({ differences }) => differences.map(({ text }) => text))).toEqual([found]);
  });
});
