import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { type Channel, type Listener, TransportError } from '../../src/transport/index.js';

/** A folder of its own for each test file. Short: it holds unix sockets. */
export const FOLDER = mkdtempSync(join(tmpdir(), 'sc-'));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

let number = 0;
/** A path that nobody has used. */
export function fresh(name = 'f'): string {
  return join(FOLDER, `${name}${number++}`);
}

/** All that comes, as a copy. */
export async function all(channel: Channel): Promise<Buffer> {
  const blocks: Buffer[] = [];
  await channel.receive((block) => void blocks.push(Buffer.from(block)));
  return Buffer.concat(blocks);
}

/** The failure of something that must fail, which is one sentence of ours. */
export async function failure(work: unknown): Promise<TransportError> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    expect(error).toBeInstanceOf(TransportError);
    expect((error as Error).message).toMatch(/^[^\n]+$/);
    return error as TransportError;
  }
  return expect.fail('expected a TransportError');
}

/** Bytes that differ from place to place. */
export function pattern(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size);
  let value = seed;
  for (let at = 0; at < size; at++) {
    value = (Math.imul(value, 1664525) + 1013904223) >>> 0;
    bytes[at] = value >>> 24;
  }
  return bytes;
}

/** Both ends of a connection. */
export async function pair(
  listener: Listener,
  open: (address: Listener['address']) => Promise<Channel>,
): Promise<{ near: Channel; far: Channel }> {
  const [near, far] = await Promise.all([open(listener.address), listener.accept()]);
  return { near, far };
}

/** Waits until something holds. */
export async function until(holds: () => boolean, what: string, ms = 5000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
