import { describe, expect, test } from 'vitest';
import {
  decodeImageA,
  decodeImageB,
  describeImageA,
  describeImageB,
  encodeImageA,
  encodeImageB,
  ImageError,
  imageASize,
  imageErrorOf,
  recordsOfImageB,
} from '../../devices/e810-vf/index.js';
import type { DataFd } from '../../src/uapi/index.js';
import { frame, LabGuest, type LabVf, MAC, newVf, portable, running, transfer } from './e810-lab.js';
import { broken, code, drain, inLab, pour, refusal, stateOf } from './lab.js';

const GENERATIONS = ['a', 'b'] as const;
const PERSONALITIES = ['published', 'uapi'] as const;
const published = (generation: 'a' | 'b') => ({ generation, personality: 'published' }) as const;
const uapi = (generation: 'a' | 'b') => ({ generation, personality: 'uapi' }) as const;

const destinationOf = (source: LabVf, options: Parameters<typeof newVf>[0]): LabVf =>
  newVf({ name: 'vf1', ...options }, source.memory);

/** Whether frames of both directions get through. */
function works({ vf, sent }: LabVf, guest: LabGuest, number = 900): { receives: boolean; sends: boolean } {
  sent.length = 0;
  const receives = vf.hardware.receive(frame(number));
  guest.send(1, number);
  vf.tick(100);
  return { receives, sends: sent.includes(number) };
}

/** Bytes into a device that is in STOP; it is in STOP again, or has refused. */
async function load(vf: LabVf['vf'], bytes: Uint8Array): Promise<DataFd> {
  const fd = vf.setState('RESUMING')!;
  await pour(fd, bytes, () => 4000);
  vf.setState('STOP');
  return fd;
}

