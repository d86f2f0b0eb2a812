import { describe, expect, it } from 'vitest';
import {
  E810_VF_REGISTER_ARRAYS as ARRAYS,
  E810MailboxDescriptor as Descriptor,
  E810_NO_REGISTER,
  E810_MAILBOX_FLAGS as FLAGS,
  VF_MAILBOX_LEN as LEN,
  E810_VF_REGISTERS as REG,
  E810_MAILBOX_RETVAL as RETVAL,
  VIRTCHNL_OPS,
  VirtchnlVersionInfo,
} from '../../src/uapi/index.js';
import { AT, addresses, Bench, MAILBOX, VSI } from './e810-guest.js';

const VERSION = VirtchnlVersionInfo.encode({ major: 1, minor: 1 });
const UNMAPPED = 0xffff_0000;

describe('registers', () => {
  it('of the mailbox hold what is written, in the bits that they have', () => {
    const bench = new Bench();
    for (const [name, offset] of Object.entries(REG)) {
      const mask = name.includes('LEN')
        ? 0xf000_03ff
        : /VF_A[RT]Q[HT]1/.test(name)
          ? 0x3ff
          : /VF_A[RT]QBA/.test(name)
            ? 0xffff_ffff
            : undefined;
      if (mask === undefined) continue;
      bench.write(offset, 0xffff_ffff);
      expect([name, bench.read(offset)]).toEqual([name, mask]);
    }
    expect(bench.state.arq.bah).toBe(0xffff_ffff);
  });

  it('that are not there read as nothing and take nothing', () => {
    const bench = new Bench();
    const before = structuredClone(bench.state);
    for (const offset of [0x0040, 0x2040, 0x9000, 0xc400, 0xcc00, 0xd000, 0x1fffc, 1, -4]) {
      bench.write(offset, 5);
      expect([offset, bench.read(offset)]).toEqual([offset, E810_NO_REGISTER]);
    }
    bench.write(REG.VFGEN_RSTAT, 0);
    expect(bench.read(REG.VFGEN_RSTAT)).toBe(2);
    expect(bench.state).toEqual(before);
  });

  it('of tails have 13 bits, and the Tx doorbell cannot be read', () => {
    const bench = new Bench();
    bench.write(ARRAYS.QTX_TAIL1.offset + 4 * 15, 0xffff_ffff);
    bench.write(ARRAYS.QRX_TAIL1.offset + 4 * 15, 0xffff_ffff);
    expect([bench.state.tx[15]!.tail, bench.read(ARRAYS.QTX_TAIL1.offset + 60)]).toEqual([0x1fff, 0]);
    expect([bench.state.rx[15]!.tail, bench.read(ARRAYS.QRX_TAIL1.offset + 60)]).toEqual([0x1fff, 0x1fff]);
  });

  it('of interrupt throttling stand by index and vector', () => {
    const bench = new Bench();
    bench.write(ARRAYS.VFINT_ITRN1.offset + 64 * 2 + 4 * 3, 77);
    bench.write(ARRAYS.VFINT_ITR01.offset + 4, 55);
    expect([bench.state.itr[2]![4], bench.state.itr[1]![0]]).toEqual([77, 55]);
    expect(bench.read(0x2800 + 64 * 2 + 12)).toBe(77);
    expect(bench.read(0x4c04)).toBe(55);
  });
});

