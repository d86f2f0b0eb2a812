import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IavfDriver } from '../../devices/e810-vf/iavf/driver.js';
import { assignVfState, copyOfVfState } from '../../devices/e810-vf/vf-state-copy.js';
import type { GuestPci } from '../../src/migrate/index.js';
import { VIRTCHNL_OPS, VIRTCHNL_STATUS, VirtchnlSupportedRxdids } from '../../src/uapi/index.js';
import { MAC } from './e810-fixture.js';
import { CLEAN, type GuestLabOptions, guestLab } from './guest-lab.js';
import { randomNumbers } from './lab.js';
import { machineSlot } from './machine-slot.js';

const noMsix: GuestPci = {
  readConfig: () => 0,
  writeConfig: () => {},
  writeMsixTable: () => {},
};

type Lab = ReturnType<typeof guestLab>;
const PAGE = 4096;

/** A lab whose guest is up and has had some traffic. */
function running(options?: GuestLabOptions): Lab {
  const lab = guestLab(options);
  lab.bringUp();
  lab.run(40);
  return lab;
}

/** Changes what the PF sends to the VF: each message becomes the messages that `change` gives. */
function onReply(lab: Lab, change: (opcode: number) => { status?: number; payload?: Uint8Array }[] | null) {
  const { hardware } = lab;
  const send = hardware.sendToVf.bind(hardware);
  hardware.sendToVf = (opcode, status, payload) => {
    const changed = change(opcode) ?? [{}];
    for (const each of changed) send(opcode, each.status ?? status, each.payload ?? payload);
    return true;
  };
}

describe('bring-up', () => {
  it.each([1, 4, 16])('is up with %i queue pairs within 40 slices', (queuePairs) => {
    const lab = guestLab({ queuePairs });
    expect(lab.driver.isUp).toBe(false);
    expect(lab.bringUp()).toBeLessThan(40);
    expect(lab.driver.state).toBe('RUNNING');
    expect(lab.books()).toMatchObject(CLEAN);
  });

  it('asks in the order of iavf', () => {
    const lab = guestLab();
    const asked: number[] = [];
    const take = lab.pf.handleMessage.bind(lab.pf);
    lab.hardware.onMessage = (opcode, payload) => {
      asked.push(opcode);
      take(opcode, payload);
    };
    lab.run(60);
    expect(asked.slice(0, 12)).toEqual([1, 3, 44, 23, 24, 10, 6, 7, 27, 8, 12, 14]);
    const { pf, rx, tx } = lab.state;
    expect(pf.macs).toContainEqual(MAC);
    expect(pf.vlans.map(({ vid }) => vid)).toEqual([100, 101, 102]);
    expect(rx.slice(0, 4).map(({ vector }) => vector)).toEqual([1, 2, 3, 4]);
    expect(tx.slice(0, 4).every(({ enabled, itr }) => enabled && itr === 1)).toBe(true);
  });

  it('has one request under way at most, and each is answered once', () => {
    const lab = guestLab({ framesPerTick: 1, driver: { churn: 4, framesPerRun: 1 } });
    let open = 0;
    const take = lab.pf.handleMessage.bind(lab.pf);
    lab.hardware.onMessage = (opcode, payload) => {
      expect(++open).toBe(1);
      take(opcode, payload);
    };
    onReply(lab, (opcode) => {
      if (opcode !== VIRTCHNL_OPS.EVENT) open--;
      return null;
    });
    lab.run(300);
    const books = lab.books();
    expect(books).toMatchObject(CLEAN);
    expect(books.mailboxRequests).toBeGreaterThan(50);
  });

  it('refuses RAM that is too small, with the sizes', () => {
    const { slot, wire, hardware } = guestLab();
    const small = { ...slot, driverRam: { start: 0, size: 100_000 } };
    const make = () =>
      new IavfDriver({ slot: small, registers: hardware, wire, queuePairs: 4, mac: MAC, seed: 1 });
    expect(make).toThrow(/4 queue pairs needs \d+ bytes of RAM and has 100000/);
  });
});

