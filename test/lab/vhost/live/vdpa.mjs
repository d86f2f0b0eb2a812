// A device of the kernel's vDPA simulator under our target: status, rings, suspend, resume, and where the rings stand.
//   node vdpa.mjs DIST OUT FILE   writes OUT/vdpa.ndjson (events) and OUT/vdpa.steps.ndjson
import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, eventually, frame, Guest, Ring } from './ring.mjs';

const [DIST, OUT, FILE] = process.argv.slice(2);
const { kernelVhostTarget } = await import(`${DIST}/target/vhost/index.js`);
const { recordedBackend } = await import(`${DIST}/vhost/index.js`);
const {
  featureBits,
  hasFeature,
  VHOST_ACCESS,
  VHOST_BACKEND_FEATURES,
  VHOST_IOTLB,
  VIRTIO_FEATURES,
  VIRTIO_STATUS,
  VirtioNetHdr,
} = await import(`${DIST}/uapi/index.js`);

const GPA = 0x10_0000;
const BYTES = 1 << 20;
const RX = { size: 16, desc: GPA + 0x1000, avail: GPA + 0x2000, used: GPA + 0x3000 };
const TX = { size: 16, desc: GPA + 0x4000, avail: GPA + 0x5000, used: GPA + 0x6000 };
const bufferOf = (slot) => GPA + 0x10000 + 0x1000 * slot;
const [SENT] = [GPA + 0x50000];

const steps = [];
const tell = (step) => steps.push(step);
// What a VMM must not do is asked of the back end behind its recorder.
const step = async (op, call) => tell({ op, errno: await errnoOf(call) });
const events = createWriteStream(join(OUT, 'vdpa.ndjson'), { mode: 0o600 });
const emit = (event) => events.write(`${JSON.stringify(event)}\n`);

const target = await kernelVhostTarget(`vhost-vdpa:${FILE}`);
const raw = await target.open();
emit({ kind: 'vhost_open', host: 'lab', device: raw.name, interface: 'vdpa' });
const backend = recordedBackend(raw, { host: 'lab', emit });
const memory = target.allocate(BYTES);
const guest = new Guest(memory, GPA);
const [rx, tx] = [new Ring(guest, RX), new Ring(guest, TX)];
tell({ op: 'queues', count: raw.queues });

await step('SET_OWNER', () => backend.setOwner());
const backendFeatures = await backend.getBackendFeatures();
const has = (name) => hasFeature(backendFeatures, VHOST_BACKEND_FEATURES[name]);
tell({ op: 'backend features', names: Object.keys(VHOST_BACKEND_FEATURES).filter(has) });
const wanted = ['IOTLB_MSG_V2', 'IOTLB_BATCH', 'IOTLB_ASID', 'SUSPEND', 'RESUME'].filter(has);
await step('SET_BACKEND_FEATURES', () =>
  backend.setBackendFeatures(featureBits(...wanted.map((name) => VHOST_BACKEND_FEATURES[name]))),
);
await step('SET_LOG_BASE', () => raw.setLogBase(null));

const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
const status = async (bits) => {
  await step(`SET_STATUS 0x${bits.toString(16)}`, () => backend.setStatus(bits));
  tell({ op: 'status', status: await backend.getStatus() });
};
await status(0);
await status(ACKNOWLEDGE);
await status(ACKNOWLEDGE | DRIVER);
const offered = await backend.getFeatures();
tell({ op: 'features', offered: `0x${offered.toString(16)}` });
const features =
  offered & featureBits(VIRTIO_FEATURES.VERSION_1, VIRTIO_FEATURES.ACCESS_PLATFORM, VIRTIO_FEATURES.NET_MAC);
await step('SET_FEATURES', () => backend.setFeatures(features));
await status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
await step('SET_FEATURES after FEATURES_OK', () => raw.setFeatures(features));
await step('SET_STATUS that takes bits away', () => raw.setStatus(ACKNOWLEDGE));
tell({ op: 'mac', bytes: [...(await backend.getConfig(0, 6))] });

const iotlb = (type, rest = {}) =>
  backend.iotlb({ type, asid: 0, iova: 0, size: 0, uaddr: 0, perm: 0, ...rest });
