import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parametersOf } from '../../src/cli/migrate/machine.js';
import type { DestinationReport } from '../../src/migrate/report.js';
import {
  encodeReturnMessage,
  type ReturnMessage,
  ReturnPathError,
  ReturnPathReader,
} from '../../src/migrate/return-path.js';
import { SourceMigration } from '../../src/migrate/source.js';
import { FakeChannel } from './fake-channel.js';
import { Host } from './two-sides.js';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const message: fc.Arbitrary<ReturnMessage> = fc.oneof(
  fc.record({ type: fc.constantFrom('SHUT' as const, 'PONG' as const), value: u32 }),
  fc.record({
    type: fc.constant('REQ_PAGES' as const),
    start: fc.nat({ max: 2 ** 40 }),
    length: u32,
    block: fc.option(fc.string({ unit: 'binary-ascii', maxLength: 255 })),
  }),
  fc.constant({ type: 'SWITCHOVER_ACK' as const }),
  fc.record({
    type: fc.constantFrom('CHECKS' as const, 'REPORT' as const),
    text: fc.string({ unit: 'binary' }),
  }),
);

/** Messages of bytes that arrive in pieces; what went wrong, if anything. */
function read(bytes: Uint8Array, sizes: readonly number[]) {
  const messages: ReturnMessage[] = [];
  const reader = new ReturnPathReader((each) => messages.push(each));
  let error: unknown = null;
  try {
    for (let at = 0, piece = 0; at < bytes.length; piece++) {
      const size = sizes[piece % sizes.length]!;
      reader.write(bytes.subarray(at, at + size));
      at += size;
    }
  } catch (thrown) {
    error = thrown;
  }
  return { messages, error };
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

describe('the return path', () => {
  test('is read as it was written, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), sizes, (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(encodeReturnMessage));
        expect(read(bytes, cuts)).toEqual({ messages: sent, error: null });
      }),
    );
  });

  test('of any bytes gives messages, or says what is wrong', () => {
    const noise = fc.uint8Array({ maxLength: 80 });
    const framed = fc
      .tuple(fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constantFrom(0x5343, 0x5344)), noise)
      .map(([type, payload]) =>
        Buffer.concat([Buffer.from([type >> 8, type & 255, 0, payload.length]), payload]),
      );
    fc.assert(
      fc.property(fc.oneof(noise, framed), sizes, (bytes, cuts) => {
        const { error } = read(bytes, cuts);
        if (error === null) return;
        expect(error).toBeInstanceOf(ReturnPathError);
        expect((error as Error).message).toMatch(
          /^a message of type \d+ with \d+ bytes$|^no message has type \d+$/,
        );
      }),
      { numRuns: 500 },
    );
  });

  test('takes no report that is too long for a message', () => {
    const text = 'x'.repeat(0x10000);
    expect(() => encodeReturnMessage({ type: 'REPORT', text })).toThrow('at most 65535 fit');
  });
});

describe('a destination that answers what it should not', () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.make('source', ['--device', 'uart', '--ram', '26M', '--working-set', '64K']);
    await host.boot();
  });
  afterAll(() => host.vm.dispose());

  /** A migration of the VM, in which the destination has said these things before anything else. */
  async function answered(...messages: (ReturnMessage | Uint8Array)[]) {
    const channel = new FakeChannel();
    for (const each of messages)
      void channel.deliver(each instanceof Uint8Array ? each : encodeReturnMessage(each));
    const parameters = { ...parametersOf(host.flags), answerTimeout: 80 };
    const { vm } = host;
    const migration = new SourceMigration({ vm, channel, multifd: null, parameters, write: channel.write });
    return migration.run();
  }

  const PONG: ReturnMessage = { type: 'PONG', value: 1 };
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  const report = (value: unknown): ReturnMessage => ({ type: 'REPORT', text: text(value) });
  const REPORT: DestinationReport = { ramDigest: null, error: 'no room', devices: [], complaints: [] };

  test.each<[string, RegExp, (ReturnMessage | Uint8Array)[]]>([
    ['nothing', /did not answer within 0.08 s \(PONG 1\)/, []],
    ['another PONG', /did not answer/, [{ type: 'PONG', value: 2 }]],
    ['noise', /^a message of type|^no message has type/, [Buffer.from('ffff000100', 'hex')]],
    ['a refusal', /^the destination has failed: error 22$/, [{ type: 'SHUT', value: 22 }]],
    ['a refusal with its reason', /has failed: no room$/, [report(REPORT), { type: 'SHUT', value: 22 }]],
    ['a refusal in the middle', /has failed: error 5$/, [PONG, { type: 'SHUT', value: 5 }]],
    ['a report that is no JSON', /a report that cannot be read$/, [PONG, report('{')]],
    ['a report of nothing', /a report that cannot be read$/, [PONG, report('null')]],
    ['a report without devices', /a report that cannot be read$/, [PONG, report({})]],
    ['a report of a device that is none', /cannot be read$/, [PONG, report({ ...REPORT, devices: [null] })]],
    [
      'a report with books that are none',
      /cannot be read$/,
      [
        PONG,
        report({ ...REPORT, devices: [{ name: 'x', digest: null, works: true, books: { complaints: [] } }] }),
      ],
    ],
    [
      'prerequisites that are none',
      /prerequisites that cannot be read$/,
      [PONG, { type: 'CHECKS', text: '[1]' }],
    ],
    ['an acknowledgement', /ACK pending num underflowed$/, [PONG, { type: 'SWITCHOVER_ACK' }]],
    [
      'page requests',
      /asks for pages outside post-copy$/,
      [PONG, { type: 'REQ_PAGES', start: 0, length: 1, block: null }],
    ],
  ])('%s: the migration fails, and the VM runs on', async (_name, words, messages) => {
    const result = await answered(...messages);
    expect(result).toMatchObject({ outcome: 'failed', running: 'source' });
    expect(result.error).toMatch(words);
    expect([host.vm.running, host.vm.devices[0]!.state]).toEqual([true, 'RUNNING']);
  });

  test('whatever it is, the source ends, and runs the VM unless it was given away', {
    timeout: 30_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(message, fc.uint8Array({ maxLength: 9 })), { maxLength: 5 }),
        async (said) => {
          const tame = said.filter(
            (each) => each instanceof Uint8Array || each.type !== 'SHUT' || each.value !== 0,
          );
          const { outcome, running } = await answered(PONG, ...tame);
          // A destination that keeps silent after the last byte: nobody knows.
          if (outcome !== 'ambiguous') expect([outcome, running]).toEqual(['failed', 'source']);
          else expect(running).toBe('none');
          if (outcome === 'ambiguous') {
            host.vm.dispose();
            host = await Host.make('source', ['--device', 'uart', '--ram', '26M', '--working-set', '64K']);
            await host.boot();
          }
        },
      ),
      { numRuns: 12, seed: 5 },
    );
  });
});