describe('traffic', () => {
  it('loses nothing of 10000 frames, on all queues, in both directions', () => {
    const lab = guestLab({ framesPerTick: 32, driver: { framesPerRun: 32 } });
    lab.bringUp();
    while (Math.min(lab.wire.state.taken, lab.books().framesOnWire) < 10_000) lab.run(100);
    const books = lab.books();
    expect(books).toMatchObject(CLEAN);
    expect(books.framesReceived).toBe(books.framesAccepted);
    expect(lab.wire.state.fromVf.every(({ seen }) => seen > 500)).toBe(true);
    expect(lab.state.rx.slice(0, 4).every(({ head, tail }) => head !== 0 || tail !== 63)).toBe(true);
    expect(lab.wire.state.toVf.every(({ next }) => next > 100)).toBe(true);
  });

  it('works with descriptors of the legacy format', () => {
    const lab = guestLab();
    onReply(lab, (opcode) =>
      opcode === VIRTCHNL_OPS.GET_SUPPORTED_RXDIDS
        ? [{ payload: VirtchnlSupportedRxdids.encode({ supported_rxdids: 2n }) }]
        : null,
    );
    lab.bringUp();
    lab.run(300);
    expect(lab.state.rx[0]!.rxdid).toBe(1);
    expect(lab.books()).toMatchObject(CLEAN);
    expect(lab.books().framesReceived).toBeGreaterThan(1000);
  });

  it('is told of all it does by interrupts', () => {
    const lab = running();
    const told = new Set<number>();
    const handle = lab.driver.interrupt.bind(lab.driver);
    lab.driver.interrupt = (vector) => {
      told.add(vector);
      handle(vector);
    };
    lab.run(100);
    expect([...told].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(lab.books()).toMatchObject(CLEAN);
  });

  it('complains of interrupts that do not come any more, and goes on', () => {
    const lab = running();
    const before = lab.books().framesReceived;
    lab.driver.interrupt = () => {};
    lab.run(20);
    expect(lab.books()).toMatchObject({ framesReceived: before, interruptsMissed: 5, complaints: [] });
    lab.run(200);
    const { complaints, ...books } = lab.books();
    expect(complaints).toHaveLength(4);
    expect(complaints[0]).toMatch(/vector \d: missed interrupt/);
    expect(books).toMatchObject({ framesLost: 0, framesDuplicated: 0, mailboxMisanswered: 0 });
    expect(books.framesReceived).toBeGreaterThan(before + 200);
  });

  it('works through a ring that is fuller than its budget, with one interrupt', () => {
    const lab = running({ queuePairs: 1, driver: { budget: 4, ringLength: 256 } });
    lab.wire.framesPerTick = 40;
    lab.run(1);
    lab.wire.framesPerTick = 0;
    const { framesReceived } = lab.books();
    lab.run(20);
    expect(lab.books().framesReceived).toBeGreaterThan(framesReceived + 30);
    expect(lab.books().framesReceived).toBe(lab.books().framesAccepted);
    expect(lab.books()).toMatchObject(CLEAN);
  });

  it('says when the function has no MSI-X, and does not start', () => {
    const lab = guestLab({ driver: { slot: { ...machineSlot(), pci: noMsix } } });
    lab.run(50);
    expect(lab.driver.state).toBe('STARTUP');
    expect(lab.books().complaints).toEqual(['the function has no MSI-X']);
  });

  it('drops at the wire what finds no buffer, and does not call it lost', () => {
    const lab = running();
    const before = lab.books().framesDropped;
    for (let count = 0; count < 100; count++) lab.wire.tick((frame) => lab.onReceive(frame));
    expect(lab.books().framesDropped).toBeGreaterThan(before + 100);
    expect(lab.books()).toMatchObject(CLEAN);
    lab.run(50);
    expect(lab.books()).toMatchObject(CLEAN);
  });

  it('is the same for the same seed', () => {
    const [one, same, other] = [running({ seed: 5 }), running({ seed: 5 }), running({ seed: 6 })];
    expect(Buffer.compare(one.slot.ram, same.slot.ram)).toBe(0);
    expect(Buffer.compare(one.slot.ram, other.slot.ram)).not.toBe(0);
  });

  it('has right books at every moment, between any two steps', () => {
    const lab = running({ framesPerTick: 8 });
    for (let count = 0; count < 60; count++) {
      lab.wire.tick((frame) => lab.onReceive(frame));
      expect(lab.books()).toMatchObject(CLEAN);
      lab.hardware.tick(3);
      expect(lab.books()).toMatchObject(CLEAN);
      lab.slot.bus.run(lab.driver);
      expect(lab.books()).toMatchObject(CLEAN);
    }
  });
});

describe('a driver object made anew', () => {
  it('goes on over the same RAM as if nothing had been: every byte is the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffff }), (seed) => {
        const random = randomNumbers(seed);
        const options = { seed, queuePairs: 2, driver: { churn: 16 } };
        const [still, moved] = [guestLab(options), guestLab(options)];
        for (let count = 0; count < 160; count++) {
          for (const lab of [still, moved]) {
            lab.wire.tick((frame) => lab.onReceive(frame));
            if (lab === moved && random(5) === 0) lab.renew();
            lab.hardware.tick(64);
            if (lab === moved && random(5) === 0) lab.renew();
            lab.slot.bus.run(lab.driver);
          }
        }
        expect(moved.books()).toMatchObject(CLEAN);
        expect(moved.books()).toEqual(still.books());
        expect(Buffer.compare(moved.slot.ram, still.slot.ram)).toBe(0);
        expect(moved.books().framesReceived).toBeGreaterThan(300);
      }),
      { numRuns: 2 },
    );
  });

  it('writes its RAM only as a CPU does, and the device only by DMA', () => {
    const lab = running();
    const { start } = lab.slot.driverRam;
    const pages = [...lab.slot.cpuDirty, ...lab.slot.deviceDirty];
    expect(pages.every((page) => page * PAGE >= start)).toBe(true);
    const copy = new Uint8Array(lab.slot.ram.length);
    for (const page of new Set(pages))
      copy.set(lab.slot.ram.subarray(page * PAGE, (page + 1) * PAGE), page * PAGE);
    expect(Buffer.compare(lab.slot.ram, copy)).toBe(0);
  });
});

