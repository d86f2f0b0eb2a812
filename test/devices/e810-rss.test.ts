import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VIRTCHNL_RSS_ALG } from '../../src/uapi/index.js';
import { Bench, frame, legacy, MAC, PEER } from './e810-guest.js';

describe('RSS', () => {
  /** Key and hashes of Microsoft's "Verifying the RSS Hash Calculation". */
  const KEY = Buffer.from(
    `6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa${'00'.repeat(12)}`,
    'hex',
  );
  const ip = (text: string) => text.split('.').map(Number);

  function ipv4(from: string, to: string, ports: [number, number] | null, options = 0): Uint8Array {
    const bytes = frame({ length: 80 });
    bytes.set([8, 0, 0x45 + options, 0, 0, 40, 0, 0, 0, 0, 64, ports ? 6 : 1, 0, 0], 12);
    bytes.set([...ip(from), ...ip(to)], 26);
    if (ports)
      bytes.set(
        ports.flatMap((port) => [port >> 8, port & 0xff]),
        34 + 4 * options,
      );
    return bytes;
  }

  function hashOf(bytes: Uint8Array, change: (bench: Bench) => void = () => {}): number {
    const bench = new Bench().up({ queues: 4 });
    bench.state.pf.rss.key = Uint8Array.from(KEY);
    change(bench);
    expect(bench.hardware.receive(bytes)).toBe(true);
    const queue = bench.state.rx.findIndex(({ head }) => head === 1);
    const { rss } = legacy(bench, 0, queue);
    expect(queue).toBe(bench.state.pf.rss.lut[rss % 64]);
    return rss;
  }

  it.each([
    ['66.9.149.187', '161.142.100.80', [2794, 1766], 0x51ccc178, 0x323e8fc2],
    ['199.92.111.2', '65.69.140.83', [14230, 4739], 0xc626b0ea, 0xd718262a],
    ['24.19.198.95', '12.22.207.184', [12898, 38024], 0x5c2b394a, 0xd2d0a5de],
  ] as const)('hashes %s to %s as published', (from, to, ports, withPorts, withoutPorts) => {
    expect(hashOf(ipv4(from, to, [...ports]))).toBe(withPorts);
    expect(hashOf(ipv4(from, to, [...ports], 1))).toBe(withPorts);
    expect(hashOf(ipv4(from, to, null))).toBe(withoutPorts);
  });

  it('hashes both ways of a flow alike when it is symmetric', () => {
    const symmetric = (bench: Bench) => {
      bench.state.pf.rss.hfunc = VIRTCHNL_RSS_ALG.TOEPLITZ_SYMMETRIC;
    };
    const there = ipv4('10.0.0.1', '10.0.0.2', [1000, 80]);
    const back = ipv4('10.0.0.2', '10.0.0.1', [80, 1000]);
    expect(hashOf(there, symmetric)).toBe(hashOf(back, symmetric));
    expect(hashOf(there)).not.toBe(hashOf(back));
  });

  it('hashes only the packet types that are turned on', () => {
    const off = (bench: Bench) => {
      bench.state.pf.rss.hashcfg = 0n;
    };
    expect(hashOf(ipv4('10.0.0.1', '10.0.0.2', [1000, 80]), off)).toBe(0);
  });

  it('reaches all queues, and discards for a queue that is not there', () => {
    const bench = new Bench().up({ queues: 4 });
    bench.state.pf.rss.key = Uint8Array.from(KEY);
    for (let port = 0; port < 64; port++) bench.hardware.receive(ipv4('10.0.0.1', '10.0.0.2', [port, 80]));
    expect(bench.state.rx.slice(0, 4).every(({ head }) => head > 5)).toBe(true);
    bench.state.pf.rss.lut = new Uint8Array(64).fill(200);
    expect(bench.hardware.receive(frame())).toBe(false);
    expect(bench.state.pf.stats.rx_discards).toBe(1n);
  });

  it('looks at no byte that is not there', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 90 }), fc.constantFrom(0x0800, 0x86dd, 0x8100), (tail, type) => {
        const bytes = Uint8Array.from([...MAC, ...PEER, type >> 8, type & 0xff, ...tail]);
        const bench = new Bench().up({ queues: 4 });
        bench.state.pf.rss.key = Uint8Array.from(KEY);
        return bench.hardware.receive(bytes) || bytes.length < 14;
      }),
      { numRuns: 60 },
    );
  });
});
