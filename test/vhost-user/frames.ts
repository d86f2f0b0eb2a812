/** Frames as a guest's stack makes them. */
export const GUEST = Buffer.from([0x52, 0x54, 0, 1, 2, 3]);
export const PEER = Buffer.from([2, 0x77, 0x69, 0x72, 0x65, 1]);
export const PEER_IP = Buffer.from([192, 168, 76, 1]);
export const OTHER_IP = Buffer.from([192, 168, 76, 9]);
const GUEST_IP = Buffer.from([192, 168, 76, 2]);

const u16 = (...values: number[]) => {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, 2 * index);
  return bytes;
};

/** The sum of RFC 1071, which is 0xffff over bytes with their checksum. */
export function sumOf(bytes: Uint8Array): number {
  const even = Buffer.concat([bytes, Buffer.alloc(bytes.length % 2)]);
  let sum = 0;
  for (let at = 0; at < even.length; at += 2) sum += even.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

export function arpRequest(target: Uint8Array): Buffer {
  const broadcast = Buffer.alloc(6, 0xff);
  const head = Buffer.concat([broadcast, GUEST, u16(0x0806, 1, 0x0800, 0x0604, 1)]);
  return Buffer.concat([head, GUEST, GUEST_IP, Buffer.alloc(6), target]);
}

export function ipv4(protocol: number, content: Uint8Array, target: Uint8Array = PEER_IP): Buffer {
  const header = Buffer.concat([
    u16(0x4500, 20 + content.length, 7, 0x4000),
    Buffer.from([3, protocol, 0, 0]),
    GUEST_IP,
    target,
  ]);
  header.writeUInt16BE(0xffff - sumOf(header), 10);
  return Buffer.concat([PEER, GUEST, u16(0x0800), header, content]);
}

export function ping(content: Uint8Array): Buffer {
  const message = Buffer.concat([Buffer.from([8, 0]), u16(0, 0x1234, 1), content]);
  message.writeUInt16BE(0xffff - sumOf(message), 2);
  return ipv4(1, message);
}

export function udp(from: number, to: number, content: Uint8Array): Buffer {
  return ipv4(17, Buffer.concat([u16(from, to, 8 + content.length, 0), content]));
}
