import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  E810_VF_REGISTER_ARRAYS as ARRAYS,
  E810MailboxDescriptor,
  E810_VF_REGISTERS as REG,
  VIRTCHNL_OPS,
} from '../../src/uapi/index.js';
import { AT, Bench, frame, MAC, MAILBOX, MEMORY, PEER, RING, RX_BUFFER } from './e810-guest.js';

const QUEUES = 2;
const ALL_CAPS = 0xffff_ffff;

const register = fc.oneof(
  fc.constantFrom(...Object.values(REG)),
  fc.nat(3).map((index) => ARRAYS.QTX_TAIL1.offset + 4 * index),
  fc.nat(3).map((index) => ARRAYS.QRX_TAIL1.offset + 4 * index),
  fc.nat(70).map((index) => ARRAYS.VFINT_DYN_CTLN1.offset + 4 * index),
  fc.nat(0x8000).map((index) => 4 * index),
);

/** Numbers as a hostile guest would choose them: small, at a boundary, or anything. */
const value = fc.oneof(
  fc.nat(70),
  fc.constantFrom(0, 0x8000_0020, 0x8000_03ff, 0xffff_ffff, AT.atq, AT.arq, MEMORY - 16),
  fc.nat(0xffff_ffff),
);

type Step =
  | { kind: 'register'; offset: number; value: number }
  | { kind: 'memory'; at: number; bytes: Uint8Array }
  | { kind: 'request'; opcode: number; payload: Uint8Array }
  | { kind: 'frame'; bytes: Uint8Array }
  | { kind: 'tick' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('register' as const), offset: register, value }),
  fc.record({
    kind: fc.constant('memory' as const),
    at: fc.oneof(
      fc.nat(MAILBOX * 32 - 1).map((at) => AT.atq + at),
      fc.nat(MAILBOX * 32 - 1).map((at) => AT.arq + at),
      fc.nat(RING * 16 - 1).map((at) => AT.tx(0) + at),
      fc.nat(RING * 32 - 1).map((at) => AT.rx(0) + at),
    ),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 32 }),
  }),
  fc.record({
    kind: fc.constant('request' as const),
    opcode: fc.oneof(fc.constantFrom(...Object.values(VIRTCHNL_OPS)), fc.nat(200)),
    payload: fc.uint8Array({ maxLength: 150 }),
  }),
  fc.record({ kind: fc.constant('frame' as const), bytes: fc.uint8Array({ maxLength: 200 }) }),
  fc.constant({ kind: 'tick' as const }),
);

function take(bench: Bench, each: Step): void {
  if (each.kind === 'register') bench.write(each.offset, each.value);
  if (each.kind === 'memory') bench.memory.put(each.at, each.bytes);
  if (each.kind === 'request') bench.post(each.opcode, each.payload);
  if (each.kind === 'frame') bench.hardware.receive(Uint8Array.from([...MAC, ...each.bytes]));
  bench.hardware.tick(16);
}