describe('damaged RAM', () => {
  it('shows, whichever page is left behind in an older copy', () => {
    const lab = running({ queuePairs: 1, driver: { churn: 2 } });
    lab.run(40);
    const old = lab.slot.ram.slice();
    lab.run(120);
    const now = {
      ram: lab.slot.ram.slice(),
      state: copyOfVfState(lab.state),
      wire: structuredClone(lab.wire.state),
    };
    const page = (ram: Uint8Array, number: number) => ram.subarray(number * PAGE, (number + 1) * PAGE);
    const changed = Array.from({ length: now.ram.length / PAGE }, (_, number) => number).filter(
      (number) => Buffer.compare(page(old, number), page(now.ram, number)) !== 0,
    );
    expect(changed.length).toBeGreaterThan(60);
    const unseen = changed.filter((number) => {
      lab.slot.ram.set(now.ram);
      lab.slot.ram.set(page(old, number), number * PAGE);
      assignVfState(lab.state, now.state);
      Object.assign(lab.wire.state, structuredClone(now.wire));
      lab.renew();
      lab.run(5);
      return lab.books().complaints.length === 0;
    });
    expect(unseen).toEqual([]);
  });

  it('does not stop a copy of all pages', () => {
    const lab = running();
    const { ram } = lab.slot;
    const copy = ram.slice();
    ram.fill(0xee);
    ram.set(copy);
    lab.renew();
    lab.run(100);
    expect(lab.books()).toMatchObject(CLEAN);
  });

  it('ends the driver when its control block is gone, with a word that stays', () => {
    const lab = running();
    const { start } = lab.slot.driverRam;
    lab.slot.ram.fill(0, start, start + PAGE);
    lab.renew();
    lab.run(50);
    expect(lab.driver.state).toBe('FAILED');
    expect(lab.driver.isUp).toBe(false);
    expect(lab.books().complaints[0]).toMatch('control block is gone');
  });

  it('never makes the driver throw or hang, whatever stands there', () => {
    const random = randomNumbers(11);
    const lab = running({ queuePairs: 2 });
    const whole = lab.slot.ram.slice();
    const { start } = lab.slot.driverRam;
    for (let round = 0; round < 30; round++) {
      lab.slot.ram.set(whole);
      for (let count = random(3000); count >= 0; count--)
        lab.slot.ram[start + random(1_200_000)] = random(256);
      lab.renew();
      lab.run(4);
      expect(lab.books().complaints.length).toBeLessThan(10);
    }
  });
});

