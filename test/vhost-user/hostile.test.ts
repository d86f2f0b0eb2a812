import { beforeAll, describe, expect, it } from 'vitest';
import { type Linux, loadLinux } from '../../src/linux/index.js';
import { DeviceError } from '../../src/uapi/device.js';
import { serveVhostUser } from '../../src/vhost-user/index.js';
import { openFds } from '../linux/open-fds.js';
import { FakeDevice } from './fake-device.js';
import { fuzzBackEnd } from './fuzz.js';
import { makePair } from './pair.js';

describe.runIf(process.platform === 'linux')('a hostile front end', () => {
  let linux: Linux;
  beforeAll(async () => {
    linux = await loadLinux();
    await makePair(linux).end();
  });

  /** A little of what `test/large/vhost-user-fuzz.rig.ts` does to a process. */
  it('neither crashes nor hangs the back end, nor leaves a descriptor open', async () => {
    const before = openFds();
    const reasons = new Map<string, number>();
    const count = await fuzzBackEnd(
      linux,
      async () => {
        const [fd, other] = linux.socketpair();
        const ended = serveVhostUser(linux, other, new FakeDevice(), {
          timeoutMs: 50,
          onRefused: (_request, error) => expect(error).toBeInstanceOf(DeviceError),
        }).then(({ reason }) => reasons.set(reason, (reasons.get(reason) ?? 0) + 1));
        return { fd, ended };
      },
      2000,
      7,
    );
    expect(openFds()).toBe(before);
    expect(count.messages).toBeGreaterThanOrEqual(2000);
    // It got far enough: much was answered, and much was refused.
    expect(count.replies - count.failures).toBeGreaterThan(300);
    expect(count.failures).toBeGreaterThan(50);
    expect(reasons.size).toBeGreaterThan(10);
  });

  it('cannot hold a session by half of a message that carries its own socket', async () => {
    const before = openFds();
    const [fd, other] = linux.socketpair();
    const ended = serveVhostUser(linux, other, new FakeDevice(), { timeoutMs: 30 });
    linux.sendmsg(fd, Uint8Array.of(1, 0, 0, 0, 1, 0), [fd]);
    linux.close(fd);
    expect(await ended).toMatchObject({
      isClean: false,
      reason: 'EPROTO: the rest of a message has not come within 0.03 s',
    });
    expect(openFds()).toBe(before);
  });
});