describe('a hostile guest', () => {
  it('never makes the device throw, and what it does not touch goes on', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench({ queuePairs: 4, trusted: true }).up({ queues: QUEUES, caps: ALL_CAPS });
        for (const each of steps) take(bench, each);
        for (const offset of Object.values(REG)) bench.read(offset);
        // A reset by the host brings back a VF that works.
        bench.pf.resetVf();
        bench.state.pf.macs = [];
        bench.up();
        bench.memory.takeWrites();
        return (
          bench.hardware.receive(frame({ to: bench.state.pf.deviceMac })) && bench.memory.writes.length === 2
        );
      }),
      { numRuns: 60 },
    );
  });

  it('has nothing written but to what it has posted', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        // The places of rings and buffers stay; their content, heads, tails and control bits do not.
        const places = new Set<number>([REG.VF_ATQBAL1, REG.VF_ATQBAH1, REG.VF_ARQBAL1, REG.VF_ARQBAH1]);
        const bench = new Bench({ queuePairs: 4, trusted: true }).up({ queues: QUEUES, caps: ALL_CAPS });
        const inArea = (at: number, end: number, start: number, size: number) =>
          at >= start && end <= start + size;
        bench.memory.takeWrites();
        for (const each of steps) {
          if (each.kind === 'memory' || each.kind === 'request') continue;
          if (each.kind === 'register' && places.has(each.offset)) continue;
          if (each.kind === 'register' && (each.offset === REG.VF_ATQLEN1 || each.offset === REG.VF_ARQLEN1))
            each.value = (each.value & ~0x3ff) | MAILBOX;
          take(bench, each);
        }
        return bench.memory.writes.every(({ iova, length }) => {
          const end = iova + length;
          return (
            inArea(iova, end, AT.atq, MAILBOX * 32) ||
            inArea(iova, end, AT.arq, MAILBOX * 32) ||
            inArea(iova, end, AT.arqBuffers, MAILBOX * 4096) ||
            [0, 1].some(
              (queue) =>
                inArea(iova, end, AT.tx(queue), RING * 16) ||
                inArea(iova, end, AT.rx(queue), RING * 32) ||
                inArea(iova, end, AT.rxBuffers(queue), RING * RX_BUFFER),
            )
          );
        });
      }),
      { numRuns: 60 },
    );
  });

  it('gets a frame into its buffers and descriptors, and not one byte further', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 14, max: 3000 }),
        fc.integer({ min: 1, max: 12 }).map((units) => units * 128),
        fc.nat(RING - 1),
        fc.constantFrom(1, 2),
        (length, databuffer_size, start, rxdid) => {
          const bench = new Bench().up({
            queues: 4,
            caps: ALL_CAPS & ~0x8000,
            rxq: { databuffer_size, rxdid, max_pkt_size: 3100 },
          });
          for (const queue of bench.state.rx) {
            queue.head = start;
            queue.tail = (start + RING - 1) % RING;
          }
          const before = bench.memory.bytes.slice();
          bench.memory.takeWrites();
          const taken = bench.hardware.receive(frame({ length, mark: 0xee }));
          const writes = bench.memory.takeWrites();
          const buffers = Math.ceil(length / databuffer_size);
          expect(taken).toBe(buffers <= 5);
          expect(writes.length).toBe(taken ? 2 * buffers : 0);
          for (const { iova, length: size } of writes.slice(0, buffers)) {
            expect((iova - AT.rxBuffers(0)) % RX_BUFFER).toBe(0);
            expect(size).toBeLessThanOrEqual(databuffer_size);
            before.set(bench.memory.at(iova, size), iova);
          }
          for (const { iova, length: size } of writes.slice(buffers)) {
            expect([(iova - AT.rx(0)) % 32, size]).toEqual([0, 32]);
            before.set(bench.memory.at(iova, size), iova);
          }
          expect(Buffer.compare(before, bench.memory.bytes)).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('may change a Tx ring while it is read', () => {
    const bench = new Bench().up();
    bench.doorbell(0, bench.putTx(0, 0, frame({ to: PEER, from: MAC, length: 90 }), { parts: 3 }));
    const { read } = bench.memory;
    let reads = 0;
    bench.memory.read = (iova, into) => {
      read.call(bench.memory, iova, into);
      if (++reads === 3) bench.memory.at(AT.tx(0), RING * 16).fill(0xff);
    };
    expect(bench.hardware.tick(8)).toBeGreaterThan(0);
    expect(bench.hardware.tick(8)).toBe(0);
  });

  it('cannot make the mailbox loop: one tick handles no more than the budget', () => {
    const bench = new Bench().openMailbox();
    const messages: number[] = [];
    bench.hardware.onMessage = (opcode) => {
      messages.push(opcode);
      // The guest rings anew for each message.
      bench.write(REG.VF_ATQT1, (bench.read(REG.VF_ATQH1) + 5) % MAILBOX);
    };
    for (let index = 1; index < MAILBOX; index++) bench.post(index);
    expect(bench.hardware.tick(100)).toBe(100);
    expect(E810MailboxDescriptor.decode(bench.memory.at(AT.atq, 32)).flags & 1).toBe(1);
    expect(messages.length).toBeGreaterThan(90);
  });
});
