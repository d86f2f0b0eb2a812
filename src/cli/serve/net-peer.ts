/** The longest frame of Ethernet without FCS that is answered. */
const LONGEST = 1514;
/** Answers that wait at most; the guest may give no buffers. */
const MOST_WAITING = 256;

const ETHERNET = 14;
const ETHERTYPE = { IPV4: 0x0800, ARP: 0x0806, RARP: 0x8035 } as const;
/** ARP for Ethernet and IPv4 (RFC 826): offsets behind the Ethernet head. */
const ARP = { operation: 6, senderMac: 8, senderIp: 14, targetMac: 18, targetIp: 24, size: 28 } as const;
const ARP_OPERATION = { REQUEST: 1, REPLY: 2 } as const;
/** IPv4 (RFC 791), ICMP (RFC 792) and UDP (RFC 768): offsets in each header. */
const IP = {
  total: 2,
  fragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  target: 16,
  least: 20,
} as const;
const PROTOCOL = { ICMP: 1, UDP: 17 } as const;
const ICMP = { type: 0, checksum: 2, size: 8 } as const;
const ICMP_TYPE = { ECHO_REPLY: 0, ECHO: 8 } as const;
const UDP = { source: 0, target: 2, length: 4, checksum: 6, size: 8 } as const;

/** What has come from the guest, and what went back. */
export interface NetPeerCounts {
  frames: number;
  bytes: number;
  arp: number;
  echo: number;
  udp: number;
  /** RARP or gratuitous ARP, as after a migration. */
  announcements: number;
  /** Frames that nobody answers here. */
  others: number;
  /** Answers that the guest had no room for. */
  lost: number;
}

export interface NetPeerOptions {
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** Four bytes. */
  readonly ip: Uint8Array;
}

/**
 * A host at the other end of the wire, as far as a guest can ask one: it answers ARP for its address and ICMP echo,
 * and sends the content of each UDP datagram back. Frames of the guest are not trusted: what is cut short, or is
 * part of a datagram only, has no answer.
 */
export class NetPeer {
  readonly counts: NetPeerCounts = {
    frames: 0,
    bytes: 0,
    arp: 0,
    echo: 0,
    udp: 0,
    announcements: 0,
    others: 0,
    lost: 0,
  };
  /** Told that an answer waits. */
  onAnswer: () => void = () => {};
  readonly #mac: Buffer;
  readonly #ip: Buffer;
  readonly #answers: Uint8Array[] = [];

  constructor({ mac, ip }: NetPeerOptions) {
    this.#mac = Buffer.from(mac);
    this.#ip = Buffer.from(ip);
  }

  /** The answer that waits for the guest, or null. */
  waiting(): Uint8Array | null {
    return this.#answers[0] ?? null;
  }

  taken(): void {
    this.#answers.shift();
  }

  dropped(): void {
    this.#answers.shift();
    this.counts.lost++;
  }

  /** A frame of the guest. */
  transmit(frame: Uint8Array): void {
    this.counts.frames++;
    this.counts.bytes += frame.length;
    const answer =
      frame.length > LONGEST || frame.length < ETHERNET ? null : this.#answer(Buffer.from(frame));
    if (answer === null) return;
    if (this.#answers.length >= MOST_WAITING) {
      this.counts.lost++;
      return;
    }
    this.#answers.push(answer);
    this.onAnswer();
  }

  /** @param frame a copy, which becomes the answer */
  #answer(frame: Buffer): Buffer | null {
    const type = frame.readUInt16BE(12);
    const rest = frame.subarray(ETHERNET);
    const answer =
      type === ETHERTYPE.ARP ? this.#arp(rest) : type === ETHERTYPE.IPV4 ? this.#ipv4(rest) : null;
    if (type === ETHERTYPE.RARP) this.counts.announcements++;
    else if (answer === null) this.counts.others++;
    if (answer === null || answer === 'none') return null;
    frame.copy(frame, 0, 6, 12);
    this.#mac.copy(frame, 6);
    return frame.subarray(0, Math.max(ETHERNET + answer.length, 60));
  }

  /** null: nobody answers it; `none`: it was for us, and has no answer. */
  #arp(packet: Buffer): Buffer | null | 'none' {
    if (packet.length < ARP.size || packet.readUInt32BE(0) !== 0x0001_0800) return null;
    const sender = packet.subarray(ARP.senderIp, ARP.senderIp + 4);
    const target = packet.subarray(ARP.targetIp, ARP.targetIp + 4);
    if (sender.equals(target)) {
      this.counts.announcements++;
      return 'none';
    }
    if (packet.readUInt16BE(ARP.operation) !== ARP_OPERATION.REQUEST || !target.equals(this.#ip)) return null;
    this.counts.arp++;
    packet.writeUInt16BE(ARP_OPERATION.REPLY, ARP.operation);
    packet.copy(packet, ARP.targetMac, ARP.senderMac, ARP.senderMac + 10);
    this.#mac.copy(packet, ARP.senderMac);
    this.#ip.copy(packet, ARP.senderIp);
    return packet;
  }

  #ipv4(packet: Buffer): Buffer | null {
    if (packet.length < IP.least || packet[0]! >> 4 !== 4) return null;
    const head = (packet[0]! & 15) * 4;
    const total = packet.readUInt16BE(IP.total);
    const isWhole = (packet.readUInt16BE(IP.fragment) & 0x3fff) === 0;
    if (head < IP.least || total < head || total > packet.length || !isWhole) return null;
    if (!packet.subarray(IP.target, IP.target + 4).equals(this.#ip)) return null;
    const content = packet.subarray(head, total);
    if (!this.#content(packet[IP.protocol]!, content)) return null;
    packet.copy(packet, IP.target, IP.source, IP.source + 4);
    this.#ip.copy(packet, IP.source);
    packet[IP.ttl] = 64;
    packet.writeUInt16BE(0, IP.checksum);
    packet.writeUInt16BE(checksum(packet.subarray(0, head)), IP.checksum);
    return packet.subarray(0, total);
  }

  /** Turns what a datagram carries into its answer; false: it has none. */
  #content(protocol: number, content: Buffer): boolean {
    if (protocol === PROTOCOL.ICMP && content.length >= ICMP.size && content[ICMP.type] === ICMP_TYPE.ECHO) {
      this.counts.echo++;
      content[ICMP.type] = ICMP_TYPE.ECHO_REPLY;
      content.writeUInt16BE(0, ICMP.checksum);
      content.writeUInt16BE(checksum(content), ICMP.checksum);
      return true;
    }
    if (protocol !== PROTOCOL.UDP || content.length < UDP.size) return false;
    if (content.readUInt16BE(UDP.length) !== content.length) return false;
    this.counts.udp++;
    const source = content.readUInt16BE(UDP.source);
    content.copy(content, UDP.source, UDP.target, UDP.target + 2);
    content.writeUInt16BE(source, UDP.target);
    // 0: there is none, which IPv4 allows.
    content.writeUInt16BE(0, UDP.checksum);
    return true;
  }
}

/** The checksum of the Internet (RFC 1071). */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
