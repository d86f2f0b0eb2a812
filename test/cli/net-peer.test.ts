import { describe, expect, it } from 'vitest';
import { NetPeer } from '../../src/cli/serve/net-peer.js';
import { numbers } from '../vfio-user/fuzz.js';
import { arpRequest, GUEST, ipv4, OTHER_IP, PEER, PEER_IP, ping, sumOf, udp } from '../vhost-user/frames.js';

const peer = () => new NetPeer({ mac: PEER, ip: PEER_IP });

describe('the host at the other end of the wire', () => {
  const answer = (frame: Uint8Array): Buffer | null => {
    const it = peer();
    it.transmit(frame);
    const found = it.waiting();
    return found === null ? null : Buffer.from(found);
  };

  it('answers ARP for its own address alone', () => {
    const reply = answer(arpRequest(PEER_IP))!;
    expect(reply.subarray(0, 6)).toEqual(GUEST);
    expect(reply.subarray(6, 12)).toEqual(PEER);
    expect(reply.readUInt16BE(20)).toBe(2);
    expect(reply.subarray(22, 28)).toEqual(PEER);
    expect(reply.subarray(28, 32)).toEqual(PEER_IP);
    expect(answer(arpRequest(OTHER_IP))).toBeNull();
  });

  it('answers a ping with the same content, and checksums that hold', () => {
    for (const size of [0, 1, 56, 1000, 1472]) {
      const content = Buffer.from(Array.from({ length: size }, (_, index) => (index * 3) & 0xff));
      const reply = answer(ping(content))!;
      const length = reply.readUInt16BE(16);
      const packet = reply.subarray(14, 14 + length);
      expect(sumOf(packet.subarray(0, 20))).toBe(0xffff);
      expect(sumOf(packet.subarray(20))).toBe(0xffff);
      expect(packet[20]).toBe(0);
      expect(packet.subarray(12, 16)).toEqual(PEER_IP);
      expect(packet.subarray(28)).toEqual(content);
    }
  });

  it('sends datagrams back to the port they came from', () => {
    const reply = answer(udp(5000, 7, Buffer.from('hello')))!;
    expect([reply.readUInt16BE(34), reply.readUInt16BE(36)]).toEqual([7, 5000]);
    expect(reply.subarray(42, 47).toString()).toBe('hello');
  });

  it('has no answer for what is cut, part of a datagram, or for somebody else', () => {
    const whole = ping(Buffer.alloc(20));
    for (let size = 0; size < whole.length; size++) expect(answer(whole.subarray(0, size))).toBeNull();
    const part = Buffer.from(whole);
    part.writeUInt16BE(0x2000, 20);
    expect(answer(part)).toBeNull();
    expect(answer(ipv4(1, Buffer.from([8, 0, 0, 0, 0, 0, 0, 0]), OTHER_IP))).toBeNull();
    expect(answer(ipv4(17, Buffer.alloc(8)))).toBeNull();
    expect(answer(Buffer.concat([whole, Buffer.alloc(1500)]))).toBeNull();
  });

  it('keeps no more answers than it may, and takes any bytes', () => {
    const it = peer();
    for (let count = 0; count < 300; count++) it.transmit(ping(Buffer.alloc(1)));
    expect(it.counts).toMatchObject({ echo: 300, lost: 44 });
    const draw = numbers(3);
    for (let round = 0; round < 5000; round++) {
      const frame = Buffer.from(
        [ping(Buffer.alloc(9)), arpRequest(PEER_IP), udp(1, 2, Buffer.alloc(3))][draw(3)]!,
      );
      for (let changes = 1 + draw(4); changes > 0; changes--) frame[draw(frame.length)] = draw(256);
      it.transmit(frame.subarray(0, draw(frame.length + 1)));
      if (it.waiting() !== null) it.taken();
    }
    expect(it.counts.frames).toBe(5300);
  });
});
