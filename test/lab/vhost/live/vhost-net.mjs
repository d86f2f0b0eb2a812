// Kernel vhost-net under our target: which bits of its dirty log each step sets, with the layout of the run that was
// recorded in test/traces/kernel-vhost, so that the two can be laid side by side.
//   node vhost-net.mjs DIST OUT   writes OUT/vhost-net.ndjson (events) and OUT/vhost-net.steps.ndjson
import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, eventually, frame, Guest, Ring } from './ring.mjs';

const [DIST, OUT] = process.argv.slice(2);
const { kernelVhostTarget } = await import(`${DIST}/target/vhost/index.js`);
const { recordedBackend } = await import(`${DIST}/vhost/index.js`);
const { featureBits, hasFeature, VHOST_FEATURES, VIRTIO_FEATURES, VHOST_LOG_PAGE, VirtioNetHdr } =
  await import(`${DIST}/uapi/index.js`);

/** Guest memory, and where things are in it: as in the recorded run. */
const GPA = 0x4000_0000;
const BYTES = 4 << 20;
const RX = { size: 16, desc: GPA + 0x2000, avail: GPA + 0x3000, used: GPA + 0x1000 };
const TX = { size: 16, desc: GPA + 0x6000, avail: GPA + 0x7000, used: GPA + 0x5000 };
const bufferOf = (slot) => GPA + 0x10000 + 0x2000 * slot;
/** A buffer that crosses a page. */
const CROSSING = GPA + 0xa0f00;
const LOG_BYTES = 40_960;

const steps = [];
const tell = (step) => steps.push(step);
const events = createWriteStream(join(OUT, 'vhost-net.ndjson'), { mode: 0o600 });
const emit = (event) => events.write(`${JSON.stringify(event)}\n`);

const target = await kernelVhostTarget('vhost:/dev/vhost-net');
const raw = await target.open();
emit({ kind: 'vhost_open', host: 'lab', device: raw.name, interface: 'kernel' });
const backend = recordedBackend(raw, { host: 'lab', emit });
const memory = target.allocate(BYTES);
const guest = new Guest(memory, GPA);
const [rx, tx] = [new Ring(guest, RX), new Ring(guest, TX)];
const region = { gpa: GPA, size: BYTES, uaddr: memory.address, offset: 0, memory };
let log = target.allocate(LOG_BYTES);
const before = new Uint8Array(BYTES);

// What a VMM must not do is asked of the back end behind its recorder.
const step = async (op, call) => tell({ op, errno: await errnoOf(call) });
const addresses = ({ desc, avail, used }, on) => ({
  desc: memory.address + desc - GPA,
  avail: memory.address + avail - GPA,
  used: memory.address + used - GPA,
  logGuestAddr: used,
  log: on,
});

/** Pages whose bits are set, which are cleared. */
function takeLog(of = log) {
  const pages = [];
  for (const [at, byte] of of.bytes.entries())
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) pages.push(8 * at + bit);
  of.bytes.fill(0);
  return pages;
}

/** Pages that the kernel has changed since the last look. */
function changes() {
  const pages = [];
  for (let at = 0; at < BYTES; at += VHOST_LOG_PAGE)
    if (
      Buffer.compare(
        memory.bytes.subarray(at, at + VHOST_LOG_PAGE),
        before.subarray(at, at + VHOST_LOG_PAGE),
      ) !== 0
    )
      pages.push((GPA + at) / VHOST_LOG_PAGE);
  before.set(memory.bytes);
  return pages;
}
const runs = (pages) => pages.map((page) => [page, 1]);

/** Looks what a step has marked and changed. `watched`: everything is logged by now. */
function look(when, watched) {
  const changed = changes();
  const bits = takeLog();
  tell({ op: 'log', when, bits: bits.map((page) => `0x${(page * VHOST_LOG_PAGE).toString(16)}`) });
  if (!watched) return;
  emit({ kind: 'vhost_page_change', host: 'lab', device: raw.name, pages: runs(changed) });
  emit({ kind: 'vhost_log_read', host: 'lab', device: raw.name, pages: runs(bits), final: false });
}

function offerReceive(address) {
  rx.offer(address, VirtioNetHdr.size + 1500, true);
  before.set(memory.bytes);
}
/** Sends frames to the guest, and waits for them in the used ring. */
async function receive(lengths) {
  const want = rx.usedIndex + lengths.length;
  for (const length of lengths) target.inject(frame(length));
  const came = await eventually(() => rx.usedIndex === (want & 0xffff));
  // The bits come behind the data.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const elements = rx.collect();
  tell({
    op: 'used',
    came,
    ids: elements.map(({ id }) => id),
    lengths: elements.map(({ length }) => length),
  });
}

