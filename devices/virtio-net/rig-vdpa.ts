import { VHOST_ACCESS, VHOST_IOTLB, VIRTIO_NET_CTRL, VIRTIO_STATUS } from 'stopcopy/uapi';
import { runsOf, VhostDevice, type VirtioState } from 'stopcopy/vhost';
import type { RigRun } from './rig.js';
import type { RigGuest, RigGuestCounts } from './rig-guest.js';
import { RigMemory } from './rig-memory.js';
import { planFeatures } from './rig-plan.js';
import { checkFrames, makeGuest, makeSide, type RigSide } from './rig-side.js';
import { NetSettings, RX_MODES } from './settings.js';
import type { NetWire, NetWireCounts } from './wire.js';

const PATIENCE = 400;
/** Where memory of the VMM itself is. */
const VMM_UADDR = 0x7f33_0000_0000;
const PAGE = 4096;

/**
 * A run of the face without a dirty log: suspend and resume, the control queue, a migration with shadow virtqueues,
 * and the restore of what the guest has set on the other side.
 */
export async function runVdpaRig(run: RigRun): Promise<{ guest: RigGuestCounts; wire: NetWireCounts }> {
  const rig = new VdpaRig(run);
  await rig.begin();
  for (let episodes = run.plan.episodes; episodes > 0; episodes--) await rig.episode();
  await rig.migrate();
  await rig.finish();
  return { guest: rig.guest.counts, wire: rig.wire.counts };
}

class VdpaRig {
  readonly #run: RigRun;
  readonly #here: RigMemory;
  readonly #there: RigMemory;
  readonly guest: RigGuest;
  readonly wire: NetWire;
  /** What the guest has set, by its own books. */
  readonly #wanted: NetSettings;
  #side: RigSide;
  #device: VhostDevice;
  #uaddr = VMM_UADDR;
  readonly #missing = new Set<number>();

