import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { enter, newSequence } from '../../devices/e810-vf/sequence.js';
import { FRAME_SIZE, readTag, Traffic } from '../../devices/e810-vf/traffic.js';
import { rarpAnnouncement, Wire, wireDescription } from '../../devices/e810-vf/wire.js';
import { MAC } from './e810-fixture.js';
import { randomNumbers } from './lab.js';

const plan = { seed: 7, queuePairs: 2, vfMac: MAC };
const other = new Traffic({ ...plan, seed: 8 });

/** A wire, and what its peer has sent. */
function sending(framesPerTick: number, accepts: (frame: Uint8Array) => boolean = () => true) {
  const wire = new Wire({ ...plan, framesPerTick });
  const sent: Uint8Array[] = [];
  const tick = () =>
    wire.tick((frame) => {
      sent.push(frame.slice());
      return accepts(frame);
    });
  return { wire, sent, tick };
}

/** A frame of a guest. */
function frameOf(flow: number, sequence: number, traffic = new Traffic(plan)): Uint8Array {
  const into = new Uint8Array(FRAME_SIZE.most);
  return into.slice(0, traffic.build('fromVf', flow, sequence, into));
}

describe('traffic', () => {
  const traffic = new Traffic(plan);

  it('makes frames that are recognized, in both directions', () => {
    fc.assert(
      fc.property(
        fc.nat(15),
        fc.nat(0xffff_ffff),
        fc.constantFrom('toVf', 'fromVf'),
        (number, sequence, way) => {
          const flow = number % traffic.flows[way];
          const into = new Uint8Array(2048);
          const frame = into.subarray(0, traffic.build(way, flow, sequence, into));
          expect(frame.length).toBeGreaterThanOrEqual(FRAME_SIZE.least);
          expect(frame.length).toBeLessThanOrEqual(FRAME_SIZE.most);
          const queue = way === 'fromVf' ? flow >> 1 : 0;
          expect(traffic.inspect(way, frame)).toEqual({ tag: { queue, flow, sequence } });
        },
      ),
    );
  });

  it('makes frames of all sizes from the shortest to the longest', () => {
    const sizes = Array.from({ length: 400 }, (_, sequence) => traffic.sizeOf('toVf', 3, sequence));
    expect(Math.min(...sizes)).toBe(60);
    expect(Math.max(...sizes)).toBe(1514);
    expect(new Set(sizes).size).toBeGreaterThan(100);
  });

  it('sees every changed byte', () => {
    const frame = frameOf(1, 5);
    for (let at = 0; at < frame.length; at++) {
      const changed = frame.slice();
      changed[at]! ^= 0x40;
      expect(traffic.inspect('fromVf', changed).wrong, `byte ${at}`).toBeDefined();
    }
  });

  it('sees the content of another frame under a right checksum, and a frame that is cut', () => {
    expect(traffic.inspect('fromVf', frameOf(1, 5, other)).wrong).toBeDefined();
    const tagged = new Uint8Array(FRAME_SIZE.most);
    const size = traffic.build('toVf', 7, 0, tagged);
    expect(traffic.inspect('toVf', tagged.subarray(0, size - 1)).wrong).toMatch(/bytes|no frame/);
    expect(readTag('toVf', tagged.subarray(0, 30))).toBeNull();
  });

  it('has valid IPv4 headers', () => {
    const frame = frameOf(2, 9);
    let sum = 0;
    for (let at = 14; at < 34; at += 2) sum += (frame[at]! << 8) | frame[at + 1]!;
    expect((sum & 0xffff) + (sum >>> 16)).toBe(0xffff);
    expect((frame[16]! << 8) | frame[17]!).toBe(frame.length - 14);
  });
});

describe('sequence', () => {
  it('counts what is missing, doubled and late, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 60 }), (numbers) => {
        const sequence = newSequence();
        for (const number of numbers) enter(sequence, number);
        const different = new Set(numbers);
        let highest = -1;
        const late = [...different].filter((number) => {
          const first = numbers.indexOf(number);
          return numbers.slice(0, first).some((before) => before > number);
        });
        for (const number of numbers) highest = Math.max(highest, number);
        expect(sequence).toMatchObject({
          next: highest + 1,
          seen: different.size,
          duplicated: numbers.length - different.size,
          reordered: late.length,
        });
      }),
    );
  });

  it('takes a number beyond its window for a duplicate, and leaps without a trace of what was before', () => {
    const sequence = newSequence();
    for (const number of [0, 100, 69, 68]) enter(sequence, number);
    expect(sequence).toMatchObject({ next: 101, seen: 3, reordered: 1, duplicated: 1 });
    for (const number of [131, 132, 164, 133, 132]) enter(sequence, number);
    expect(sequence).toMatchObject({ next: 165, seen: 7, reordered: 2, duplicated: 2 });
  });
});

