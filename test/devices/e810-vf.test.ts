import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignVfState } from '../../devices/e810-vf/vf-state-copy.js';
import { arcsOf, requestedPath } from '../../src/machines/index.js';
import type { DataFd } from '../../src/uapi/index.js';
import type { MigState } from '../../src/uapi/vfio.js';
import { frame, LabGuest, LabMemory, type LabVf, newVf, portable, running, transfer } from './e810-lab.js';
import { broken, code, drain, inLab, pour, refusal, stateOf, statesToAsk, wayTo } from './lab.js';

const GENERATIONS = ['a', 'b'] as const;
const BOTH = GENERATIONS.flatMap((generation) => [
  { generation, preCopy: false },
  { generation, preCopy: true },
]);

/** The VF at its destination: the same guest memory, another host. */
function destinationOf(source: LabVf, options: Parameters<typeof newVf>[0] = {}): LabVf {
  return newVf({ name: 'vf1', ...options }, source.memory);
}

/** Traffic in both directions: every frame goes through once. */
function exchange(lab: LabVf, guest: LabGuest, first: number): void {
  const numbers = [0, 1, 2].map((index) => first + index);
  for (const number of numbers) {
    expect(lab.vf.hardware.receive(frame(number))).toBe(true);
    guest.send(0, number);
  }
  lab.vf.tick(100);
  expect(guest.received()).toEqual(numbers);
  guest.post(0, numbers.length);
  expect(lab.sent.splice(0)).toEqual(numbers);
}

describe('what a VF is', () => {
  test.each([
    ['a', 'published', 3, 131072],
    ['b', 'published', 3, 131072],
  ] as const)('generation %s, %s', async (generation, personality, flags, size) => {
    const { vf } = newVf({ generation, personality });
    expect([vf.flags, vf.dmaLogging, await vf.dataSize()]).toEqual([flags, null, BigInt(size)]);
  });

  test.each(BOTH)('generation $generation, uapi, with PRE_COPY: $preCopy', async (options) => {
    const { lab } = running({ ...options, dmaLogging: true });
    expect(lab.vf.flags).toBe(options.preCopy ? 7 : 3);
    expect(lab.vf.dmaLogging).not.toBeNull();
    const announced = await lab.vf.dataSize();
    expect(announced).toBeGreaterThan(500n);
    expect(BigInt((await stateOf(lab.vf)).length)).toBe(announced);
  });

  test('options that no VF has are refused', () => {
    expect(() => newVf({ personality: 'published', preCopy: true })).toThrow('neither PRE_COPY');
    expect(() => newVf({ personality: 'published', dmaLogging: true })).toThrow('nor DMA logging');
    expect(() => newVf({ queuePairs: 17 })).toThrow('queuePairs: expected 1 to 16, got 17');
    expect(() => newVf({ hostMac: new Uint8Array(5) })).toThrow('hostMac: expected 6 bytes');
    expect(() => newVf({ vsiId: 70000 })).toThrow('vsiId');
  });

  test('BAR 0 has registers of four bytes, and there is no other BAR', async () => {
    const { vf } = newVf();
    expect(vf.readRegion(0, 0x8800, 4)).toEqual(Uint8Array.of(2, 0, 0, 0));
    vf.writeRegion(0, 0x2004, Uint8Array.of(5, 0, 0, 0));
    expect(vf.state.rx[1]!.tail).toBe(5);
    for (const [region, offset, size] of [
      [0, 0x8800, 2],
      [0, 0x8801, 4],
      [0, -4, 4],
      [0, 2 ** 40, 4],
      [1, 0, 4],
    ] as const) {
      expect(await code(() => vf.readRegion(region, offset, size))).toBe('EINVAL');
      expect(await code(() => vf.writeRegion(region, offset, new Uint8Array(size)))).toBe('EINVAL');
    }
  });

  test('with DMA logging each page that it writes is marked', async () => {
    const { lab, guest } = running({ dmaLogging: true });
    const range = { iova: 0n, length: 0x40_0000n };
    await lab.vf.dmaLogging!.start({ pageSize: 4096n, ranges: [range] });
    lab.memory.writes.length = 0;
    exchange(lab, guest, 300);
    const report = await lab.vf.dmaLogging!.report({ ...range, pageSize: 4096n });
    const written = new Set(lab.memory.writes.map(({ iova }) => iova >> 12));
    expect(written.size).toBeGreaterThan(2);
    for (let page = 0; page < 1024; page++) expect(report.test(page), String(page)).toBe(written.has(page));
  });
});

