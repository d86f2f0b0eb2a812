import { crc32 } from 'node:zlib';
import { DeviceError, struct, type ValueOf } from 'stopcopy/uapi';
import { FDB_ENTRIES, MAC_TABLE_ENTRIES, type NetSettings, RX_MODES, textOf } from './settings.js';

/** The head of a saved state. `crc` is over head and body, with itself as 0. */
const Head = struct('virtio_net_state', {
  magic: 'u32',
  version: 'u16',
  flags: 'u16',
  length: 'u32',
  crc: 'u32',
});
const MAGIC = 0x5354454e; // "NETS"
const VERSION = 1;
const VLAN_BYTES = 512;

/** What has a fixed size; tables follow: unicast, multicast, forwarding database. */
const Body = struct('virtio_net_state_body', {
  offloads: 'u64',
  announced: 'u32',
  mac: { bytes: 6 },
  status: 'u16',
  pairs: 'u16',
  unicast: 'u16',
  multicast: 'u16',
  fdb: 'u16',
  /** Receive modes in the order of `RX_MODES`, from bit 0 on. */
  modes: 'u8',
  /** A bit for each VLAN. */
  vlans: { bytes: VLAN_BYTES },
});
const MacEntry = struct('virtio_net_state_mac', { mac: { bytes: 6 } });
const FdbEntry = struct('virtio_net_state_fdb', { mac: { bytes: 6 }, pair: 'u16' });

/** Most bytes of a state. */
export const LARGEST_STATE: number =
  Head.size + Body.size + 2 * MAC_TABLE_ENTRIES * MacEntry.size + FDB_ENTRIES * FdbEntry.size;

const macOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const checksum = (head: ValueOf<typeof Head>, body: Uint8Array): number =>
  crc32(body, crc32(Head.encode({ ...head, crc: 0 })));
const invalid = (words: string) => new DeviceError('EINVAL', `the state of the network device ${words}`);

/** The state of a network device: little endian, with a head that tells version, length and checksum. */
export function saveSettings(settings: NetSettings): Uint8Array {
  const vlans = new Uint8Array(VLAN_BYTES);
  for (const id of settings.vlans) vlans[id >> 3]! |= 1 << (id & 7);
  const { offloads, announced, mac, status, pairs, unicast, multicast, fdb } = settings;
  const modes = RX_MODES.reduce((bits, mode, n) => bits | (settings.modes[mode] ? 1 << n : 0), 0);
  const counts = { unicast: unicast.length, multicast: multicast.length, fdb: fdb.size };
  const body = Buffer.concat([
    Body.encode({ offloads, announced, mac, status, pairs, ...counts, modes, vlans }),
    ...[...unicast, ...multicast].map((each) => MacEntry.encode({ mac: macOf(each) })),
    ...[...fdb].map(([each, pair]) => FdbEntry.encode({ mac: macOf(each), pair })),
  ]);
  const head = { magic: MAGIC, version: VERSION, flags: 0, length: body.length, crc: 0 };
  return new Uint8Array(Buffer.concat([Head.encode({ ...head, crc: checksum(head, body) }), body]));
}

/**
 * Takes a saved state. Nothing of a state that is refused is taken.
 * @throws DeviceError EINVAL: cut, longer than it says, of another device or version, or damaged
 */
export function loadSettings(settings: NetSettings, state: Uint8Array): void {
  if (state.length < Head.size) throw invalid(`has ${state.length} bytes; its head alone has ${Head.size}`);
  if (state.length > LARGEST_STATE) throw invalid(`has ${state.length} bytes, more than there can be`);
  const head = Head.decode(state);
  const body = state.subarray(Head.size);
  if (head.magic !== MAGIC) throw invalid('begins with another mark');
  if (head.version !== VERSION) throw invalid(`is of version ${head.version}; this device takes ${VERSION}`);
  if (head.length !== body.length)
    throw invalid(`says that ${head.length} bytes follow its head, and ${body.length} do`);
  if (head.crc !== checksum(head, body)) throw invalid('has a wrong checksum');
  take(settings, body);
}

function take(settings: NetSettings, body: Uint8Array): void {
  if (body.length < Body.size) throw invalid('is too short for what it holds');
  const fixed = Body.decode(body);
  const macs = fixed.unicast + fixed.multicast;
  const whole = Body.size + macs * MacEntry.size + fixed.fdb * FdbEntry.size;
  if (whole !== body.length) throw invalid('has tables of another length than it says');
  if (fixed.pairs < 1 || fixed.pairs > settings.queuePairs)
    throw invalid(`uses ${fixed.pairs} queue pairs; this device has ${settings.queuePairs}`);
  const table = Array.from({ length: macs }, (_, n) =>
    textOf(MacEntry.decode(body, { offset: Body.size + n * MacEntry.size }).mac),
  );
  const fdbAt = Body.size + macs * MacEntry.size;
  settings.mac = fixed.mac;
  settings.status = fixed.status;
  settings.pairs = fixed.pairs;
  settings.offloads = fixed.offloads;
  settings.announced = fixed.announced;
  RX_MODES.forEach((mode, n) => {
    settings.modes[mode] = ((fixed.modes >> n) & 1) === 1;
  });
  settings.unicast = table.slice(0, fixed.unicast);
  settings.multicast = table.slice(fixed.unicast);
  settings.vlans.clear();
  for (let id = 0; id < VLAN_BYTES * 8; id++)
    if ((fixed.vlans[id >> 3]! >> (id & 7)) & 1) settings.vlans.add(id);
  settings.fdb.clear();
  for (let n = 0; n < fixed.fdb; n++) {
    const { mac, pair } = FdbEntry.decode(body, { offset: fdbAt + n * FdbEntry.size });
    settings.fdb.set(textOf(mac), pair);
  }
}