describe('wire', () => {
  it('sends the same frames for the same seed, and others for another', () => {
    const [one, same] = [sending(50), sending(50)];
    one.tick();
    same.tick();
    expect(one.sent).toEqual(same.sent);
    const wire = new Wire({ ...plan, seed: 9, framesPerTick: 50 });
    const frames: Uint8Array[] = [];
    wire.tick((frame) => frames.push(frame.slice()) > 0);
    expect(frames).not.toEqual(one.sent);
  });

  it('sends at its rate, in all flows, some of them tagged', () => {
    const { wire, sent, tick } = sending(8);
    for (let count = 0; count < 100; count++) tick();
    expect(sent).toHaveLength(800);
    expect(wire.state.toVf.every(({ next }) => next > 10)).toBe(true);
    expect(sent.some((frame) => frame[12] === 0x81 && frame[13] === 0)).toBe(true);
  });

  it('repeats a frame that the VF did not take, so what it took has no gap', () => {
    const random = randomNumbers(3);
    const taken = new Map<number, number[]>();
    const { wire, tick } = sending(40, (frame) => {
      if (random(3) === 0) return false;
      const tag = readTag('toVf', frame)!;
      taken.set(tag.flow, [...(taken.get(tag.flow) ?? []), tag.sequence]);
      return true;
    });
    for (let count = 0; count < 10; count++) tick();
    for (const [flow, numbers] of taken) {
      expect(numbers).toEqual(numbers.map((_, index) => index));
      expect(wire.state.toVf[flow]!.next).toBe(numbers.length);
    }
    expect(wire.state.taken + wire.state.dropped).toBe(400);
    expect(wire.state.dropped).toBeGreaterThan(50);
  });

  it('checks what comes out of the VF by records of its own', () => {
    const wire = new Wire(plan);
    for (const number of [0, 1, 3, 3, 2, 6]) wire.take(frameOf(1, number));
    const damaged = frameOf(1, 7);
    damaged[50]! ^= 1;
    wire.take(damaged);
    wire.take(new Uint8Array(60));
    expect(wire.state.fromVf[1]).toMatchObject({
      next: 7,
      seen: 5,
      duplicated: 1,
      reordered: 1,
      corrupted: 1,
    });
    expect(wire.state.alien).toBe(1);
  });

  it('names the flows that are shut out while others get through, and none when nothing does', () => {
    const { wire, tick } = sending(64, (frame) => !blocked || readTag('toVf', frame)!.flow !== 5);
    let blocked = false;
    for (let count = 0; count < 20; count++) tick();
    expect(wire.flowsShutOut()).toEqual([]);
    blocked = true;
    for (let count = 0; count < 20; count++) tick();
    expect(wire.flowsShutOut()).toEqual([5]);
    const dead = new Wire({ ...plan, framesPerTick: 1000 });
    dead.tick(() => true);
    dead.tick(() => false);
    expect(dead.flowsShutOut()).toEqual([]);
  });

  it('goes on where another wire stopped: its state is all of it', () => {
    const { wire, sent, tick } = sending(30);
    for (let count = 0; count < 5; count++) tick();
    const moved = sending(30);
    Object.assign(moved.wire.state, structuredClone(wire.state));
    const before = sent.length;
    tick();
    moved.tick();
    expect(moved.sent).toEqual(sent.slice(before));
    expect(moved.wire.state).toEqual(wire.state);
  });

  it('describes all of its state, in integers that fit', () => {
    const { wire, tick } = sending(30);
    tick();
    wire.take(frameOf(0, 0));
    const walk = (fields: ReturnType<typeof wireDescription>['fields'], target: Record<string, unknown>) => {
      expect(fields.map(({ name }) => name).toSorted()).toEqual(Object.keys(target).toSorted());
      for (const { name, type } of fields) {
        if (typeof type === 'object' && 'structs' in type && 'count' in type) {
          const items = target[name] as Record<string, unknown>[];
          expect(items).toHaveLength(type.count);
          for (const item of items) walk(type.structs.fields, item);
        } else {
          const value = target[name] as number;
          expect(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff, name).toBe(true);
        }
      }
    };
    walk(wireDescription(wire).fields, wire.state as unknown as Record<string, unknown>);
  });
});

describe('announcement', () => {
  it('is a RARP broadcast of 60 bytes with the MAC as source, sender and target', () => {
    const frame = rarpAnnouncement(MAC);
    const mac = Buffer.from(MAC).toString('hex');
    expect(Buffer.from(frame).toString('hex')).toBe(
      `ffffffffffff${mac}8035${'0001080006040003'}${mac}00000000${mac}00000000${'00'.repeat(18)}`,
    );
    expect(() => rarpAnnouncement(new Uint8Array(5))).toThrow('6 bytes');
  });

  it('is counted at the wire and is no frame of the traffic', () => {
    const wire = new Wire(plan);
    wire.take(rarpAnnouncement(MAC));
    expect(wire.state).toMatchObject({ announcements: 1, alien: 0 });
  });
});
