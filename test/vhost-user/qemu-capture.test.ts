import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Linux, loadLinux } from '../../src/linux/index.js';
import {
  VHOST_USER_FLAGS,
  VHOST_USER_REQUESTS,
  VhostUserHeader,
  vhostUserRequest,
} from '../../src/uapi/vhost-user.js';
import { validateInputs } from '../../src/validate/index.js';
import { serveVhostUser, VhostUserConnection } from '../../src/vhost-user/index.js';
import { FakeDevice } from './fake-device.js';

/**
 * QEMU 7.2 with `-netdev vhost-user`, its guest's firmware booting from the network, and a migration by way of a file:
 * both sides as `stopcopy proxy` recorded them before `stopcopy serve --vhost-user`.
 */
const FILES = ['qemu-proxy', 'qemu-proxy-destination'].map((name) => `test/traces/vhost-user/${name}.ndjson`);

const messagesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { dir?: 'f2b' | 'b2f'; hex?: string; fds?: number })
    .flatMap(({ dir, hex, fds }) =>
      dir === undefined ? [] : [{ dir, bytes: Buffer.from(hex!, 'hex'), fds: fds! }],
    );

/** A descriptor of the kind that the request carries. */
function descriptorFor(linux: Linux, request: number): number {
  const name = vhostUserRequest(request);
  if (name === 'SET_MEM_TABLE') return linux.memfd('guest', 128 << 20);
  return name === 'SET_LOG_BASE' ? linux.memfd('log', 4096) : linux.eventfd();
}

describe.each(FILES)('what QEMU sends in %s', (file) => {
  it('is conformant', async () => {
    const { verdict, violations } = await validateInputs([{ file }]);
    expect(violations.filter(({ level }) => level !== 'note')).toEqual([]);
    expect(verdict).toBe('conformant');
  });

  it.runIf(process.platform === 'linux')('is served without a refusal, message by message', async () => {
    const linux = await loadLinux();
    const [fd, other] = linux.socketpair();
    const device = new FakeDevice();
    const ended = serveVhostUser(linux, other, device);
    const front = new VhostUserConnection(linux, fd);
    for (const { dir, bytes, fds } of messagesOf(file)) {
      const { request } = VhostUserHeader.decode(bytes);
      if (dir === 'b2f') {
        const reply = (await front.next())!;
        expect([reply.request, reply.flags]).toEqual([
          request,
          VHOST_USER_FLAGS.VERSION | VHOST_USER_FLAGS.REPLY,
        ]);
        expect(reply.bytes).toHaveLength(bytes.length);
        continue;
      }
      const own = Array.from({ length: fds }, () => descriptorFor(linux, request));
      await front.send(bytes, own);
      for (const each of own) linux.close(each);
    }
    front.close();
    expect(await ended).toMatchObject({ isClean: true, refused: 0 });
    expect(device.regions).toMatchObject([{ gpa: 0, size: 128 << 20 }]);
    const logged = messagesOf(file).some(({ bytes }) => bytes[0] === VHOST_USER_REQUESTS.SET_LOG_BASE);
    expect(device.log?.bytes.length).toBe(logged ? 4096 : undefined);
  });
});
