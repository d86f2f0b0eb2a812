import type { Command } from 'commander';

export interface ProxyFlags {
  listen: string;
  connect: string;
  record?: string;
  validate?: boolean;
  json?: boolean;
}

const HELP = `
Stands between a VMM and a vhost-user back end: the VMM connects to the socket of --listen, and the
proxy then to the one of --connect. Messages and descriptors go through unchanged and in order,
known or not; guest memory, kicks and calls do not pass here at all. One connection is served, and
the proxy ends with it. Only the owner of the socket can connect.

--record writes each message as a line of JSON that stopcopy validate reads. --validate judges them
as they pass, in a process of its own: findings are told as they come, the report at the end. When
that process is too slow, hangs or ends, the connection goes on, and what was not judged is counted.

With --json each thing that happens is a line of JSON on standard output: listening, connected,
finding, trouble, closed, verdict.

Exit codes: 0 the connection has ended, and with --validate was conformant; 1 violations were found;
2 bad usage, no back end, or a connection that broke; 3 inconclusive, also when messages were not
judged.

Examples:
  stopcopy proxy --listen /run/vm.sock --connect /run/dpdk.sock --validate
  stopcopy proxy --listen a.sock --connect b.sock --record run.ndjson
  stopcopy validate run.ndjson
  qemu-system-x86_64 ... -chardev socket,id=net,path=/run/vm.sock \\
    -netdev vhost-user,id=n0,chardev=net -device virtio-net-pci,netdev=n0`;

/** Adds `stopcopy proxy`. */
export function addProxy(program: Command): void {
  program
    .command('proxy')
    .description('record and judge a vhost-user connection as it passes')
    .requiredOption('--listen <path>', 'unix socket that the VMM connects to')
    .requiredOption('--connect <path>', 'unix socket that the back end listens at')
    .option('--record <file>', 'write the messages to a file')
    .option('--validate', 'judge the messages as they pass')
    .option('--json', 'tell what happens as lines of JSON')
    .addHelpText('after', HELP)
    .action(async (flags: ProxyFlags) => {
      const { runProxyCommand } = await import('./proxy-run.js');
      process.exitCode = await runProxyCommand(flags);
    });
}