describe('golden bytes of a fixed VF', () => {
  const rows = (described: ReturnType<typeof describeImageA>) =>
    new Map(described.rows.map(({ name, value }) => [name, value]));

  test('generation A: 128 KiB, of which total_size is by the formula', async () => {
    const { lab, guest } = running(published('a'));
    guest.vlan('ADD_VLAN', 42);
    const { vf } = lab;
    guest.unmask(2);
    const bytes = await stateOf(vf);
    expect(bytes.length).toBe(131072);
    const { error } = describeImageA(bytes);
    expect(error).toBeNull();
    const row = rows(describeImageA(bytes));
    const slots = 8 + 4 + 57 + 69 + (12 + 8) + (72 + 64 * 4) + (14 + 12 * 5) + 12 + 8;
    expect(row.get('total_size')).toBe(String(3416 + slots + 9 * 8 + 8));
    expect(imageASize(decodeImageA(bytes).messages)).toBe(3416 + slots + 80);
    expect(decodeImageA(bytes).messages.map(({ opcode }) => opcode)).toEqual([1, 3, 23, 24, 10, 6, 7, 8, 12]);
    expect([row.get('vsi_id'), row.get('num_txq'), row.get('num_rxq')]).toEqual(['12', '4', '4']);
    expect(row.get('vf_caps')).toBe(`0x${vf.state.pf.caps.toString(16)}`);
    expect(row.get('rx_tail')).toMatch(/^\[63, 63, 63, 63, 0, /);
    expect(row.get('rx_head')).toMatch(/^\[5, 0, 0, 0, 0, /);
    expect(row.get('tx_head')).toMatch(/^\[5, 5, 0, 0, 0, /);
    expect(Buffer.compare(encodeImageA(decodeImageA(bytes)), bytes)).toBe(0);
  });

  test('generation B: 796 bytes for four queue pairs, five vectors, one MAC and no VLAN', async () => {
    const { lab } = running(published('b'));
    const { state } = lab.vf;
    const before = structuredClone(state);
    const bytes = await stateOf(lab.vf);
    expect([bytes.length, await lab.vf.dataSize()]).toEqual([796, 131072n]);
    expect([...recordsOfImageB(bytes)].map(({ layout }) => layout.name)).toEqual([
      'HEADER',
      'VF_INFO',
      ...new Array(5).fill('MSIX_REGS'),
      'RSS',
      'MAC_FILTERS',
      ...new Array(4).fill('RX_QUEUE'),
      ...new Array(4).fill('TX_QUEUE'),
      'MBX_REGS',
      'STATS',
      'END',
    ]);
    const row = rows(describeImageB(bytes));
    const { pf } = before;
    for (const [name, value] of [
      ['HEADER.num_supported_tlvs', '11'],
      ['VF_INFO.dev_lan_addr', '02:1b:21:aa:bb:cc'],
      ['VF_INFO.driver_caps', `0x${pf.caps.toString(16)}`],
      ['VF_INFO.num_vf_qs', '4'],
      ['VF_INFO.num_msix', '5'],
      ['VF_INFO.virtchnl_op_max', '114'],
      ['VF_INFO.flags', 'inner_strip pf_set_mac spoofchk driver_active link_up'],
      ['MSIX_REGS[1].tx_itr_idx', '1'],
      ['MSIX_REGS[1].rx_itr_idx', '0'],
      ['RX_QUEUE[0].head', '5'],
      ['RX_QUEUE[2].dma', `0x${before.rx[2]!.base.toString(16)}`],
      ['RX_QUEUE[1].rx_buf_len', '2048'],
      ['TX_QUEUE[1].head', '5'],
      ['TX_QUEUE[1].flags', 'vector_valid ena'],
      ['STATS.rx_unicast', '5'],
      ['STATS.tx_unicast', '10'],
      ['RSS.hashcfg', `0x${pf.rss.hashcfg.toString(16)}`],
    ] as const)
      expect(row.get(name), name).toBe(value);
    // The offset of QRX_TAIL, 0x290000 + 4q, in 16 bits.
    expect([0, 1, 2, 3].map((queue) => row.get(`RX_QUEUE[${queue}].tail`))).toEqual(['0', '4', '8', '12']);
    expect(Buffer.compare(encodeImageB(decodeImageB(bytes)), bytes)).toBe(0);
  });

  test('uapi, A: the published image of the same VF, and more behind total_size', async () => {
    const theirs = await stateOf(running(published('a')).lab.vf);
    const ours = await stateOf(running(uapi('a')).lab.vf);
    const { extension, ...image } = decodeImageA(ours);
    expect(extension).toBeDefined();
    expect(image).toEqual(decodeImageA(theirs));
    expect(ours.length).toBeLessThan(6000);
  });

  test('uapi, B: the published records with the tails as they are, and more where it is needed', async () => {
    const theirs = decodeImageB(await stateOf(running({ ...published('b'), vsiId: 1 }).lab.vf));
    const { lab } = running({ ...uapi('b'), vsiId: 1 });
    lab.vf.setState('STOP');
    const plain = decodeImageB(await stateOf(lab.vf));
    expect(plain.vfState).toBeDefined();
    const { vfState: _, numSupportedTlvs, ...image } = plain;
    expect(numSupportedTlvs).toBe(13);
    const tails = image.rxQueues.map(({ tail }) => tail);
    expect(tails).toEqual([63, 63, 63, 63]);
    expect({ ...image, rxQueues: image.rxQueues.map((queue, id) => ({ ...queue, tail: 4 * id })) }).toEqual(
      (({ numSupportedTlvs: _n, ...rest }) => rest)(theirs),
    );
    lab.vf.state.pending.fill(0);
    const needless = decodeImageB((await again(lab.vf))!);
    expect([needless.numSupportedTlvs, needless.vfState, needless.queueStates]).toEqual([
      11,
      undefined,
      undefined,
    ]);
  });

  async function again(vf: LabVf['vf']): Promise<Uint8Array> {
    vf.setState('STOP');
    return stateOf(vf);
  }
});

describe('the good case of the published personalities', () => {
  test.each(GENERATIONS)('generation %s: rings go on where they stopped', async (generation) => {
    const options = published(generation);
    const { lab, guest } = running(options);
    const other = destinationOf(lab, options);
    const source = inLab(lab.vf, 'source');
    const destination = inLab(other.vf, 'destination');
    const heads = ({ tx, rx }: LabVf['vf']['state']) =>
      [tx, rx].map((queues) => queues.map(({ head }) => head));
    const before = heads(lab.vf.state);
    await transfer(source.device, destination.device);
    guest.moveTo(other);
    await destination.device.setState('RUNNING');
    expect(heads(other.vf.state)).toEqual(before);
    for (let queue = 0; queue < 4; queue++) guest.write(0x2000 + 4 * queue, 60);
    expect(works(other, guest)).toEqual({ receives: true, sends: true });
    expect(guest.received()).toEqual([900]);
    expect(broken([...source.events, ...destination.events])).toEqual([]);
  });

  test('generation A: messages of the guest go on with the VSI number of the source', async () => {
    const { lab, guest } = running(published('a'));
    const other = destinationOf(lab, { ...published('a'), vsiId: 77 });
    await transfer(lab.vf, other.vf);
    other.vf.setState('RUNNING');
    guest.moveTo(other);
    expect([other.vf.state.pf.vsiId, other.vf.state.pf.guestVsiId]).toEqual([77, 12]);
    expect(guest.vlan('ADD_VLAN', 5)).toBe(0);
    expect(other.vf.state.pf.log.map(({ opcode }) => opcode)).toEqual([1, 3, 23, 24, 10, 6, 7, 8, 12]);
  });
});

describe('defects of both published personalities', () => {
  test.each(GENERATIONS)('generation %s: a cancelled migration leaves a dead VF', async (generation) => {
    for (const state of ['RUNNING_P2P', 'STOP', 'STOP_COPY'] as const) {
      const { lab, guest } = running(published(generation));
      expect(works(lab, guest)).toEqual({ receives: true, sends: true });
      lab.vf.setState(state);
      lab.vf.setState('RUNNING');
      expect(works(lab, guest, 901)).toEqual({ receives: false, sends: false });
      expect([lab.vf.state.filtersInstalled, [...lab.vf.state.pf.deviceMac]]).toEqual([
        false,
        [0, 0, 0, 0, 0, 0],
      ]);
      lab.vf.reset();
      const fresh = new LabGuest(lab);
      fresh.start();
      expect(works(lab, fresh, 902)).toEqual({ receives: true, sends: true });
      const good = running(uapi(generation));
      good.lab.vf.setState(state);
      good.lab.vf.setState('RUNNING');
      expect(works(good.lab, good.guest, 901)).toEqual({ receives: true, sends: true });
    }
  });

  test.each(GENERATIONS)(
    'generation %s: what cannot be loaded is noticed when the VF starts',
    async (generation) => {
      const garbage = Buffer.alloc(5000, 0x5a);
      const { vf } = newVf(published(generation));
      const fd = vf.setState('RESUMING')!;
      await pour(fd, garbage, () => 700);
      expect(vf.setState('STOP')).toBeNull();
      const expected = generation === 'a' ? 'EINVAL' : 'ENOSPC';
      for (let attempt = 0; attempt < 2; attempt++) {
        expect(await code(() => vf.setState('RUNNING'))).toBe(expected);
        expect(vf.getState()).toBe('STOP');
      }
      vf.reset();
      expect(await code(() => vf.setState('STOP'))).toBeUndefined();
      expect(await code(() => vf.setState('RUNNING'))).toBeUndefined();
      const good = newVf(uapi(generation)).vf;
      const strict = good.setState('RESUMING')!;
      expect(await code(() => strict.write(garbage))).toBeDefined();
    },
  );

  test.each(GENERATIONS)(
    'generation %s: the file stays attached when RESUMING is left',
    async (generation) => {
      const stream = await stateOf(running(published(generation)).lab.vf);
      const { device, model, events } = inLab(newVf(published(generation)).vf);
      const fd = (await device.setState('RESUMING'))!;
      await fd.write(stream.slice(0, 300));
      await device.setState('STOP');
      await pour(fd, stream.slice(300), () => 9000);
      await device.setState('RUNNING');
      expect(model.state.tx[0]!.enabled).toBe(true);
      expect(await code(() => fd.write(Uint8Array.of(1)))).toBe(generation === 'a' ? 'ENODEV' : 'ENOMEM');
      expect(broken(events).join()).toContain('VFIO-SES-14');
    },
  );

  test.each(GENERATIONS)('generation %s: the mailbox goes on while the VF is stopped', (generation) => {
    const { lab } = running(published(generation));
    const { state, hardware } = lab.vf;
    Object.assign(state.arq, { bal: 0x3000, len: 0x8000_0008, head: 0, tail: 7 });
    lab.vf.setState('STOP');
    lab.memory.writes.length = 0;
    expect(hardware.sendToVf(17, 0, new Uint8Array(0))).toBe(true);
    expect(lab.memory.writes.length).toBe(1);
  });

  test('data size is 128 KiB, whatever there is', async () => {
    for (const generation of GENERATIONS)
      expect(await newVf(published(generation)).vf.dataSize()).toBe(131072n);
  });

  test('pending interrupts, and settings that no message and no record has, are lost', async () => {
    for (const generation of GENERATIONS) {
      const { lab, guest } = running({ ...published(generation), trusted: true });
      expect(guest.promisc(3)).toBe(0);
      expect(guest.hashcfg(1n << 33n)).toBe(0);
      lab.vf.hardware.receive(frame(1));
      expect(lab.vf.state.pending[1]).toBe(1);
      const other = destinationOf(lab, { ...published(generation), trusted: true });
      await transfer(lab.vf, other.vf);
      other.vf.setState('RUNNING');
      const { pf, pending } = other.vf.state;
      expect(pending[1]).toBe(0);
      expect({ promisc: pf.unicastPromisc, hashcfg: pf.rss.hashcfg, enabled: pf.queuesEnabled }).toEqual(
        generation === 'a'
          ? { promisc: true, hashcfg: newVf().vf.state.pf.rss.hashcfg, enabled: true }
          : { promisc: false, hashcfg: 1n << 33n, enabled: false },
      );
      const good = running({ ...uapi(generation), trusted: true });
      good.guest.promisc(3);
      good.guest.hashcfg(1n << 33n);
      const better = destinationOf(good.lab, { ...uapi(generation), trusted: true });
      await transfer(good.lab.vf, better.vf);
      expect(portable(better.vf.state)).toEqual(portable(good.lab.vf.state));
    }
  });
});

describe('defects of generation A as published', () => {
  test('after 1000 messages the guest is refused until a reset', () => {
    const { lab, guest } = running(published('a'));
    for (let count = lab.vf.state.pf.log.length; count < 1000; count++) guest.rssKey(count);
    expect(guest.vlan('ADD_VLAN', 9)).toBe(-18);
    expect(lab.vf.state.pf.vlans).toEqual([]);
    lab.vf.reset();
    new LabGuest(lab).start();
    expect(new LabGuest(lab).vlan('ADD_VLAN', 9)).toBe(0);
  });

  test('a log that does not fit into the file cannot be saved', async () => {
    const { lab, guest } = running(published('a'));
    for (let count = 0; count < 400; count++) expect(guest.configure(4)).toBe(0);
    guest.select('ENABLE_QUEUES', 15);
    lab.vf.setState('STOP');
    expect(await code(() => lab.vf.setState('STOP_COPY'))).toBe('ENOBUFS');
    expect(lab.vf.getState()).toBe('STOP');
  });

  test('its file takes 128 KiB and no byte more', async () => {
    const { vf } = newVf(published('a'));
    const fd = vf.setState('RESUMING')!;
    expect(fd.write(new Uint8Array(131072))).toBe(131072);
    expect(await code(() => fd.write(Uint8Array.of(0)))).toBe('ENOMEM');
  });

  test('a stream may lack its zeros; what is before them must be there', async () => {
    const stream = await stateOf(running(published('a')).lab.vf);
    const size = imageASize(decodeImageA(stream).messages);
    for (const [length, expected] of [
      [size, undefined],
      [size - 1, 'EINVAL'],
      [3415, 'EINVAL'],
    ] as const) {
      const { vf } = newVf(published('a'));
      await load(vf, stream.slice(0, length));
      expect(await code(() => vf.setState('RUNNING')), String(length)).toBe(expected);
    }
  });
});

describe('defects of generation B as published', () => {
  test('a stream that is cut loads as if it were whole', async () => {
    const { lab } = running(published('b'));
    const stream = await stateOf(lab.vf);
    const records = [...recordsOfImageB(stream)];
    for (const { offset, layout } of records.slice(2, -1)) {
      const { device, model, events } = inLab(destinationOf(lab, published('b')).vf);
      const fd = (await device.setState('RESUMING'))!;
      await pour(fd, stream.slice(0, offset), () => 100);
      await device.setState('RUNNING');
      expect(model.state.pf.active).toBe(true);
      if (layout.name === 'RX_QUEUE') expect(model.state.tx[0]!.configured).toBe(false);
      expect(broken(events)).toEqual([]);
      const strict = newVf(uapi('b')).vf;
      const to = strict.setState('RESUMING')!;
      await pour(to, stream.slice(0, offset), () => 100);
      expect(await code(() => strict.setState('STOP'))).toBe('ENOSPC');
    }
    for (const [length, expected] of [
      [0, 'EBADMSG'],
      [12, 'EINVAL'],
    ] as const) {
      const { vf } = newVf(published('b'));
      await load(vf, stream.slice(0, length));
      expect(await code(() => vf.setState('RUNNING'))).toBe(expected);
    }
  });

  test('the state is frozen when the VF leaves RUNNING, and can be saved once', async () => {
    const { lab, guest } = running(published('b'));
    lab.vf.setState('RUNNING_P2P');
    guest.write(0x2000, 60);
    const fd = lab.vf.setState('STOP_COPY')!;
    expect(decodeImageB(await drain(fd)).rxQueues[0]!.tail).toBe(0);
    lab.vf.setState('STOP');
    expect(await code(() => lab.vf.setState('STOP_COPY'))).toBe('EIO');
    lab.vf.setState('RUNNING');
    expect((await stateOf(lab.vf)).length).toBeGreaterThan(700);
  });

  test('on the way to RESUMING nothing is saved', async () => {
    const { lab } = running(published('b'));
    lab.vf.setState('RESUMING');
    lab.vf.setState('STOP');
    expect(await code(() => lab.vf.setState('STOP_COPY'))).toBe('EIO');
  });

  test('the tail of an Rx ring is the offset of a register', async () => {
    const { lab, guest } = running(published('b'));
    const other = destinationOf(lab, published('b'));
    await transfer(lab.vf, other.vf);
    other.vf.setState('RUNNING');
    expect(other.vf.state.rx.slice(0, 4).map(({ tail }) => tail)).toEqual([0, 4, 8, 12]);
    guest.moveTo(other);
    // Head 5 and tail 0 of 64: the VF uses what the guest took back.
    expect(other.vf.state.rx[0]!.head).toBe(5);
  });

  test('its file takes more than it has, and what is written later is dropped', async () => {
    const stream = await stateOf(running(published('b')).lab.vf);
    const { vf } = newVf(published('b'));
    const fd = vf.setState('RESUMING')!;
    fd.write(stream);
    for (let count = 0; count < 5; count++) expect(fd.write(new Uint8Array(100_000))).toBe(100_000);
    expect(await code(() => vf.setState('RUNNING'))).toBeUndefined();
    expect(vf.state.tx[0]!.enabled).toBe(true);
  });

  test('what was loaded before an error stays', async () => {
    const image = decodeImageB(await stateOf(running({ ...published('b'), vsiId: 1 }).lab.vf));
    image.txQueues[3]!.head = image.txQueues[3]!.count;
    const { vf } = newVf(published('b'));
    await load(vf, encodeImageB(image));
    expect(await code(() => vf.setState('RUNNING'))).toBe('EINVAL');
    const { state } = vf;
    expect([vf.getState(), state.pf.active, state.rx[3]!.enabled, state.tx[2]!.enabled]).toEqual([
      'STOP',
      true,
      true,
      true,
    ]);
    expect([state.tx[3]!.configured, state.atq.len]).toEqual([false, 0]);
  });
});

describe('an image of the other generation', () => {
  test.each(
    GENERATIONS.flatMap((generation) => PERSONALITIES.map((personality) => ({ generation, personality }))),
  )('$generation, $personality, is refused clearly', async ({ generation, personality }) => {
    const other = generation === 'a' ? 'b' : 'a';
    const expected = generation === 'a' ? 'EINVAL' : 'EPROTONOSUPPORT';
    for (const theirs of PERSONALITIES) {
      const stream = await stateOf(running({ generation: other, personality: theirs }).lab.vf);
      const { vf } = newVf({ generation, personality });
      const fd = vf.setState('RESUMING')!;
      const early = await refusal(() => fd.write(stream.slice(0, 8)));
      let error = early;
      if (personality === 'published') {
        expect(early).toBeUndefined();
        await pour(fd, stream.slice(8), () => 2000);
        vf.setState('STOP');
        error = await refusal(() => vf.setState('RUNNING'));
      }
      expect(error).toBeInstanceOf(ImageError);
      expect([error?.code, (error as ImageError).problem]).toEqual([expected, 'other-generation']);
      expect(error?.message).toContain(`image of generation ${other.toUpperCase()}`);
    }
  });
});

describe('between the personalities of a generation', () => {
  test.each(GENERATIONS)('generation %s: a published image is taken by uapi', async (generation) => {
    const { lab, guest } = running(published(generation));
    const other = destinationOf(lab, uapi(generation));
    await transfer(lab.vf, other.vf);
    guest.moveTo(other);
    other.vf.setState('RUNNING');
    guest.write(0x2000, 60);
    expect(works(other, guest)).toEqual({ receives: true, sends: true });
  });

  test('generation A: an image of uapi is taken by published', async () => {
    const { lab, guest } = running(uapi('a'));
    const other = destinationOf(lab, published('a'));
    await transfer(lab.vf, other.vf);
    guest.moveTo(other);
    other.vf.setState('RUNNING');
    expect(works(other, guest)).toEqual({ receives: true, sends: true });
  });

  test('generation B: published refuses records that it does not know', async () => {
    const { lab } = running(uapi('b'));
    const other = destinationOf(lab, published('b'));
    await transfer(lab.vf, other.vf);
    const error = await refusal(() => other.vf.setState('RUNNING'));
    expect([error?.code, (error as ImageError).problem]).toEqual(['EPROTONOSUPPORT', 'unknown-type']);
  });

  test('a VF of another size is refused while the stream arrives', async () => {
    for (const generation of GENERATIONS) {
      const stream = await stateOf(running(uapi(generation)).lab.vf);
      const { vf } = newVf({ ...uapi(generation), queuePairs: 2 });
      const fd = vf.setState('RESUMING')!;
      const error = await refusal(() => pour(fd, stream.slice(0, generation === 'a' ? 3416 : 120), () => 50));
      expect(error?.message).toMatch(/this one has (2|3)/);
      expect(
        imageErrorOf(() => {
          throw error;
        })?.problem,
      ).toBe('mismatch');
    }
  });

  test('the host of the source gives MAC and trust to the VF of the destination', async () => {
    for (const generation of GENERATIONS) {
      const mac = Uint8Array.of(2, 9, 9, 9, 9, 9);
      const { lab } = running({ ...uapi(generation), trusted: true });
      const other = destinationOf(lab, { ...uapi(generation), hostMac: mac });
      await transfer(lab.vf, other.vf);
      expect([other.vf.state.pf.hostMac, other.vf.state.pf.trusted]).toEqual([MAC, true]);
    }
  });
});
