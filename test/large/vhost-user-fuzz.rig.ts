import { expect, test } from 'vitest';
import { loadLinux } from '../../src/linux/index.js';
import { serveVhostUser } from '../../src/vhost-user/index.js';
import { openFds } from '../linux/open-fds.js';
import { FakeDevice } from '../vhost-user/fake-device.js';
import { fuzzBackEnd } from '../vhost-user/fuzz.js';
import { makePair } from '../vhost-user/pair.js';

/** Number of changed messages. */
const COUNT = Number(process.env.STOPCOPY_LARGE_MESSAGES ?? 100_000);

test.runIf(process.platform === 'linux')(
  `${COUNT} changed messages neither crash nor hang a vhost-user back end, nor leave a descriptor open`,
  { timeout: 3_600_000 },
  async () => {
    const linux = await loadLinux();
    await makePair(linux).end();
    const before = openFds();
    const begun = performance.now();
    const seed = Date.now() >>> 0;
    const connect = async () => {
      const [fd, other] = linux.socketpair();
      return { fd, ended: serveVhostUser(linux, other, new FakeDevice(), { timeoutMs: 50 }) };
    };
    const count = await fuzzBackEnd(linux, connect, COUNT, seed);
    const rate = Math.round(count.messages / ((performance.now() - begun) / 1000));
    console.log({ ...count, rate, seed });
    expect(openFds()).toBe(before);
    expect(count.replies).toBeGreaterThan(COUNT / 10);
  },
);