describe.each(BOTH)('generation $generation, uapi, with PRE_COPY: $preCopy', (options) => {
  test('a guest with traffic goes on where it was, and both sides are conformant', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 30, max: 700 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 100, max: 5000 }),
        fc.nat(3),
        async (sizes, piece, rounds) => {
          const { lab, guest } = running(options);
          const other = destinationOf(lab, options);
          const source = inLab(lab.vf, 'source');
          const destination = inLab(other.vf, 'destination');
          const to = (await destination.device.setState('RESUMING'))!;
          let turn = 0;
          const send = async (from: DataFd) =>
            pour(to, await drain(from, piece), () => sizes[turn++ % sizes.length]!);
          let from: DataFd | null = null;
          if (options.preCopy) {
            from = (await source.device.setState('PRE_COPY'))!;
            expect((await from.precopyInfo()).dirty).toBe(0n);
            await send(from);
            for (let round = 0; round < rounds; round++) {
              exchange(lab, guest, 1000 + 10 * round);
              expect((await from.precopyInfo()).dirty).toBeGreaterThan(0n);
              await send(from);
            }
            expect(await from.precopyInfo()).toEqual({ initial: 0n, dirty: 0n });
            await source.device.setState('PRE_COPY_P2P');
          } else await source.device.setState('RUNNING_P2P');
          const fd = await source.device.setState('STOP_COPY');
          expect(fd === null).toBe(options.preCopy);
          from ??= fd!;
          await send(from);
          await source.device.setState('STOP');
          await destination.device.setState('STOP');
          expect(portable(other.vf.state)).toEqual(portable(lab.vf.state));
          await Promise.all([from.close(), to.close()]);
          guest.moveTo(other);
          await destination.device.setState('RUNNING');
          exchange(other, guest, 2000);
          expect(lab.sent).toEqual([]);
          expect(broken([...source.events, ...destination.events])).toEqual([]);
        },
      ),
      { numRuns: 8 },
    );
  });

  test('what was handed over before the stop is sent before, what is handed over later is sent after', async () => {
    const { lab, guest } = running(options);
    const other = destinationOf(lab, options);
    guest.send(0, 1);
    lab.vf.setState('RUNNING_P2P');
    expect(lab.sent).toEqual([1]);
    guest.send(0, 2);
    expect([lab.vf.tick(100), lab.sent]).toEqual([0, [1]]);
    await transfer(lab.vf, other.vf);
    guest.moveTo(other);
    other.vf.setState('RUNNING');
    other.vf.tick(100);
    expect([lab.sent, other.sent]).toEqual([[1], [2]]);
  });

  test('it writes no memory and sends nothing but while it runs', async () => {
    const { lab, guest } = running(options);
    const { vf, memory } = lab;
    for (const state of statesToAsk(vf.capabilities)) {
      if (state === 'RUNNING' || state === 'PRE_COPY') continue;
      for (const each of wayTo(state, vf.capabilities)) vf.setState(each);
      memory.writes.length = 0;
      lab.sent.length = 0;
      lab.interrupts.length = 0;
      guest.send(0, 7);
      guest.unmask(1);
      expect(vf.hardware.receive(frame(8))).toBe(false);
      expect(vf.hardware.sendToVf(17, 0, new Uint8Array(16))).toBe(false);
      vf.tick(100);
      expect([memory.writes, lab.sent, lab.interrupts], state).toEqual([[], [], []]);
      vf.reset();
      guest.start();
    }
  });

  test('registers that the guest writes while the VF is stopped change nothing', async () => {
    const { lab, guest } = running(options);
    lab.vf.setState('STOP');
    lab.vf.state.icr01 = 1;
    const before = structuredClone(lab.vf.state);
    guest.write(0x2000, 9);
    guest.send(0, 7);
    expect(guest.read(0x4800)).toBe(1);
    expect(lab.vf.state).toEqual(before);
  });

  test('cancelled in any state, it works on', async () => {
    for (const { from, to } of arcsOf(newVf(options).vf.capabilities)) {
      const { lab, guest } = running(options);
      const stream = await stateOf(running(options).lab.vf);
      const seen: MigState[] = ['RUNNING'];
      for (const state of [...wayTo(from, lab.vf.capabilities), to]) {
        const fd = lab.vf.setState(state);
        seen.push(state);
        if (state === 'RESUMING') await pour(fd!, stream, () => 300);
      }
      if (requestedPath(to, 'RUNNING', lab.vf.capabilities) === null) lab.vf.setState('STOP');
      lab.vf.setState('RUNNING');
      if (seen.includes('RESUMING')) continue;
      exchange(lab, guest, 40);
    }
  });

  test('an interrupt of the last packets is sent by the destination, once', async () => {
    const { lab, guest } = running(options);
    const other = destinationOf(lab, options);
    guest.unmask(1);
    guest.unmask(1);
    lab.interrupts.length = 0;
    guest.send(0, 5);
    lab.vf.setState('STOP');
    expect(lab.interrupts).toEqual([]);
    await transfer(lab.vf, other.vf);
    expect(other.interrupts).toEqual([]);
    other.vf.setState('RUNNING');
    expect([lab.interrupts, other.interrupts]).toEqual([[], [1]]);
  });

  test('an interrupt that waited for its vector waits at the destination', async () => {
    const { lab, guest } = running(options);
    const other = destinationOf(lab, options);
    lab.vf.hardware.receive(frame(1));
    expect(lab.vf.state.pending[1]).toBe(1);
    await transfer(lab.vf, other.vf);
    other.vf.setState('RUNNING');
    expect(other.interrupts).toEqual([]);
    guest.moveTo(other);
    guest.unmask(1);
    expect(other.interrupts).toEqual([1]);
  });

  test('it migrates again and again, between hosts that number their VSIs differently', async () => {
    const { lab, guest } = running(options);
    let here = lab;
    for (const [round, vsiId] of [7, 12, 300, 12].entries()) {
      const there = destinationOf(here, { ...options, vsiId });
      await transfer(here.vf, there.vf);
      expect(portable(there.vf.state)).toEqual(portable(here.vf.state));
      expect([there.vf.state.pf.vsiId, there.vf.state.pf.guestVsiId]).toEqual([vsiId, 12]);
      guest.moveTo(there);
      there.vf.setState('RUNNING');
      exchange(there, guest, 100 * (round + 1));
      expect(guest.mac('ADD_ETH_ADDR', Uint8Array.of(1, 0, 94, 0, 1, round))).toBe(0);
      expect(guest.vlan('ADD_VLAN', 10 + round)).toBe(0);
      here = there;
    }
    expect(here.vf.state.pf.macs.length).toBe(5);
  });

  test('a reset in any state gives a fresh VF that can be used and migrated', async () => {
    for (const state of statesToAsk(newVf(options).vf.capabilities)) {
      const { lab, guest } = running(options);
      const { device, events } = inLab(lab.vf);
      for (const each of wayTo(state, lab.vf.capabilities)) await device.setState(each);
      await device.reset();
      for (let round = 0; round < 4; round++) lab.vf.tick(10);
      const fresh = newVf(options).vf.state;
      const { tx, rx, pf, rstat } = lab.vf.state;
      expect({ tx, rx, rstat, pf }).toEqual({
        tx: fresh.tx,
        rx: fresh.rx,
        rstat: fresh.rstat,
        pf: { ...fresh.pf, macs: pf.macs, stats: pf.stats },
      });
      expect(await device.getState()).toBe('RUNNING');
      const again = new LabGuest(lab);
      again.start();
      lab.sent.length = 0;
      again.send(0, 1);
      lab.vf.tick(10);
      expect(lab.sent).toEqual([1]);
      await transfer(device, destinationOf(lab, options).vf);
      void guest;
      expect(broken(events)).toEqual([]);
    }
  });

  test('a VF without a driver migrates', async () => {
    const lab = newVf(options);
    const other = destinationOf(lab, options);
    await transfer(lab.vf, other.vf);
    other.vf.setState('RUNNING');
    const guest = new LabGuest(other);
    guest.start();
    exchange(other, guest, 1);
  });
});

