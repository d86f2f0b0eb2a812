import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Lines } from '../../../src/target/exec/lines.js';
import {
  CALL_NAMES,
  checkAnswer,
  execProtocolJsonSchema,
  MAX_DATA,
  messageSchema,
} from '../../../src/target/exec/protocol.js';
import { HELLO } from './commands.js';

const PUBLISHED = new URL('../../../docs/schema/exec-protocol.schema.json', import.meta.url);

describe('schema of the messages', () => {
  it('is the published one (after a change: npx vitest run test/target/exec/protocol.test.ts -u)', async () => {
    await expect(`${JSON.stringify(execProtocolJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(PUBLISHED),
    );
  });

  it('has the messages of the protocol, and no others', () => {
    const validate = new Ajv2020().compile(execProtocolJsonSchema());
    const good = [
      { id: 0, call: 'hello', version: 1 },
      { id: 0, ok: HELLO },
      { id: 1, call: 'set_state', state: 'STOP_COPY' },
      { id: 1, call: 'set_state', state: 99 },
      { id: 1, ok: { data_fd: null } },
      { id: 2, error: 'EINVAL', message: 'why' },
      { event: 'dma_write', iova: '0x1000', length: 4096 },
    ];
    for (const each of good) expect(validate(each), JSON.stringify(each)).toBe(true);
    const bad = [
      { id: 0, call: 'open' },
      { id: 1, call: 'set_state', state: 'STOPPED' },
      { id: 1, ok: { data_fd: -1 } },
      { id: 2, error: 'no' },
      { id: 2 },
      {},
      [],
    ];
    for (const each of bad) expect(validate(each), JSON.stringify(each)).toBe(false);
  });

  it('has the conversation and the calls of the guide', () => {
    const guide = readFileSync(new URL('../../../docs/exec-target.md', import.meta.url), 'utf8');
    const validate = new Ajv2020().compile(execProtocolJsonSchema());
    const lines = Array.from(
      guide.matchAll(/^[<>] (.*)$|`(\{"event".*\})`/gm),
      ([, line, event]) => line ?? event,
    );
    expect(lines.length).toBeGreaterThan(8);
    for (const line of lines) expect(validate(JSON.parse(line!)), line).toBe(true);
    for (const call of CALL_NAMES) expect(guide).toContain(`\`${call}\``);
  });

  it('takes no answer for another', () => {
    expect(checkAnswer('get_state', { state: 'RUNNING' })).toEqual({ state: 'RUNNING' });
    expect(checkAnswer('get_state', { state: 'RUNNING', more: 1 })).toMatch(/more/);
    expect(checkAnswer('read', { data: 'AAA' })).toMatch(/^data: /);
    expect(checkAnswer('read', { data: 'A'.repeat((MAX_DATA * 4) / 3 + 1) })).toMatch(/^data: /);
    expect(checkAnswer('data_size', { bytes: 2 ** 60 })).toMatch(/^bytes: /);
    expect(messageSchema.safeParse({ id: 1, ok: {}, error: 'EIO' }).success).toBe(false);
  });
});

describe('lines', () => {
  const cut = (parts: readonly Uint8Array[], longest: number): string[] => {
    const lines: string[] = [];
    const cutter = new Lines(
      longest,
      (text) => lines.push(text),
      (begin) => lines.push(`${begin}...`),
    );
    for (const part of parts) cutter.push(part);
    cutter.end();
    return lines;
  };

  it('are the same however their bytes come, and end at the first that is too long', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 30 }),
        fc.array(fc.nat(8)),
        fc.integer({ min: 1, max: 6 }),
        (text, cuts, longest) => {
          const bytes = Buffer.from(text.replaceAll(/[b-h]/g, '\n'));
          const parts: Uint8Array[] = [];
          let at = 0;
          for (const size of cuts) {
            parts.push(bytes.subarray(at, at + size));
            at += size;
          }
          parts.push(bytes.subarray(at));
          const all = bytes.toString().split('\n');
          if (all.at(-1) === '') all.pop();
          const long = all.findIndex((line) => line.length > longest);
          const expected = (long < 0 ? all : all.slice(0, long)).map((line) => line.replace(/\r$/, ''));
          if (long >= 0) expected.push(`${all[long]!.slice(0, longest)}...`);
          expect(cut(parts, longest)).toEqual(expected);
        },
      ),
    );
  });
});
