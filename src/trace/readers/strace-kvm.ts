import { KVM_EXIT, KVM_IOCTLS, KVM_MEM } from '../../uapi/kvm-vm.js';
import type { TraceEvent } from '../event.js';
import { asAddress, asCount, kinds } from './line-parser.js';
import type { Descriptor } from './strace-descriptors.js';
import { type At, ioctlOf, type StraceCall, type StraceIoctl, structField } from './strace-line.js';
import { known } from './uapi-calls.js';

/** What strace shows of a VM: it follows the pointer of a memory slot, and not those of the dirty log's requests. */
export const KVM_KINDS = kinds('kvm_vcpu', 'kvm_memslot', 'kvm_reset_dirty_rings', 'kvm_exit');

/** Which ioctl of KVM a request is. */
export function kvmIoctl(request: StraceIoctl): keyof typeof KVM_IOCTLS | undefined {
  return ioctlOf(request, KVM_IOCTLS);
}

/** The events of an ioctl on a VM or a vCPU. */
export function kvmCall(
  call: StraceCall & { request: StraceIoctl },
  on: Descriptor & { kind: 'vm' | 'vcpu' },
  at: At,
): TraceEvent[] {
  const place = { ...at, device: on.device };
  const { errno } = call;
  switch (kvmIoctl(call.request)) {
    case 'KVM_CREATE_VCPU':
      return [{ kind: 'kvm_vcpu', ...place, errno }];
    case 'KVM_SET_USER_MEMORY_REGION':
      return memslot(call, place);
    case 'KVM_RESET_DIRTY_RINGS':
      return [
        {
          kind: 'kvm_reset_dirty_rings',
          ...place,
          ...known('count', errno === 0 ? call.ret : undefined),
          errno,
        },
      ];
    case 'KVM_RUN':
      return on.kind === 'vm'
        ? []
        : [{ kind: 'kvm_exit', ...place, vcpu: on.vcpu, ...known('reason', reason(call.exit)), errno }];
    default:
      return [];
  }
}

function memslot(call: StraceCall & { request: StraceIoctl }, place: At & { device: string }): TraceEvent[] {
  const { argument } = call.request;
  const slot = asCount(structField(argument, 'slot'));
  const flags = /[ {]flags=([^,}]{1,100})/.exec(argument.slice(0, 4096))?.[1];
  if (slot === undefined || flags === undefined) return [];
  const gpa = structField(argument, 'guest_phys_addr');
  const size = structField(argument, 'memory_size');
  return [
    {
      kind: 'kvm_memslot',
      ...place,
      slot,
      log: isLogged(flags),
      ...known('gpa', gpa === undefined ? undefined : asAddress(gpa)),
      ...known('size', size === undefined ? undefined : asAddress(size)),
      errno: call.errno,
    },
  ];
}

/** The flags of a slot, as a number (`-X raw`, `-X verbose`) or as names. */
function isLogged(flags: string): boolean {
  const number = /^(?:0x[0-9a-f]{1,8}|\d{1,9})\b/.exec(flags)?.[0];
  return number === undefined
    ? flags.includes('KVM_MEM_LOG_DIRTY_PAGES')
    : (Number(number) & KVM_MEM.LOG_DIRTY_PAGES) !== 0;
}

/** The number of an exit by its name, for the exits that mean something here. */
function reason(exit: string | undefined): number | undefined {
  const name = exit?.replace(/^KVM_EXIT_/, '');
  return name !== undefined && Object.hasOwn(KVM_EXIT, name)
    ? KVM_EXIT[name as keyof typeof KVM_EXIT]
    : undefined;
}
