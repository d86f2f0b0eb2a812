import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Linux, listenUnixSocket, loadLinux } from '../../src/linux/index.js';
import { connectVhostUser, serveVhostUser, type VhostUserFrontEnd } from '../../src/vhost-user/index.js';
import { openFds } from '../linux/open-fds.js';
import { expectRefusal, stopcopy } from '../support/cli.js';
import { Running } from '../support/processes.js';
import { socketFolder } from '../vfio-user/servers.js';
import { ALL_FEATURES, FakeDevice, SERVED_PROTOCOL } from '../vhost-user/fake-device.js';
import { Shared } from '../vhost-user/pair.js';

// Each test starts processes, on machines that are busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const PAGE = 4096;

describe.runIf(process.platform === 'linux')('stopcopy proxy', () => {
  let linux: Linux;
  beforeAll(async () => {
    linux = await loadLinux();
  });

  /** A back end in this process, and the proxy before it in another. */
  async function proxied(...more: string[]) {
    const folder = socketFolder();
    const [listen, connect] = [join(folder, 'front.sock'), join(folder, 'back.sock')];
    const device = new FakeDevice();
    const listener = listenUnixSocket(linux, connect);
    onTestFinished(() => listener.close());
    const served = listener.accept().then((fd) => (fd === null ? null : serveVhostUser(linux, fd, device)));
    const running = new Running(['proxy', '--listen', listen, '--connect', connect, ...more]);
    onTestFinished(() => void running.child.kill('SIGKILL'));
    await running.says(/listening/, more.includes('--json') ? 'out' : 'err');
    expect(statSync(listen).mode & 0o777).toBe(0o600);
    return { folder, listen, device, served, running };
  }

  async function session(front: VhostUserFrontEnd): Promise<number> {
    expect(await front.getFeatures()).toBe(ALL_FEATURES);
    expect(await front.getProtocolFeatures()).toBe(SERVED_PROTOCOL);
    await front.setProtocolFeatures(SERVED_PROTOCOL);
    await front.setOwner();
    await front.setFeatures(ALL_FEATURES);
    const guest = new Shared(linux, 4 * PAGE);
    await front.setMemTable([{ gpa: 0, size: 4 * PAGE, uaddr: 0x7f00_0000_0000, offset: 0, memory: guest }]);
    const called = new Promise<void>((resolve) => void front.setVringCall(1, resolve));
    await front.setVringKick(1, true);
    front.kick(1);
    await called;
    const changed = guest.bytes[PAGE]!;
    guest.close();
    return changed;
  }

  test('passes messages and descriptors on, records and judges them, and ends with the connection', async () => {
    const { folder, listen, served, running, device } = await proxied(
      '--validate',
      '--json',
      '--record',
      '/dev/null',
    );
    const front = await connectVhostUser(listen);
    expect(await session(front)).toBe(1);
    const state = Uint8Array.from({ length: 200_000 }, (_, index) => index & 0xff);
    await front.loadState(state);
    expect(Buffer.compare(device.state, state)).toBe(0);
    front.close();
    expect(await served).toMatchObject({ isClean: true });
    const { code, out } = await running.ended;
    const lines = out
      .trim()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { event: string; verdict?: string; missed?: number; schema: string },
      );
    expect(lines.every(({ schema }) => schema === 'stopcopy-proxy-1')).toBe(true);
    const events = lines.map(({ event }) => event);
    expect(events.slice(0, 2)).toEqual(['listening', 'connected']);
    expect(events.slice(-2)).toEqual(['closed', 'verdict']);
    expect(lines.at(-1)).toMatchObject({ missed: 0 });
    expect(code).toBe({ conformant: 0, violation: 1, inconclusive: 3 }[lines.at(-1)!.verdict!]);
    expect(existsSync(join(folder, 'front.sock'))).toBe(false);
  });

  test('its capture has every message with its descriptors, and is read by validate', async () => {
    const file = join(socketFolder(), 'run.ndjson');
    const { listen, served, running } = await proxied('--record', file);
    const front = await connectVhostUser(listen);
    await session(front);
    front.close();
    const { requests } = (await served)!;
    expect((await running.ended).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const lines = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as { dir?: string; hex?: string; fds?: number; closed?: string; t?: number },
      );
    expect(lines[0]).toEqual({ schema: 'stopcopy-vhost-user-1' });
    expect(lines.at(-1)).toMatchObject({ closed: 'front' });
    expect(lines.filter(({ dir }) => dir === 'f2b')).toHaveLength(requests);
    // SET_MEM_TABLE, CALL and KICK carried one each.
    expect(lines.reduce((sum, { fds = 0 }) => sum + fds, 0)).toBe(3);
    expect(Math.abs(lines[1]!.t! / 1e6 - Date.now() / 1000)).toBeLessThan(300);
    const judged = stopcopy(['validate', '--json', file]);
    expect(JSON.parse(judged.out)).toMatchObject({ inputs: [{ format: 'vhost-user-capture' }] });
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it before and within a connection', async (signal) => {
    const idle = await proxied();
    idle.running.child.kill(signal);
    expect(await idle.running.ended).toMatchObject({ code: 0 });
    expect(existsSync(idle.listen)).toBe(false);
    const busy = await proxied();
    const front = await connectVhostUser(busy.listen);
    await front.getFeatures();
    busy.running.child.kill(signal);
    expect(await busy.running.ended).toMatchObject({ code: 0, err: expect.stringMatching(/ended here/) });
    await busy.served;
    front.close();
  });

  test('the end of the back end reaches the front end', async () => {
    const { listen, device, served, running } = await proxied();
    const front = await connectVhostUser(listen);
    await front.getFeatures();
    device.refuses.set('SET_OWNER', 'EINVAL');
    await front.setOwner();
    await served;
    expect((await running.ended).err).toMatch(/closed by the back end after 2 messages/);
    await expect(front.getFeatures()).rejects.toThrow(/EPIPE/);
    front.close();
  });

  test('refuses what it cannot do in one line', async () => {
    const folder = socketFolder();
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    writeFileSync(a, 'not a socket');
    expectRefusal(stopcopy(['proxy', '--listen', a, '--connect', a]), /the same socket/);
    const refused = stopcopy(['proxy', '--listen', a, '--connect', b]);
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(/--listen .*not a socket/);
    expectRefusal(stopcopy(['proxy', '--listen', b, '--connect', a, '--record', folder]), /cannot write/);
    const running = new Running(['proxy', '--listen', b, '--connect', join(folder, 'nobody')]);
    await running.says(/listening/);
    const front = await connectVhostUser(b);
    expect(await running.ended).toMatchObject({ code: 2, err: expect.stringMatching(/--connect ENOENT/) });
    front.close();
  });

  test('leaves no descriptor open here', async () => {
    const before = openFds();
    const { listen, served, running } = await proxied();
    const front = await connectVhostUser(listen);
    await session(front);
    front.close();
    await served;
    await running.ended;
    // The listener of this test is still open.
    await vi.waitFor(() => expect(openFds()).toBeLessThanOrEqual(before + 1));
  });
});