const whole = { iova: GPA, size: BYTES, uaddr: memory.address, perm: VHOST_ACCESS.RW };
if (has('IOTLB_BATCH')) await step('IOTLB batch begin', () => iotlb(VHOST_IOTLB.BATCH_BEGIN));
await step('IOTLB update', () => iotlb(VHOST_IOTLB.UPDATE, whole));
if (has('IOTLB_BATCH')) await step('IOTLB batch end', () => iotlb(VHOST_IOTLB.BATCH_END));
await step('IOTLB update over the same range', () => iotlb(VHOST_IOTLB.UPDATE, whole));

const addresses = ({ desc, avail, used }) => ({ desc, avail, used, logGuestAddr: used, log: false });
async function setUp(index, ring, base) {
  await step(`SET_VRING_NUM ${index}`, () => backend.setVringNum(index, ring.size));
  await step(`SET_VRING_BASE ${index} ${base}`, () => backend.setVringBase(index, base));
  await step(`SET_VRING_ADDR ${index}`, () => backend.setVringAddr(index, addresses(ring)));
  await step(`SET_VRING_KICK ${index}`, () => backend.setVringKick(index, true));
  await step(`SET_VRING_CALL ${index}`, () => backend.setVringCall(index, () => {}));
  await step(`SET_VRING_ENABLE ${index}`, () => backend.setVringEnable(index, true));
}
for (const [index, ring] of [rx, tx].entries()) await setUp(index, ring, 0);
tell({ op: 'group', of: 0, group: await backend.getVringGroup(0) });
await status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);

// The simulator gives back what is sent, when it is for its address or for all.
for (let slot = 0; slot < RX.size; slot++) rx.offer(bufferOf(slot), 1526, true);
backend.kick(0);
let sent = 0;
async function send(frames, wait = true) {
  for (let n = 0; n < frames; n++, sent++) {
    const at = SENT + 0x1000 * (sent % 8);
    guest.bytes.set(frame(60 + sent), guest.at(at) + VirtioNetHdr.size);
    tx.offer(at, VirtioNetHdr.size + 60 + sent, false);
  }
  backend.kick(1);
  if (!wait) return new Promise((resolve) => setTimeout(resolve, 500));
  return eventually(() => tx.usedIndex === tx.offered);
}
const indices = (when) => tell({ op: 'used', when, rx: rx.usedIndex, tx: tx.usedIndex, offered: tx.offered });
tell({ op: 'sent', came: await send(3) });
await eventually(() => rx.usedIndex === 3, 2000);
indices('running');

await step('SET_VRING_BASE while running', () => raw.setVringBase(0, 5));
await step('SUSPEND', () => backend.suspend());
await send(2, false);
indices('suspended, 2 offered');
for (const index of [0, 1])
  tell({ op: 'base', when: 'suspended', index, num: await backend.getVringBase(index) });
const suspended = { rx: rx.usedIndex, tx: tx.usedIndex };
await step('RESUME', () => backend.resume());
tell({ op: 'after resume', came: await eventually(() => tx.usedIndex === tx.offered) });
await eventually(() => rx.usedIndex === 5, 2000);
indices('resumed');
await step('SUSPEND', () => backend.suspend());
const bases = [await backend.getVringBase(0), await backend.getVringBase(1)];
for (const [index, num] of bases.entries()) tell({ op: 'base', when: 'suspended again', index, num });

// As on the other side of a migration: a reset device begins where this one stood.
await status(0);
await status(ACKNOWLEDGE | DRIVER);
await step('SET_FEATURES', () => backend.setFeatures(features));
await status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
// The device has forgotten its memory with the reset, vhost has not.
await step('IOTLB update after the reset', () => iotlb(VHOST_IOTLB.UPDATE, whole));
await step('IOTLB invalidate', () => iotlb(VHOST_IOTLB.INVALIDATE, { iova: GPA, size: BYTES }));
await step('IOTLB update', () => iotlb(VHOST_IOTLB.UPDATE, whole));
for (const [index, ring] of [rx, tx].entries()) await setUp(index, ring, bases[index]);
await status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
backend.kick(0);
tell({ op: 'sent', came: await send(2) });
await eventually(() => rx.usedIndex === 7, 2000);
indices('after the move');
tell({ op: 'kept', suspended });
await status(0);
await backend.close();
target.close();
await new Promise((resolve) => events.end(resolve));
writeFileSync(join(OUT, 'vdpa.steps.ndjson'), steps.map((each) => `${JSON.stringify(each)}\n`).join(''));