describe('interrupts', () => {
  const CONTROL = (vector: number) => ARRAYS.VFINT_DYN_CTLN1.offset + 4 * (vector - 1);
  /** INTENA, CLEARPBA, SWINT_TRIG, and an ITR index that changes no throttling. */
  const [ENABLE, CLEAR, TRIGGER, NO_ITR] = [1, 2, 4, 3 << 3];

  it('mask themselves, wait, and fire when they are enabled again', () => {
    const bench = new Bench();
    bench.write(CONTROL(1), ENABLE | NO_ITR);
    bench.write(CONTROL(1), ENABLE | TRIGGER | NO_ITR);
    expect([bench.interrupts, bench.read(CONTROL(1)), bench.state.pending[1]]).toEqual([[1], NO_ITR, 0]);
    bench.write(CONTROL(1), TRIGGER | NO_ITR);
    expect([bench.interrupts, bench.state.pending[1]]).toEqual([[1], 1]);
    bench.write(CONTROL(1), ENABLE | NO_ITR);
    expect([bench.interrupts, bench.state.pending[1]]).toEqual([[1, 1], 0]);
  });

  it('can be cleared while they wait', () => {
    const bench = new Bench();
    bench.write(CONTROL(2), TRIGGER | NO_ITR);
    bench.write(CONTROL(2), ENABLE | CLEAR | NO_ITR);
    expect(bench.interrupts).toEqual([]);
    expect(bench.read(CONTROL(2))).toBe(ENABLE | NO_ITR);
  });

  it('set their throttling along with the control', () => {
    const bench = new Bench();
    bench.write(CONTROL(1), ENABLE | (1 << 3) | (0x123 << 5));
    bench.write(CONTROL(1), ENABLE | NO_ITR | (0x456 << 5));
    expect(bench.state.itr.map((index) => index[1])).toEqual([0, 0x123, 0, 0]);
  });

  it('are throttled: a vector with an interval sends one message in a tick, and the rest waits for the next', () => {
    const bench = new Bench();
    const fire = (vector: number) => bench.write(CONTROL(vector), ENABLE | TRIGGER | NO_ITR);
    bench.write(ARRAYS.VFINT_ITRN1.offset + 64, 25);
    for (const vector of [1, 1, 1, 2, 2]) fire(vector);
    expect([bench.interrupts, bench.state.pending[1]]).toEqual([[1, 2, 2], 1]);
    bench.hardware.tick(1);
    expect([bench.interrupts.slice(3), bench.state.pending[1]]).toEqual([[1], 0]);
    bench.write(CONTROL(1), ENABLE | NO_ITR);
    bench.hardware.tick(1);
    fire(1);
    expect(bench.interrupts.slice(4)).toEqual([1]);
  });

  it('that wait for their interval are sent when a pause is over', () => {
    const bench = new Bench();
    bench.write(ARRAYS.VFINT_ITRN1.offset, 25);
    bench.write(CONTROL(1), ENABLE | TRIGGER | NO_ITR);
    bench.write(CONTROL(1), ENABLE | TRIGGER | NO_ITR);
    bench.hardware.paused = true;
    bench.hardware.tick(1);
    expect([bench.interrupts, bench.state.pending[1]]).toEqual([[1], 1]);
    bench.hardware.paused = false;
    expect([bench.interrupts, bench.state.pending[1]]).toEqual([[1, 1], 0]);
  });

  it('of vectors that the VF does not have go nowhere', () => {
    const bench = new Bench();
    bench.write(CONTROL(5), ENABLE | TRIGGER | NO_ITR);
    bench.write(CONTROL(64), ENABLE | TRIGGER | NO_ITR);
    expect(bench.interrupts).toEqual([]);
  });

  it('wait while the device is paused', () => {
    const bench = new Bench();
    bench.hardware.paused = true;
    bench.write(CONTROL(1), ENABLE | TRIGGER | NO_ITR);
    expect([bench.interrupts, bench.state.pending[1]]).toEqual([[], 1]);
    bench.hardware.paused = false;
    expect([bench.interrupts, bench.state.pending[1]]).toEqual([[1], 0]);
  });

  it('of the mailbox tell their cause once, and only when it is enabled', () => {
    const bench = new Bench().openMailbox();
    bench.write(REG.VFINT_DYN_CTL01, ENABLE | NO_ITR);
    bench.request('VERSION', VERSION);
    expect([bench.interrupts, bench.state.icr01]).toEqual([[], 2 ** 30]);
    bench.write(REG.VFINT_ICR0_ENA1, 2 ** 30);
    expect(bench.interrupts).toEqual([0]);
    expect([bench.read(REG.VFINT_ICR01), bench.read(REG.VFINT_ICR01)]).toEqual([2 ** 30, 0]);
    bench.write(REG.VFINT_DYN_CTL01, ENABLE | NO_ITR);
    bench.request('VERSION', VERSION);
    expect(bench.interrupts).toEqual([0, 0]);
  });
});