describe('what the device loses', () => {
  /** Runs while the device does something wrong, until it has done it. */
  function withFault(install: (lab: Lab, once: () => boolean) => void, options?: GuestLabOptions) {
    const lab = running(options);
    let done = false;
    install(lab, () => {
      if (done) return false;
      done = true;
      return true;
    });
    lab.run(100);
    expect(done).toBe(true);
    return lab.books();
  }
  const ringOf = (lab: Lab, kind: 'rx' | 'tx') => lab.state[kind][0]!.base;
  const inRing = (lab: Lab, kind: 'rx' | 'tx', iova: number) =>
    iova >= ringOf(lab, kind) && iova < ringOf(lab, kind) + 64 * (kind === 'rx' ? 32 : 16);

  it('a descriptor of a received frame that is not written back is a lost frame', () => {
    const books = withFault((lab, once) => {
      lab.slot.dmaWrite = (iova) => !(inRing(lab, 'rx', iova) && once());
    });
    expect(books.framesLost).toBeGreaterThan(0);
    expect(books.complaints.join()).toMatch(/Rx queue 0: descriptor \d+ is not written back/);
  });

  it('a buffer that is not written is a wrong frame', () => {
    const books = withFault((lab, once) => {
      lab.slot.dmaWrite = (_iova, bytes) => !(bytes.length >= 60 && once());
    });
    expect(books.framesCorrupted + books.framesDuplicated).toBeGreaterThan(0);
    expect(books.framesLost + books.framesCorrupted).toBeGreaterThan(0);
  });

  it('a byte that is written wrong is a wrong frame', () => {
    const books = withFault((lab, once) => {
      lab.onReceive = (frame) => {
        const changed = frame.slice();
        if (once()) changed[changed.length - 1]! ^= 1;
        return lab.hardware.receive(changed);
      };
    });
    expect(books).toMatchObject({ framesCorrupted: 1, framesLost: 0 });
    expect(books.complaints.join()).toMatch('wrong checksum');
  });

  it('a sent frame that is not written back is a complaint', () => {
    const books = withFault((lab, once) => {
      lab.slot.dmaWrite = (iova) => !(inRing(lab, 'tx', iova) && once());
    });
    expect(books.complaints.join()).toMatch('Tx queue 0: the device has left out a frame');
  });

  it('a queue that completes nothing any more is a complaint', () => {
    const books = withFault(
      (lab, once) => {
        once();
        lab.slot.dmaWrite = (iova) => !inRing(lab, 'tx', iova);
      },
      { driver: { patience: 50 } },
    );
    expect(books.complaints.join()).toMatch('Tx queue 0: nothing is completed any more');
  });

  it('a completed frame that does not come out is lost', () => {
    const books = withFault((lab, once) => {
      lab.onTransmit = (frame) => once() || lab.wire.take(frame);
    });
    expect(books).toMatchObject({ framesLost: 1, framesDuplicated: 0, complaints: [] });
  });

  it('a frame that comes out twice is doubled, one that comes late is reordered', () => {
    const doubled = withFault((lab, once) => {
      lab.onTransmit = (frame) => {
        lab.wire.take(frame);
        if (once()) lab.wire.take(frame);
      };
    });
    expect(doubled).toMatchObject({ framesLost: 0, framesDuplicated: 1 });
    const late = withFault((lab, once) => {
      let kept: Uint8Array | null = null;
      let later = 0;
      lab.onTransmit = (frame) => {
        if (once()) kept = frame.slice();
        else lab.wire.take(frame);
        if (kept && ++later === 30) lab.wire.take(kept);
      };
    });
    expect(late).toMatchObject({ framesLost: 0, framesReordered: 1 });
  });

  it('a frame that is received twice is doubled', () => {
    const books = withFault((lab, once) => {
      lab.onReceive = (frame) => {
        const taken = lab.hardware.receive(frame);
        if (taken && once()) lab.hardware.receive(frame);
        return taken;
      };
    });
    expect(books).toMatchObject({ framesLost: 0, framesDuplicated: 1 });
  });

  it('a frame that is accepted and goes nowhere is lost', () => {
    const books = withFault((lab, once) => {
      lab.onReceive = (frame) => once() || lab.hardware.receive(frame);
    });
    expect(books.framesLost).toBe(1);
  });

  it('queues that do not run any more are a complaint, a reset is none', () => {
    const lab = running();
    for (const queue of lab.state.rx) queue.enabled = false;
    lab.run(60);
    expect(lab.books()).toMatchObject(CLEAN);
    lab.run(60);
    expect(lab.books().complaints).toContain('the VF does not take any frame');
    lab.driver.requestReset();
    for (let count = 0; count < 60; count++) {
      lab.run(1);
      if (count > 2) expect(lab.books().complaints).toEqual([]);
    }
  });

  it('settings of the VF that are gone are complaints', () => {
    const complaintsAfter = (change: (lab: Lab) => void, slices = 150) => {
      const lab = running({ queuePairs: 2 });
      change(lab);
      lab.run(slices);
      return lab.books().complaints.join('; ');
    };
    expect(complaintsAfter(({ state }) => state.pf.rss.key.fill(0x77))).toMatch(
      /flow \d+ came on queue \d before/,
    );
    expect(complaintsAfter(({ state }) => (state.pf.innerStrip = false))).toMatch('was not stripped');
    expect(complaintsAfter(({ state }) => state.pf.vlans.shift(), 400)).toMatch(
      /does not take flow 7 \(VLAN 100\)/,
    );
  });
});

