import { type Command, Option } from 'commander';
import { DIALECTS } from '../../vfio-user/dialect.js';
import { count } from '../arguments.js';

export interface ServeFlags {
  device?: string;
  vfioUser?: string;
  vhostUser?: string;
  dialect: string;
  once?: boolean;
  record?: string;
  seed: number;
  timeout: number;
  json?: boolean;
}

const HELP = `
With --vfio-user, serves a mock device as a vfio-user server, to one client after another: QEMU's
-device vfio-user-pci, stopcopy test --target vfio-user:PATH, or a client of your own. Migration is
part of it. Every client finds the device in RUNNING, as after an open.

With --vhost-user, serves virtio-net as a vhost-user back end, to one front end after another:
QEMU's -netdev vhost-user, whose guest memory has to be shared. At the other end of the wire is a
host that answers ARP for 192.168.76.1, and ping, and sends UDP datagrams back. The dirty log and
the transfer of device state are part of it. virtio-net?queues=N has N pairs of queues.

Only the owner of the socket can connect.

For vfio-user a DEVICE is a model with options of its own, as for stopcopy migrate: uart, dma,
e810-vf?generation=b&personality=published&queues=4 (and vsi=N, precopy, dma-logging, fault=NAME).
DMA of the device goes through messages to the client, at the moment that the device does it.
Descriptors are not passed: the client cannot map BARs, and no interrupt arrives there.

--record writes canonical events; with --vhost-user it writes the messages as stopcopy proxy does,
of the first front end to FILE, of the second to FILE.2, and so on.

With --json each thing that happens is a line of JSON on standard output: listening, client, gone.
SIGINT and SIGTERM end it, and remove the socket.

Exit codes: 0 ended by a signal, or after the client of --once; 2 bad usage, or the device has
crashed.

Examples:
  stopcopy serve --device e810-vf --vfio-user /run/vf.sock
  stopcopy serve --device 'uart?fault=read-restarts' --vfio-user /tmp/uart.sock --once
  stopcopy serve --vfio-user /run/vf.sock --record run.ndjson
  qemu-system-x86_64 ... \\
    -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/run/vf.sock"}}'
  stopcopy serve --device virtio-net --vhost-user /run/net.sock
  qemu-system-x86_64 ... -object memory-backend-memfd,id=m,size=1G,share=on \\
    -machine memory-backend=m \\
    -chardev socket,id=c,path=/run/net.sock -netdev vhost-user,id=n,chardev=c \\
    -device virtio-net-pci,netdev=n`;

/** Adds `stopcopy serve`. */
export function addServe(program: Command): void {
  program
    .command('serve')
    .description('serve a mock device over vfio-user or vhost-user')
    .option('--device <device>', 'the device (default: e810-vf, and virtio-net for vhost-user)')
    .option('--vfio-user <path>', 'unix socket to listen at for vfio-user')
    .option('--vhost-user <path>', 'unix socket to listen at for vhost-user')
    .addOption(
      new Option('--dialect <name>', 'behave as the specification says, or as libvfio-user does')
        .choices(DIALECTS.map(({ name }) => name))
        .default('specification'),
    )
    .option('--once', 'end when the first client is gone')
    .option('--record <file>', 'write what clients ask for, and the answers')
    .option('--seed <n>', 'seed of the traffic at the port of a VF', count(0, 0xffff_ffff), 1)
    .option('--timeout <ms>', 'how long a client may take to answer a DMA message', count(1, 1e7), 5000)
    .option('--json', 'tell what happens as lines of JSON')
    .addHelpText('after', HELP)
    .action(async (flags: ServeFlags) => {
      const { runServe } = await import('./serve-run.js');
      process.exitCode = await runServe(flags);
    });
}