describe('the mailbox', () => {
  const atq = (bench: Bench, index: number) => bench.memory.at(AT.atq + index * 32, 32);
  const arq = (bench: Bench, index: number) => bench.memory.at(AT.arq + index * 32, 32);

  it('completes a descriptor of the guest and answers, byte by byte', () => {
    const bench = new Bench().openMailbox();
    bench.post(VIRTCHNL_OPS.VERSION, VERSION);
    expect(bench.hardware.tick(8)).toBe(1);
    const low = AT.atqBuffers;
    // SI, BUF, RD as sent; DD and CMP added.
    expect([...atq(bench, 0)]).toEqual([
      ...[0x03, 0x34, 0x01, 0x08, 8, 0, 0, 0],
      ...[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[0, 0, 0, 0, low & 0xff, (low >> 8) & 0xff, low >> 16, 0],
    ]);
    const answer = AT.arqBuffers;
    // DD, CMP, BUF; opcode 0x0802; length 8; the operation and its status.
    expect([...arq(bench, 0)]).toEqual([
      ...[0x03, 0x10, 0x02, 0x08, 8, 0, 0, 0],
      ...[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[0, 0, 0, 0, answer & 0xff, (answer >> 8) & 0xff, answer >> 16, 0],
    ]);
    expect([...bench.memory.at(answer, 8)]).toEqual([1, 0, 0, 0, 1, 0, 0, 0]);
    expect([bench.read(REG.VF_ATQH1), bench.read(REG.VF_ARQH1)]).toEqual([1, 1]);
    expect(bench.memory.takeWrites()).toEqual([
      { iova: AT.atq, length: 32 },
      { iova: answer, length: 8 },
      { iova: AT.arq, length: 32 },
    ]);
  });

  it('does nothing at the doorbell, and at most as much as the budget allows in a tick', () => {
    const bench = new Bench().openMailbox();
    for (let count = 0; count < 5; count++) bench.post(VIRTCHNL_OPS.VERSION, VERSION);
    expect(bench.memory.writes.length).toBe(0);
    expect([bench.hardware.tick(3), bench.hardware.tick(3), bench.hardware.tick(3)]).toEqual([3, 2, 0]);
    expect(bench.messages().length).toBe(5);
  });

  it('goes round both rings', () => {
    const bench = new Bench().openMailbox();
    for (let count = 0; count < 3 * MAILBOX; count++)
      expect(bench.request('VERSION', VERSION)).toMatchObject([{ opcode: 1, status: 0 }]);
    expect(bench.read(REG.VF_ARQLEN1)).toBe((2 ** 31 + MAILBOX) >>> 0);
  });

  it('keeps a status in two words', () => {
    const bench = new Bench().openMailbox();
    bench.post(VIRTCHNL_OPS.GET_STATS, new Uint8Array(12));
    bench.hardware.tick(1);
    expect(Descriptor.decode(arq(bench, 0))).toMatchObject({ cookie_low: 0xffff_ffc0, datalen: 0, flags: 3 });
  });

  it.each([
    ['another opcode', { opcode: 0x0003 }, RETVAL.EINVAL],
    ['a buffer that is not mapped', { addr_low: UNMAPPED }, RETVAL.EFAULT],
    ['a buffer beyond all addresses', { addr_high: 0xffff_ffff }, RETVAL.EFAULT],
    ['a buffer of more than 4096 bytes', { datalen: 4097, flags: FLAGS.BUF | FLAGS.LB }, RETVAL.E2BIG],
    ['a large buffer without LB', { datalen: 513, flags: FLAGS.BUF }, RETVAL.EINVAL],
  ])('refuses %s', (_name, over, retval) => {
    const bench = new Bench().openMailbox();
    bench.post(VIRTCHNL_OPS.VERSION, VERSION, over);
    expect(bench.hardware.tick(8)).toBe(1);
    const { flags, retval: got } = Descriptor.decode(atq(bench, 0));
    expect([flags & 7, got]).toEqual([FLAGS.DD | FLAGS.CMP | FLAGS.ERR, retval]);
    expect(bench.messages()).toEqual([]);
    expect(bench.status('VERSION', VERSION)).toBe(0);
  });

  it('takes a message of 4096 bytes, and sends one above 512 with LB', () => {
    const bench = new Bench().openMailbox();
    const got: number[] = [];
    bench.hardware.onMessage = (opcode, payload) => got.push(opcode, payload.length);
    bench.post(99, new Uint8Array(4096));
    bench.hardware.tick(1);
    expect(got).toEqual([99, 4096]);
    expect(bench.hardware.sendToVf(5, 0, new Uint8Array(513))).toBe(true);
    expect(bench.hardware.sendToVf(5, 0, new Uint8Array(512))).toBe(true);
    const flags = [0, 1].map((index) => Descriptor.decode(arq(bench, index)).flags);
    expect(flags.map((each) => each & FLAGS.LB)).toEqual([FLAGS.LB, 0]);
  });

  it('loses what has no buffer, and says OVFL', () => {
    const bench = new Bench().openMailbox();
    for (let count = 0; count < MAILBOX - 1; count++)
      expect(bench.hardware.sendToVf(9, 0, VERSION)).toBe(true);
    expect(bench.hardware.sendToVf(9, 0, VERSION)).toBe(false);
    expect(bench.read(REG.VF_ARQLEN1) & LEN.OVFL).toBe(LEN.OVFL);
    const small = new Bench().openMailbox();
    small.postMailboxBuffer(0, 7);
    expect(small.hardware.sendToVf(9, 0, VERSION)).toBe(false);
    expect([small.read(REG.VF_ARQH1), small.memory.writes.length]).toEqual([0, 0]);
    expect(small.hardware.sendToVf(9, 0, VERSION.subarray(0, 7))).toBe(true);
  });

  it.each([
    ['a ring that is not mapped', REG.VF_ATQBAL1, UNMAPPED],
    ['a ring beyond all addresses', REG.VF_ATQBAH1, 0xffff_ffff],
    ['a tail outside of the ring', REG.VF_ATQT1, MAILBOX],
    ['a head outside of the ring', REG.VF_ATQH1, 1000],
  ])('stands still at %s until its length is written', (_name, register, value) => {
    const bench = new Bench().openMailbox();
    bench.post(VIRTCHNL_OPS.VERSION, VERSION);
    bench.write(register, value);
    expect(bench.hardware.tick(8)).toBe(0);
    expect(bench.read(REG.VF_ATQLEN1) & LEN.CRIT).toBe(LEN.CRIT);
    expect([bench.hardware.tick(8), bench.memory.writes.length]).toEqual([0, 0]);
    bench.openMailbox();
    expect(bench.status('VERSION', VERSION)).toBe(0);
  });

  it.each([
    ['ring', { register: REG.VF_ARQBAL1, value: UNMAPPED }],
    ['buffer', { register: REG.VF_ARQLEN1, value: MAILBOX + LEN.ENABLE }],
  ])('says CRIT when the %s of an answer is not mapped', (what, { register, value }) => {
    const bench = new Bench().openMailbox();
    bench.write(register, value);
    if (what === 'buffer') new DataView(bench.memory.bytes.buffer).setUint32(AT.arq + 28, UNMAPPED, true);
    expect(bench.hardware.sendToVf(9, 0, VERSION)).toBe(false);
    expect(bench.read(REG.VF_ARQLEN1) & LEN.CRIT).toBe(LEN.CRIT);
    expect(bench.memory.writes).toEqual([]);
  });

  it('is off without ENABLE, and while the device is paused', () => {
    const bench = new Bench();
    bench.post(VIRTCHNL_OPS.VERSION, VERSION);
    expect([bench.hardware.tick(8), bench.hardware.sendToVf(1, 0, VERSION)]).toEqual([0, false]);
    bench.openMailbox();
    bench.post(VIRTCHNL_OPS.VERSION, VERSION);
    bench.hardware.paused = true;
    expect([bench.hardware.tick(8), bench.hardware.sendToVf(1, 0, VERSION)]).toEqual([0, false]);
    expect([bench.memory.writes.length, bench.read(REG.VF_ARQLEN1) & LEN.OVFL]).toEqual([0, 0]);
    bench.hardware.paused = false;
    expect(bench.hardware.tick(8)).toBe(1);
    expect(bench.messages().length).toBe(1);
  });

  it('goes on while the rings are stopped', () => {
    const bench = new Bench().negotiate();
    bench.hardware.drainAndStop();
    expect(bench.status('ADD_ETH_ADDR', addresses(bench.state.pf.hostMac))).toBe(0);
  });
});

describe('a reset by the guest', () => {
  it('is seen as in progress, completed, and active, one a tick', () => {
    const bench = new Bench().up({ queues: 2 });
    bench.post(VIRTCHNL_OPS.RESET_VF);
    bench.post(VIRTCHNL_OPS.VERSION, VERSION);
    const stages = Array.from({ length: 4 }, () => {
      const used = bench.hardware.tick(8);
      const seen = [bench.read(REG.VFGEN_RSTAT), bench.read(REG.VF_ARQLEN1), bench.state.pf.init, used];
      // While it is in progress no write arrives.
      bench.write(REG.VF_ARQBAL1, 0x123000);
      return [...seen, bench.read(REG.VF_ARQBAL1)];
    });
    expect(stages).toEqual([
      [0, 0, false, 1, 0],
      [1, 0, false, 0, 0x123000],
      [2, 0, true, 0, 0x123000],
      [2, 0, true, 0, 0x123000],
    ]);
    expect(bench.state.pf.active).toBe(false);
    expect(bench.state.tx.some(({ configured }) => configured)).toBe(false);
    expect(bench.negotiate().state.pf.active).toBe(true);
  });

  it('keeps a mailbox that the guest has opened as soon as it could', () => {
    const bench = new Bench().negotiate();
    bench.post(VIRTCHNL_OPS.RESET_VF);
    bench.hardware.tick(8);
    bench.hardware.tick(8);
    expect(bench.read(REG.VFGEN_RSTAT)).toBe(1);
    bench.openMailbox();
    bench.post(VIRTCHNL_OPS.VERSION, VERSION);
    bench.hardware.tick(8);
    expect(bench.messages()).toMatchObject([{ opcode: 1, status: 0 }]);
  });

  it('stands still while the device is paused, and can be ended at once', () => {
    const bench = new Bench().negotiate();
    bench.post(VIRTCHNL_OPS.RESET_VF);
    bench.hardware.tick(8);
    bench.hardware.paused = true;
    bench.hardware.tick(8);
    expect(bench.read(REG.VFGEN_RSTAT)).toBe(0);
    bench.pf.finishReset();
    expect([bench.read(REG.VFGEN_RSTAT), bench.state.pf.init, bench.state.pf.vsiId]).toEqual([2, true, VSI]);
  });
});