  constructor(run: RigRun) {
    this.#run = run;
    const { plan } = run;
    this.#here = new RigMemory(plan.blocks);
    this.#there = new RigMemory(plan.blocks);
    const { guest, wire } = makeGuest(run, this.#here, (index) => this.#device.kick(index));
    this.guest = guest;
    this.wire = wire;
    this.#side = makeSide(run, 'source', wire);
    this.#device = this.#vhost(this.#side, this.#here);
    const { settings } = this.#side.backEnd;
    this.#wanted = new NetSettings({ mac: settings.mac, queuePairs: plan.queuePairs });
  }

  async begin(): Promise<void> {
    const { plan } = this.#run;
    const { controlQueue, rings } = { controlQueue: 2 * plan.queuePairs, rings: plan.sizes };
    const state: VirtioState = {
      features: planFeatures(plan),
      controlQueue,
      rings: rings.map((size, index) => ({ index, size, parts: this.guest.queues[index]!.parts, base: 0 })),
    };
    await this.#device.open();
    this.#device.state = state;
    if (this.#run.random.percent(50)) await this.#bare(state);
    if (this.#run.fault?.needs?.probes === true) await this.#probeStatus();
    await this.#device.start();
    if (this.#run.fault?.needs?.probes === true) await this.#probeRunning();
    if (plan.queuePairs > 1 && this.#run.random.percent(80)) this.#setPairs();
    for (let n = 0; n < plan.warmUp; n++) await this.#turn();
  }

  /**
   * The device on the rings of the guest as a VMM starts it that knows nothing of networks: all rings are enabled
   * before DRIVER_OK, and the status is read back.
   */
  async #bare({ features, rings, controlQueue }: VirtioState): Promise<void> {
    const { backend, backEnd } = this.#side;
    const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
    await backend.setStatus(ACKNOWLEDGE | DRIVER);
    await backend.setFeatures(features);
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    await backend.getStatus();
    await backend.setMemTable(this.#here.regions);
    for (const { gpa, size, uaddr } of this.#here.blocks)
      await backend.iotlb({
        type: VHOST_IOTLB.UPDATE,
        asid: 0,
        iova: gpa,
        size,
        uaddr,
        perm: VHOST_ACCESS.RW,
      });
    this.guest.step(2);
    for (const { index, size, parts } of rings) {
      if (index === controlQueue) continue;
      await backend.setVringNum(index, size);
      await backend.setVringBase(index, 0);
      await backend.setVringAddr(index, { ...parts, logGuestAddr: 0, log: false });
      await backend.setVringKick(index, true);
      await backend.setVringEnable(index, true);
      backEnd.run();
    }
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    await backend.getStatus();
    for (const { index } of rings) if (index !== controlQueue) backend.kick(index);
    this.wire.offer(2);
    for (let n = 0; n < 3; n++) backEnd.run();
    this.guest.collect();
    await backend.suspend();
    for (const ring of rings)
      if (ring.index !== controlQueue) ring.base = await backend.getVringBase(ring.index);
    await backend.setStatus(0);
    backEnd.run();
  }

  /** Something that happens to a device that is not migrated. */
  async episode(): Promise<void> {
    const { random } = this.#run;
    await random.pick([this.#suspended, this.#restarted, this.#cancelled]).call(this);
    await this.#turn();
  }

  async migrate(): Promise<void> {
    const { random, plan } = this.#run;
    this.#status('setup');
    await this.#startLogging();
    this.#status('active');
    this.#there.copyFrom(this.#here);
    this.guest.dirty.clear();
    for (let n = 0; n < plan.turns; n++) {
      await this.#turn();
      if (random.percent(50)) this.#read(false);
    }
    await this.#drain();
    await this.#device.stop();
    // Who is stopped does nothing any more.
    for (let n = 0; n < 3; n++) this.#side.backEnd.run();
    this.#read(true);
    this.#checkCopy();
    this.#status('completed');
    await this.#goOver();
  }

  async finish(): Promise<void> {
    const { guest, wire } = this;
    for (let n = 0; n < PATIENCE; n++) {
      guest.step(0);
      const done = this.#side.backEnd.run();
      await tick();
      if (!done && wire.queued === 0 && guest.outstanding === 0) break;
    }
    if (wire.queued > 0 || guest.outstanding > 0)
      this.#run.problem(
        'stalled',
        `${wire.queued} frames wait at the wire, and the device has ${guest.outstanding} buffers to send`,
      );
    guest.collect();
    this.#checkSettings('in the end');
    await this.#device.stop();
    checkFrames(this.#run, guest, wire, false);
    if (guest.counts.refused > 0)
      this.#run.problem('settings', `${guest.counts.refused} commands of the guest were refused`);
    await this.#side.backend.close();
  }

  #vhost(side: RigSide, memory: RigMemory): VhostDevice {
    return new VhostDevice({
      backend: side.backend,
      regions: memory.regions,
      allocate: (bytes) => {
        const address = this.#uaddr;
        this.#uaddr += Math.ceil(bytes / PAGE + 1) * PAGE;
        return { bytes: new Uint8Array(Math.ceil(bytes / PAGE) * PAGE), address };
      },
      call: () => {
        this.guest.counts.calls++;
      },
      settle: () => {
        side.backEnd.run();
      },
      tell: (event) => side.tell(event),
    });
  }

  async #turn(): Promise<void> {
    const { random } = this.#run;
    this.wire.offer(random.below(7));
    this.guest.step(random.below(5));
    if (random.percent(40)) this.#command();
    for (let n = random.between(1, 3); n > 0; n--) this.#side.backEnd.run();
    await tick();
    if (random.percent(80)) this.guest.collect();
  }

  /** Commands are answered, so that what the VMM knows of them is whole. */
  async #drain(): Promise<void> {
    for (let n = 0; n < PATIENCE && this.guest.commandsUnderWay > 0; n++) {
      this.#side.backEnd.run();
      await tick();
      this.guest.collect();
    }
  }

  /** A command of the guest, which it also enters in its own books. */
  #command(): void {
    const { RX, VLAN, MAC } = VIRTIO_NET_CTRL;
    const { random } = this.#run;
    const vlan = random.below(4);
    const commands: readonly (readonly number[])[] = [
      [RX.class, RX.ALLMULTI, random.below(2)],
      [RX.class, RX.NOBCAST, random.below(2)],
      [VLAN.class, VLAN.ADD, 100 + vlan, 0],
      [VLAN.class, VLAN.DEL, 100 + vlan, 0],
      [MAC.class, MAC.ADDR_SET, 0x52, 0x54, 0, 0x72, 0x69, random.below(256)],
      [MAC.class, MAC.TABLE_SET, 1, 0, 0, 0, 0x52, 0x54, 0, 0, 1, random.below(256), 0, 0, 0, 0],
    ];
    this.#send(Uint8Array.from(random.pick(commands)));
  }

  #setPairs(): void {
    const { MQ } = VIRTIO_NET_CTRL;
    this.#send(Uint8Array.of(MQ.class, MQ.VQ_PAIRS_SET, this.#run.plan.queuePairs, 0));
  }

  #send(bytes: Uint8Array): void {
    if (this.guest.command(bytes)) this.#wanted.command(bytes);
  }

  /** Kicks come while the device is suspended, and its indices stand still. */
  async #suspended(): Promise<void> {
    const { backend } = this.#side;
    await backend.suspend();
    const before = await backend.getVringBase(1);
    this.wire.offer(3);
    this.guest.step(3);
    for (let n = 0; n < 3; n++) this.#side.backEnd.run();
    const after = await backend.getVringBase(1);
    if (before !== after) this.#run.problem('request', 'the index of a suspended ring has moved');
    await backend.resume();
    // What was kicked meanwhile is done without another kick.
    for (let n = 0; n < PATIENCE && this.guest.outstanding > this.guest.commandsUnderWay; n++) {
      this.#side.backEnd.run();
      this.guest.collect();
    }
    if (this.guest.outstanding > this.guest.commandsUnderWay)
      this.#run.problem('stalled', 'buffers that were kicked during a suspend are not worked on after it');
  }

  async #restarted(): Promise<void> {
    await this.#drain();
    await this.#device.stop();
    await this.#device.start();
  }