describe('mailbox', () => {
  it('counts an answer that comes twice', () => {
    const lab = running();
    onReply(lab, (opcode) => (opcode === VIRTCHNL_OPS.GET_STATS ? [{}, {}] : null));
    lab.run(130);
    expect(lab.books().mailboxMisanswered).toBe(2);
    expect(lab.books().complaints.join()).toMatch('an answer to GET_STATS, for which nobody waits');
  });

  it('counts an answer that does not come, and goes on', () => {
    const lab = running({ driver: { patience: 20 } });
    let lost = 0;
    onReply(lab, (opcode) => (opcode === VIRTCHNL_OPS.GET_STATS && lost++ === 0 ? [] : null));
    lab.run(300);
    expect(lab.books().mailboxMisanswered).toBe(1);
    expect(lab.books().complaints).toEqual(['no answer to GET_STATS']);
    expect(lost).toBeGreaterThan(2);
  });

  it('counts an answer of which guest RAM shows nothing', () => {
    const lab = running({ driver: { patience: 20 } });
    const { bal } = lab.state.arq;
    lab.slot.dmaWrite = (iova) => iova < bal || iova >= bal + PAGE;
    lab.run(200);
    expect(lab.books().mailboxMisanswered).toBeGreaterThan(0);
    expect(lab.books().complaints.join()).toMatch(/received message \d+ and it is not in guest RAM/);
  });

  it('says what the PF refuses', () => {
    const lab = guestLab();
    onReply(lab, (opcode) =>
      opcode === VIRTCHNL_OPS.ADD_VLAN ? [{ status: VIRTCHNL_STATUS.ERR_NO_MEMORY }] : null,
    );
    lab.run(60);
    expect(lab.books().complaints).toContain('the PF refused ADD_VLAN: ERR_NO_MEMORY');
    expect(lab.books().mailboxMisanswered).toBe(0);
  });

  it('survives replies that are too short', () => {
    const lab = guestLab();
    onReply(lab, () => [{ payload: new Uint8Array(1) }]);
    lab.run(60);
    expect(lab.books().complaints.join()).toMatch('the reply to VERSION cannot be read');
  });
});

describe('reset', () => {
  const resets: Readonly<Record<string, (lab: Lab) => void>> = {
    'that the guest asks for': (lab) => lab.driver.requestReset(),
    'of the PF, in stages': (lab) => lab.pf.startReset(),
    'of the PF, at once': (lab) => lab.pf.resetVf(),
  };

  it.each(Object.keys(resets))('%s: the driver recovers and loses nothing', (name) => {
    const lab = running({ framesPerTick: 8 });
    for (let round = 0; round < 3; round++) {
      const before = lab.books();
      lab.wire.tick((frame) => lab.onReceive(frame));
      resets[name]!(lab);
      lab.run(80);
      expect(lab.driver.state).toBe('RUNNING');
      expect(lab.books()).toMatchObject(CLEAN);
      expect(lab.books().framesReceived).toBeGreaterThan(before.framesReceived + 100);
      expect(lab.books().framesOnWire).toBeGreaterThan(before.framesOnWire + 100);
    }
    expect(lab.state.pf.vlans.length).toBeGreaterThanOrEqual(3);
  });

  it('at any moment, with objects made anew: nothing is lost', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffff }), (seed) => {
        const random = randomNumbers(seed);
        const lab = guestLab({ seed, queuePairs: 2, driver: { churn: 16 } });
        for (let count = 0; count < 200; count++) {
          const what = random(60);
          if (what === 0) lab.driver.requestReset();
          else if (what === 1) lab.pf.startReset();
          else if (what === 2) lab.pf.resetVf();
          else if (what < 8) lab.renew();
          lab.run(1);
        }
        lab.run(100);
        expect(lab.driver.state).toBe('RUNNING');
        expect(lab.books()).toMatchObject(CLEAN);
      }),
      { numRuns: 4 },
    );
  });
});