describe('requests of the guest', () => {
  test.each(GENERATIONS)(
    'generation %s: one that was posted before the stop is answered once',
    async (generation) => {
      const memory = new LabMemory();
      const lab = newVf({ generation }, memory);
      const other = newVf({ generation, name: 'vf1' }, memory);
      const put = (vf: LabVf['vf'], offset: number, value: number) => {
        const bytes = new Uint8Array(4);
        new DataView(bytes.buffer).setUint32(0, value, true);
        vf.writeRegion(0, offset, bytes);
      };
      const [atq, arq, buffers] = [0x1000, 0x2000, 0x3000];
      const view = new DataView(memory.bytes.buffer);
      for (let slot = 0; slot < 8; slot++) {
        view.setUint16(arq + 32 * slot, 0x1200, true);
        view.setUint16(arq + 32 * slot + 4, 4096, true);
        view.setUint32(arq + 32 * slot + 28, buffers + 0x1000 * slot, true);
      }
      // VERSION 1.1, in the first descriptor of the queue to the PF.
      memory.bytes.set([1, 0, 0, 0, 1, 0, 0, 0], 0xf000);
      view.setUint16(atq, 0x1400, true);
      view.setUint16(atq + 2, 0x0801, true);
      view.setUint16(atq + 4, 8, true);
      view.setUint32(atq + 8, 1, true);
      view.setUint32(atq + 28, 0xf000, true);
      for (const [offset, value] of [
        [0x7c00, atq],
        [0x7800, 0],
        [0x6800, 0x8000_0008],
        [0x6c00, arq],
        [0x6000, 0],
        [0x8000, 0x8000_0008],
        [0x7000, 7],
        [0x5000, 2 ** 30],
        [0x5c00, 1 | (3 << 3)],
        [0x8400, 1],
      ] as const)
        put(lab.vf, offset, value);
      await transfer(lab.vf, other.vf);
      expect([memory.writes, lab.interrupts]).toEqual([[], []]);
      other.vf.setState('RUNNING');
      other.vf.tick(10);
      other.vf.tick(10);
      expect([other.vf.state.arq.head, other.interrupts, lab.interrupts]).toEqual([1, [0], []]);
      expect([view.getUint32(arq + 8, true), view.getUint32(arq + 12, true)]).toEqual([1, 0]);
      expect(other.vf.state.pf.version).toEqual({ major: 1, minor: 1 });
    },
  );
});