const offered = await backend.getFeatures();
const features = offered & featureBits(VIRTIO_FEATURES.VERSION_1, VIRTIO_FEATURES.NET_MRG_RXBUF);
const LOG_ALL = featureBits(VHOST_FEATURES.LOG_ALL);
tell({
  op: 'features',
  offered: `0x${offered.toString(16)}`,
  LOG_ALL: hasFeature(offered, VHOST_FEATURES.LOG_ALL),
});
await step('SET_LOG_BASE before SET_OWNER', () => raw.setLogBase(log));
await step('SET_OWNER', () => backend.setOwner());
await step('SET_OWNER again', () => raw.setOwner());
await step('SET_FEATURES no log', () => backend.setFeatures(features));
await step('SET_MEM_TABLE', () => backend.setMemTable([region]));
for (const [index, ring] of [rx, tx].entries()) {
  await step(`SET_VRING_NUM ${index}`, () => backend.setVringNum(index, ring.size));
  await step(`SET_VRING_BASE ${index}`, () => backend.setVringBase(index, 0));
  await step(`SET_VRING_ADDR ${index} log=0`, () => backend.setVringAddr(index, addresses(ring, false)));
  await step(`SET_VRING_KICK ${index}`, () => backend.setVringKick(index, true));
  await step(`SET_VRING_CALL ${index}`, () => backend.setVringCall(index, () => {}));
}
for (let slot = 0; slot < RX.size; slot++) offerReceive(bufferOf(slot));
for (const index of [0, 1]) await step(`NET_SET_BACKEND ${index}`, () => backend.setBackend(index, true));
await step('SET_VRING_NUM with a backend', () => raw.setVringNum(0, 8));
await step('SET_VRING_BASE with a backend', () => raw.setVringBase(0, 1));
// The first four, so that the following ones have the numbers of the recorded run.
await receive([142, 142, 142, 142]);
look('LOG_ALL off', false);

await step('SET_LOG_BASE', () => backend.setLogBase(log));
await step('SET_FEATURES +LOG_ALL (running)', () => backend.setFeatures(features | LOG_ALL));
await receive([142]);
look('1 packet, LOG_ALL on, ring log off', false);
for (const [index, ring] of [rx, tx].entries())
  await step(`SET_VRING_ADDR ${index} +F_LOG (running)`, () =>
    backend.setVringAddr(index, addresses(ring, true)),
  );
look('after ring log armed, no traffic', true);
await receive([142]);
look('1 packet, all logging', true);
await receive([1342, 1342, 1342]);
look('3 packets of 1300, all logging', true);
guest.bytes.set(frame(60), guest.at(GPA + 0x50000) + VirtioNetHdr.size);
tx.offer(GPA + 0x50000, VirtioNetHdr.size + 60, false);
before.set(memory.bytes);
backend.kick(1);
tell({ op: 'transmitted', came: await eventually(() => tx.usedIndex === 1) });
await new Promise((resolve) => setTimeout(resolve, 200));
look('1 tx packet', true);
// One lap: the rest of the buffers, and as many again, the first one across a page.
offerReceive(CROSSING);
for (let slot = 1; slot < 9; slot++) offerReceive(bufferOf(slot));
backend.kick(0);
await receive(Array(16).fill(1342));
look('one lap of the ring incl. a buffer crossing a page', true);

const newLog = target.allocate(LOG_BYTES);
await step('SET_LOG_BASE, another log (running)', () => backend.setLogBase(newLog));
for (let slot = 9; slot < 13; slot++) offerReceive(bufferOf(slot));
backend.kick(0);
await receive([142]);
const left = takeLog();
tell({ op: 'log', when: 'the old log after the swap', bits: left });
log = newLog;
look('1 packet after the swap', true);
await step('SET_FEATURES -LOG_ALL', () => backend.setFeatures(features));
for (const [index, ring] of [rx, tx].entries())
  await step(`SET_VRING_ADDR ${index} log=0`, () => backend.setVringAddr(index, addresses(ring, false)));
await receive([142]);
look('1 packet, LOG_ALL off again', false);
for (const index of [0, 1]) await step(`NET_SET_BACKEND ${index} -1`, () => backend.setBackend(index, false));
for (const [index, ring] of [rx, tx].entries())
  tell({ op: 'base', index, num: await backend.getVringBase(index), used: ring.usedIndex });
look('after stop', false);
await step('RESET_OWNER', () => backend.resetOwner());
await backend.close();
target.close();
await new Promise((resolve) => events.end(resolve));
writeFileSync(join(OUT, 'vhost-net.steps.ndjson'), steps.map((each) => `${JSON.stringify(each)}\n`).join(''));