  /** A migration that comes to nothing: shadow virtqueues go in and out. */
  async #cancelled(): Promise<void> {
    this.#status('setup');
    await this.#startLogging();
    this.#status('active');
    for (let n = this.#run.random.between(1, 3); n > 0; n--) {
      await this.#turn();
      this.#read(false);
    }
    await this.#drain();
    this.#status('cancelling');
    await this.#device.setShadow(false);
    await this.#device.stopLog();
    this.#status('cancelled');
  }

  async #startLogging(): Promise<void> {
    await this.#drain();
    await this.#device.startLog();
    await this.#device.setShadow(true);
    this.#device.readLog(false);
    this.#here.changes();
    this.#missing.clear();
  }

  #status(status: 'setup' | 'active' | 'completed' | 'cancelling' | 'cancelled'): void {
    this.#run.emit({ kind: 'migration_status', host: this.#side.host, status });
  }

  #read(final: boolean): void {
    const pages = runsOf(this.#device.readLog(final)).flatMap(([first, count]) =>
      Array.from({ length: count }, (_, n) => first + n),
    );
    for (const page of this.#here.changes()) this.#missing.add(page);
    for (const page of pages) {
      this.#missing.delete(this.#here.primaryOf(page));
      this.#there.copyPage(this.#here, page);
    }
    for (const page of this.guest.dirty) this.#there.copyPage(this.#here, page);
    this.guest.dirty.clear();
  }

  #checkCopy(): void {
    const words = (pages: Iterable<number>) => [...pages].map((page) => `0x${page.toString(16)}`).join(', ');
    if (this.#missing.size > 0)
      this.#run.problem('memory', `pages ${words(this.#missing)} changed, and the VMM does not know of it`);
    const different = this.#here.differences(this.#there);
    if (different.length > 0)
      this.#run.problem('memory', `pages ${words(different)} are not the same on the destination`);
  }

  async #goOver(): Promise<void> {
    const before = this.#device;
    await this.#side.backend.close();
    this.#side = makeSide(this.#run, 'destination', this.wire);
    this.guest.moveTo(this.#there);
    this.#device = this.#vhost(this.#side, this.#there);
    await this.#device.open();
    this.#device.state = before.state;
    this.#device.control.replace(before.control.commands());
    await this.#device.start();
    this.#checkSettings('on the destination');
    for (let n = 0; n < 3; n++) await this.#turn();
    await this.#drain();
  }

  #checkSettings(where: string): void {
    const told = (settings: NetSettings) =>
      JSON.stringify([
        Buffer.from(settings.mac).toString('hex'),
        settings.pairs,
        RX_MODES.map((mode) => settings.modes[mode]),
        settings.unicast,
        [...settings.vlans].toSorted((a, b) => a - b),
      ]);
    const [is, wanted] = [told(this.#side.backEnd.settings), told(this.#wanted)];
    if (is !== wanted)
      this.#run.problem('settings', `${where} the device has ${is}, and the guest set ${wanted}`);
  }

  /** What a VMM must not ask, and a device must refuse: for devices that are known to have a fault there. */
  async #probeStatus(): Promise<void> {
    const { ACKNOWLEDGE, DRIVER, FEATURES_OK } = VIRTIO_STATUS;
    const { backend } = this.#side;
    const features = planFeatures(this.#run.plan);
    await backend.setStatus(ACKNOWLEDGE | DRIVER);
    await backend.setFeatures(features);
    await backend.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    await taken(() => backend.setFeatures(features));
    await taken(() => backend.setStatus(ACKNOWLEDGE | DRIVER));
    await backend.setStatus(0);
  }

  async #probeRunning(): Promise<void> {
    const { backend } = this.#side;
    const base = await backend.getVringBase(0);
    await backend.getStatus();
    await taken(() => backend.setVringBase(0, base));
  }
}

/** A request that may be refused. */
async function taken(call: () => unknown): Promise<void> {
  try {
    await call();
  } catch {
    // It was.
  }
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