describe('what is refused leaves the VF as it was, and a reset makes it usable', () => {
  const options = GENERATIONS.map((generation) => ({ generation }));

  test.each(options)('generation $generation: any bytes', async ({ generation }) => {
    const streams = [...(await Promise.all(GENERATIONS.map((each) => streamOf(each, false))))];
    streams.push(...(await Promise.all(GENERATIONS.map((each) => streamOf(each, true)))));
    const { lab } = running({ generation, vsiId: 1 });
    const vf = lab.vf;
    vf.setState('STOP');
    const before = structuredClone(vf.state);
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .tuple(
          fc.constantFrom(...streams),
          fc.array(fc.tuple(fc.nat(6000), fc.nat(255)), { maxLength: 6 }),
          fc.option(fc.nat(6000)),
        )
        .map(([stream, changes, cut]) => {
          const bytes = stream.slice(0, cut ?? stream.length);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          return bytes;
        }),
    );
    await fc.assert(
      fc.asyncProperty(damaged, fc.integer({ min: 1, max: 4000 }), async (bytes, size) => {
        vf.reset();
        vf.setState('STOP');
        assignVfState(vf.state, before);
        const fd = vf.setState('RESUMING')!;
        const error =
          (await refusal(() => pour(fd, bytes, () => size))) ?? (await refusal(() => vf.setState('STOP')));
        if (error === undefined) {
          // What is accepted is a state: it can be saved, and is loaded again as it is.
          const again = newVf({ generation }).vf;
          await transfer(vf, again);
          expect(portable(again.state)).toEqual(portable(vf.state));
        } else expect(vf.state).toEqual(before);
      }),
      { numRuns: 100 },
    );
  });

  async function streamOf(generation: 'a' | 'b', preCopy: boolean): Promise<Uint8Array> {
    const { lab } = running({ generation, preCopy });
    if (!preCopy) return stateOf(lab.vf);
    const fd = lab.vf.setState('PRE_COPY')!;
    lab.vf.setState('STOP_COPY');
    return drain(fd);
  }

  test.each(options)(
    'generation $generation: a stream that is cut, in both forms',
    async ({ generation }) => {
      for (const preCopy of [false, true]) {
        const stream = await streamOf(generation, preCopy);
        const { device, model, events } = inLab(newVf({ generation }).vf);
        await device.setState('STOP');
        const before = structuredClone(model.state);
        for (let cut = 0; cut < stream.length; cut += 1 + Math.floor(stream.length / 60)) {
          const fd = (await device.setState('RESUMING'))!;
          const error =
            (await refusal(() => pour(fd, stream.subarray(0, cut), () => 500))) ??
            (await refusal(() => device.setState('STOP')));
          expect(error?.code, `${cut} of ${stream.length}`).toMatch(/^(EINVAL|ENOSPC|ENOBUFS)$/);
          expect(await device.getState()).toBe('RESUMING');
          expect(model.state).toEqual(before);
          await device.reset();
          await device.setState('STOP');
        }
        expect(broken(events)).toEqual([]);
      }
    },
  );

  test.each(options)(
    'generation $generation: after a refusal the rest can still come',
    async ({ generation }) => {
      const stream = await streamOf(generation, false);
      const { vf } = newVf({ generation });
      const fd = vf.setState('RESUMING')!;
      fd.write(stream.subarray(0, 100));
      expect(await code(() => vf.setState('RUNNING'))).toBeDefined();
      fd.write(stream.subarray(100));
      vf.setState('RUNNING');
      expect(vf.state.pf.queuesEnabled).toBe(true);
    },
  );
});
