import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { connectUnixSocket, type Linux, loadLinux } from '../../src/linux/index.js';
import { connectVhostUser } from '../../src/vhost-user/index.js';
import { stopcopy } from '../support/cli.js';
import { Running } from '../support/processes.js';
import { socketFolder } from '../vfio-user/servers.js';
import { arpRequest, PEER, PEER_IP, ping, udp } from '../vhost-user/frames.js';
import { fuzzBackEnd } from '../vhost-user/fuzz.js';
import { NetGuest } from '../vhost-user/net-guest.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

describe.runIf(process.platform === 'linux')('stopcopy serve --vhost-user', () => {
  let linux: Linux;
  beforeAll(async () => {
    linux = await loadLinux();
  });

  async function serving(...more: string[]) {
    const path = join(socketFolder(), 'net.sock');
    const running = new Running(['serve', '--vhost-user', path, '--json', ...more]);
    onTestFinished(() => void running.child.kill('SIGKILL'));
    await running.says(/"listening"/, 'out');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    return { path, running };
  }

  async function guestAt(path: string): Promise<NetGuest> {
    const guest = new NetGuest(linux, await connectVhostUser(path));
    await guest.start();
    return guest;
  }

  test('a guest asks the host behind it, with a log, and stops; so does the next one', async () => {
    const { path, running } = await serving();
    for (const round of [1, 2]) {
      const guest = await guestAt(path);
      guest.send(arpRequest(PEER_IP));
      expect((await guest.receive()).subarray(22, 28)).toEqual(PEER);
      for (let count = 0; count < 200; count++) {
        guest.send(ping(Buffer.alloc(count, count)));
        const reply = await guest.receive();
        expect([reply[34], reply.readUInt16BE(16)]).toEqual([0, 28 + count]);
      }
      expect(guest.marked.size).toBe(0);
      await guest.startLog();
      const before = guest.memory.bytes.slice();
      for (let count = 0; count < 100; count++) {
        guest.send(udp(5000, 7, Buffer.from(`hello ${count}`)));
        expect((await guest.receive()).toString('latin1')).toContain(`hello ${count}`);
      }
      expect(await guest.stop()).toEqual([expect.any(Number), 301]);
      const { marked } = guest;
      // What the driver itself writes: descriptors and available rings, and the buffers to send.
      const ofDriver = (page: number) => [4, 5, 8, 9].includes(page) || page >= 16 + (32 * 2048) / 4096;
      const unmarked = changedPages(before, guest.memory.bytes).filter(
        (page) => !marked.has(page) && !ofDriver(page),
      );
      expect(unmarked).toEqual([]);
      expect(marked.size).toBeGreaterThan(3);
      guest.close();
      await vi.waitFor(() => expect(running.out.match(/"gone"/g)).toHaveLength(round), 10_000);
    }
    expect(running.out).toMatch(/"refused":0,"wire":\{"frames":301,.*"arp":1,"echo":200,"udp":100/);
    running.child.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ code: 0, err: '' });
    expect(existsSync(path)).toBe(false);
  });

  test('records what validate reads, for each front end a file, and ends after the first with --once', async () => {
    const file = join(socketFolder(), 'run.ndjson');
    const { path, running } = await serving('--record', file, '--once');
    const guest = await guestAt(path);
    await guest.startLog();
    guest.send(arpRequest(PEER_IP));
    await guest.receive();
    await guest.stop();
    guest.close();
    expect((await running.ended).code).toBe(0);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(lines.at(-1)).toMatch(/"closed":"front"/);
    const { out, code } = stopcopy(['validate', '--json', file]);
    expect([code, JSON.parse(out).verdict]).toEqual([0, 'conformant']);
  });

  test('a proxy between both changes nothing, and judges it', async () => {
    const { path } = await serving();
    const listen = join(socketFolder(), 'front.sock');
    const proxy = new Running(['proxy', '--listen', listen, '--connect', path, '--validate']);
    onTestFinished(() => void proxy.child.kill('SIGKILL'));
    await proxy.says(/listening/);
    const guest = await guestAt(listen);
    guest.send(ping(Buffer.from('through the proxy')));
    expect((await guest.receive()).toString('latin1')).toContain('through the proxy');
    await guest.startLog();
    await guest.stop();
    guest.close();
    expect(await proxy.ended).toMatchObject({ code: 0, out: expect.stringMatching(/verdict: CONFORMANT/) });
  });

  test('hostile front ends do not end it, and the next guest is served', async () => {
    const { path, running } = await serving('--timeout', '50', '--device', 'virtio-net?queues=2');
    const connect = async () => ({ fd: await connectUnixSocket(linux, path) });
    await fuzzBackEnd(linux, connect, 2000, 5);
    expect(running.child.exitCode).toBeNull();
    const guest = await guestAt(path);
    guest.send(arpRequest(PEER_IP));
    expect((await guest.receive()).subarray(22, 28)).toEqual(PEER);
    guest.close();
    // Of what hostile front ends had open, nothing is left.
    await vi.waitFor(
      () => expect(running.out.match(/"gone"/g)?.length).toBe(running.out.match(/"client"/g)?.length),
      10_000,
    );
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
  });

  test.each([
    [['--vhost-user', '/tmp/x', '--vfio-user', '/tmp/y'], /one of them/],
    [[], /needs --vfio-user PATH or --vhost-user PATH/],
    [['--vhost-user', '/tmp/x', '--device', 'uart'], /over vhost-user there is virtio-net/],
    [['--vhost-user', '/nowhere/at/all.sock'], /--vhost-user ENOENT/],
    [['--vhost-user', '/etc/passwd'], /--vhost-user EEXIST/],
  ])('refuses %j', (args, words) => {
    const { code, err } = stopcopy(['serve', ...args]);
    expect(code).toBe(2);
    expect(err).toMatch(words);
    expect(err.trim().split('\n')).toHaveLength(1);
  });
});

function changedPages(before: Uint8Array, after: Uint8Array): number[] {
  const pages = Array.from({ length: before.length / 4096 }, (_, page) => page);
  return pages.filter((page) => {
    const [from, to] = [page * 4096, (page + 1) * 4096];
    return Buffer.compare(before.subarray(from, to), after.subarray(from, to)) !== 0;
  });
}
