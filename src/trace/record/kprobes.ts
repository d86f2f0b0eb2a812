import { InputError } from '../reader.js';

export interface KprobeOptions {
  /**
   * Symbol of the variant driver's `migration_set_state` function, such as `mtty_set_state` or
   * `mlx5vf_pci_set_device_state` (see /proc/kallsyms); the default is to watch the VFIO core only.
   */
  driver?: string;
  /** Machine of the host that is traced, `x86_64` or `arm64`; the default is this one. */
  arch?: string;
}

/** First, second and third argument of a function, by the calling convention of the kernel. */
const ARGUMENTS: Readonly<Record<string, readonly [string, string, string]>> = {
  x86_64: ['%di', '%si', '%dx'],
  arm64: ['%x0', '%x1', '%x2'],
};

const GROUP = 'stopcopy';

function argumentsOf(arch: string): readonly [string, string, string] {
  const known = Object.hasOwn(ARGUMENTS, arch) ? ARGUMENTS[arch] : undefined;
  if (known !== undefined) return known;
  throw new InputError(
    `kprobe arguments are known for ${Object.keys(ARGUMENTS).join(' and ')}, not for ${arch}`,
  );
}

/** The name that the kernel has for the machine that this runs on. */
const hostArch = (): string => (process.arch === 'x64' ? 'x86_64' : process.arch);

/**
 * The tracefs kprobe definitions, one a line: each hop that the VFIO core computes
 * (`vfio_mig_get_next_state(device, cur, new, *next)`) and its result, and each state that the
 * driver is asked for (`migration_set_state(device, new)`).
 *
 * `dev` is the low 16 bits of the device's kernel address: enough to tell devices apart, too little
 * to give the kernel's layout away.
 *
 * @throws InputError when `driver` is no symbol name or the machine is unknown
 */
export function kprobeDefinitions(options: KprobeOptions = {}): string[] {
  const { driver } = options;
  if (driver !== undefined && !/^[A-Za-z_][\w.]{0,127}$/.test(driver)) {
    throw new InputError(`not the name of a kernel symbol: ${driver}`);
  }
  const [first, second, third] = argumentsOf(options.arch ?? hostArch());
  return [
    `p:${GROUP}/vfio_next vfio_mig_get_next_state dev=${first}:x16 cur=${second}:u32 new=${third}:u32`,
    `r:${GROUP}/vfio_next_ret vfio_mig_get_next_state ret=$retval:s32`,
    ...(driver === undefined ? [] : [`p:${GROUP}/driver_set ${driver} dev=${first}:x16 new=${second}:u32`]),
  ];
}

/**
 * A shell script for root around {@link kprobeDefinitions}: `set` puts the probes in, `read` prints
 * what they saw (it stays in the buffer), `remove` takes them away. The probes record into a tracefs
 * instance of their own, which disturbs no other tracing and has room for about 100,000 events a CPU.
 *
 * @throws InputError as {@link kprobeDefinitions}
 */
export function kprobeScript(options: KprobeOptions = {}): string {
  const define = kprobeDefinitions(options).map((line) => `    echo '${line}' >> $T/kprobe_events`);
  return `#!/bin/sh
# usage: sh kprobes.sh set | read | remove
set -e
T=/sys/kernel/tracing
I=$T/instances/${GROUP}
[ -e $T/kprobe_events ] || mount -t tracefs tracefs $T
case "$1" in
  set)
${define.join('\n')}
    mkdir -p $I
    echo 8192 > $I/buffer_size_kb
    echo 1 > $I/events/${GROUP}/enable
    ;;
  read)
    cat $I/trace
    ;;
  remove)
    echo 0 > $I/events/${GROUP}/enable
    rmdir $I
    echo '-:${GROUP}/' >> $T/kprobe_events
    ;;
  *)
    echo "usage: sh $0 set | read | remove" >&2
    exit 2
    ;;
esac
`;
}
