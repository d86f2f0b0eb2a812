import { describe, expect, test } from 'vitest';
import type { TraceEvent } from '../../src/trace/event.js';
import { Host, judged, migrate, type Result } from './two-sides.js';

const TIMEOUT = 60_000;
const HOPS = 3;

/** A VM that goes from host to host; every host but the last is a destination and then a source. */
async function chain(
  options: readonly string[],
  ofHost: (host: number) => readonly string[] = () => [],
): Promise<{ results: Result[]; events: TraceEvent[] }> {
  const hosts: Host[] = [];
  try {
    const add = async () => {
      const index = hosts.length;
      const side = index === 0 ? 'source' : 'destination';
      hosts.push(await Host.make(side, [...options, ...ofHost(index)], `host ${index}`));
      return hosts[index]!;
    };
    let from = await add();
    await from.boot();
    const results: Result[] = [];
    for (let hop = 0; hop < HOPS; hop++) {
      const to = await add();
      results.push(await migrate(from, to));
      from = to;
    }
    const events = hosts.flatMap((host) => host.events).sort((a, b) => (a.t ?? 0) - (b.t ?? 0));
    return { results, events };
  } finally {
    for (const { vm } of hosts) vm.dispose();
  }
}

/** Each host has a VSI number of its own for the VF, as older PF drivers have it; the second hop leads back. */
const otherVsi = (host: number) => ['--device', `e810-vf?vsi=${[11, 14, 11, 30][host]}`];

describe('a VM that is migrated three times', () => {
  test.each<[string, readonly string[], ((host: number) => readonly string[])?]>([
    ['generation A, every host with another VSI number', ['--generation', 'a'], otherVsi],
    ['generation A with PRE_COPY', ['--generation', 'a', '--precopy'], otherVsi],
    ['generation B', ['--generation', 'b']],
    ['generation B with PRE_COPY and DMA logging', ['--precopy', '--device-dirty', 'dma-logging']],
  ])('%s', { timeout: TIMEOUT }, async (_name, options, ofHost) => {
    const { results, events } = await chain(options, ofHost);
    let received = 0;
    for (const [hop, { report, destination }] of results.entries()) {
      expect(report, `hop ${hop}`).toMatchObject({
        ...{ outcome: 'completed', running: 'destination', error: null },
        ...{ memoryEqual: true, deviceStateEqual: true, framesLost: 0, framesDuplicated: 0 },
      });
      expect(destination.report.complaints).toEqual([]);
      const { books, works } = destination.report.devices[0]!;
      expect(works).toBe(true);
      expect(books).toMatchObject({ framesCorrupted: 0, framesReordered: 0, mailboxMisanswered: 0 });
      // The books go with the guest.
      expect(books!.framesReceived).toBeGreaterThan(received);
      received = books!.framesReceived;
    }
    expect(judged(events)).toMatchObject({ verdict: 'conformant', broken: [] });
  });

  test('generation A as published, every host with another VSI number', { timeout: TIMEOUT }, async () => {
    const { results, events } = await chain(['--generation', 'a', '--personality', 'published'], otherVsi);
    for (const { report, destination } of results) {
      expect(report).toMatchObject({ outcome: 'completed', memoryEqual: true, framesLost: 0 });
      expect(destination.report.complaints).toEqual([]);
    }
    expect(judged(events)).toMatchObject({ verdict: 'conformant', broken: [] });
  });

  /** What its Rx tails do to the traffic depends on where the rings were, so only the migration is judged. */
  test('generation B as published', { timeout: TIMEOUT }, async () => {
    const { results } = await chain(['--generation', 'b', '--personality', 'published']);
    for (const { report } of results)
      expect(report).toMatchObject({ outcome: 'completed', running: 'destination', memoryEqual: true });
  });
});
