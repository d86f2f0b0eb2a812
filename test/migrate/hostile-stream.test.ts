import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { parametersOf } from '../../src/cli/migrate/machine.js';
import { DestinationMigration } from '../../src/migrate/destination.js';
import { SourceMigration } from '../../src/migrate/source.js';
import { DIGEST_SECTION } from '../../src/stream/digest-section.js';
import { type FakeChannel, fakeChannels, replay } from './fake-channel.js';
import { Host } from './two-sides.js';

const TIMEOUT = 60_000;
const OPTIONS = ['--ram', '26M', '--working-set', '64K', '--device', 'e810-vf?queues=1', '--precopy'];

/** A stream that was loaded once. */
let good: Buffer;
/** Where the checksum ends that covers all before it. */
let covered: number;

async function load(channel: FakeChannel) {
  const host = await Host.make('destination', OPTIONS);
  let ran = false;
  host.vm.onRunning = () => {
    ran = true;
  };
  try {
    const parameters = parametersOf(host.flags);
    const migration = new DestinationMigration({ vm: host.vm, channel, multifd: null, parameters });
    const outcome = await migration.run();
    const states = await Promise.all(host.vm.devices.map(({ machine }) => machine.device.getState()));
    return { ...outcome, ran, running: host.vm.running, states };
  } finally {
    host.vm.dispose();
  }
}

beforeAll(async () => {
  const source = await Host.make('source', OPTIONS);
  const [near, far] = fakeChannels();
  const sent: Buffer[] = [];
  near.onWrite = (bytes) => sent.push(Buffer.from(bytes));
  try {
    await source.boot();
    const loading = load(far);
    const parameters = { ...parametersOf(source.flags), answerTimeout: 3000 };
    const { vm } = source;
    const migration = new SourceMigration({
      vm,
      channel: near,
      multifd: null,
      parameters,
      write: near.write,
    });
    const running = migration.run();
    expect(await loading).toMatchObject({ outcome: 'completed', running: true });
    near.destroy();
    await running;
  } finally {
    source.vm.dispose();
  }
  good = Buffer.concat(sent);
  // Behind the name: instance, version, checksum.
  covered = good.indexOf(DIGEST_SECTION.idstr) + DIGEST_SECTION.idstr.length + 12;
}, TIMEOUT);

/** Places where something is decided come more often than pages. */
const place = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 1200 }) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 2500 }).map((back) => covered - back) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 0, max: 0xffff }).map((part) => Math.floor((part / 0x10000) * covered)),
  },
);

type Change = (bytes: Buffer, at: number, size: number, noise: Uint8Array) => Buffer;
const CHANGES: Record<string, Change> = {
  'a byte': (bytes, at, _size, noise) => {
    const changed = Buffer.from(bytes);
    changed[at]! ^= noise[0]! & 0xff || 1;
    return changed;
  },
  'other bytes': (bytes, at, _size, noise) =>
    Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at + noise.length)]),
  'more bytes': (bytes, at, _size, noise) =>
    Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]),
  'fewer bytes': (bytes, at, size) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]),
  'bytes twice': (bytes, at, size) =>
    Buffer.concat([bytes.subarray(0, at + size), bytes.subarray(at, at + size), bytes.subarray(at + size)]),
  'an end': (bytes, at) => bytes.subarray(0, at),
};

describe('a stream that was damaged on the way', () => {
  test('the good one is loaded, however it is cut', { timeout: TIMEOUT }, async () => {
    for (const piece of [777, 65536]) {
      const { outcome, error, ran } = await load(replay(good, piece));
      expect({ outcome, error, ran }).toEqual({ outcome: 'completed', error: null, ran: true });
    }
  });

  test('never starts the VM, and it is said why', { timeout: TIMEOUT }, async () => {
    const noise = fc.uint8Array({ minLength: 1, maxLength: 12 });
    const change = fc.constantFrom(...Object.keys(CHANGES));
    await fc.assert(
      fc.asyncProperty(
        change,
        place,
        fc.integer({ min: 1, max: 40 }),
        noise,
        async (name, at, size, bytes) => {
          const changed = CHANGES[name]!(good, at, size, bytes);
          // What was doubled or replaced by itself is the good stream.
          fc.pre(Buffer.compare(changed, good) !== 0);
          const { outcome, error, ran, running, states } = await load(replay(changed));
          expect({ outcome, ran, running }, error ?? '').toEqual({
            outcome: 'failed',
            ran: false,
            running: false,
          });
          expect(error!.length).toBeGreaterThan(10);
          expect(error).not.toMatch(
            /undefined|is not a function|Cannot|Unexpected|Invalid array|does not take/,
          );
          expect(states).not.toContain('RESUMING');
        },
      ),
      { numRuns: 40, seed: 11 },
    );
  });
});

describe('the end of the stream', () => {
  test('may lack the vmdescription, and nothing before it', { timeout: TIMEOUT }, async () => {
    // The rest of the digest is the number of channels and the footer; then comes the end.
    const end = covered + 4 + 5 + 1;
    for (const length of [good.length, good.length - 1, end, end - 1, end - 6, covered]) {
      const { outcome, running, error } = await load(replay(good.subarray(0, length)));
      const whole = length === good.length || length === end;
      expect([length, outcome, running], error ?? '').toEqual([
        length,
        whole ? 'completed' : 'failed',
        whole,
      ]);
      if (!whole) expect(error).toMatch(/ends/);
    }
  });
});

describe('what is no stream at all', () => {
  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['zeros', new Uint8Array(5000)],
    ['text', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a QEMU stream without requirements', Buffer.from('5145564d00000003010000000200000003', 'hex')],
  ])('%s', async (_name, bytes) => {
    const { outcome, error, ran } = await load(replay(bytes));
    expect([outcome, ran]).toEqual(['failed', false]);
    expect(error).toMatch(/expected|ends|without/);
  });
});
