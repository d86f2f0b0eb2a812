import { DeviceError } from 'stopcopy/uapi';
import type { RigRun } from './rig.js';
import type { RigGuest, RigGuestCounts } from './rig-guest.js';
import { RigMemory } from './rig-memory.js';
import { checkFrames, makeGuest, makeSide, type RigSide, runsOfPages } from './rig-side.js';
import { RigVmm } from './rig-vmm.js';
import type { NetWire, NetWireCounts } from './wire.js';

/** Turns after which what still waits waits for ever. */
const PATIENCE = 400;

/** A run of a face with a dirty log: switches at any time, then a migration. */
export async function runLogRig(run: RigRun): Promise<{ guest: RigGuestCounts; wire: NetWireCounts }> {
  const rig = new LogRig(run);
  await rig.begin();
  for (let episodes = run.plan.episodes; episodes > 0; episodes--) await rig.episode();
  await rig.migrate();
  await rig.finish();
  return { guest: rig.guest.counts, wire: rig.wire.counts };
}

class LogRig {
  readonly #run: RigRun;
  readonly #here: RigMemory;
  readonly #there: RigMemory;
  readonly guest: RigGuest;
  readonly wire: NetWire;
  #side: RigSide;
  #vmm: RigVmm;
  /** Pages that the back end alone has changed while all was logged, and that no reading had yet. */
  readonly #missing = new Set<number>();
  /** Both switches of all rings are on. */
  #isLogged = false;
  /** Frames may be lost: a ring was disabled. */
  #isLossy = false;

  constructor(run: RigRun) {
    this.#run = run;
    const { plan } = run;
    this.#here = new RigMemory(plan.blocks);
    this.#there = new RigMemory(plan.blocks);
    const { guest, wire } = makeGuest(run, this.#here, (index) => this.#vmm.backend.kick(index));
    this.guest = guest;
    this.wire = wire;
    this.#side = makeSide(run, 'source', wire);
    // A packed ring begins with both wrap counters set.
    const bases = plan.starts.map((at) => (plan.packed ? (at | 0x8000) * 0x1_0001 : at));
    this.#vmm = new RigVmm(this.#side.backend, plan, this.#here, guest, bases, this.#settle);
  }

  readonly #settle = (): void => {
    this.#side.backEnd.run();
  };

  async begin(): Promise<void> {
    await this.#vmm.open();
    await this.#vmm.start();
    for (let n = 0; n < this.#run.plan.warmUp; n++) this.#turn();
  }

  /** Something that happens to a device that is not migrated. */
  async episode(): Promise<void> {
    const { random, plan } = this.#run;
    const episodes = [this.#oneGate, this.#cancelled, this.#restarted];
    if (plan.face === 'user') episodes.push(this.#disabled);
    if (plan.face === 'kernel') episodes.push(this.#asked);
    if (plan.iova !== null) episodes.push(this.#unmapped);
    await random.pick(episodes).call(this);
    this.#turn();
  }

  /** To the other host, with a copy of memory that the log has to keep right. */
  async migrate(): Promise<void> {
    const { random, plan } = this.#run;
    await this.#startLogging();
    this.#there.copyFrom(this.#here);
    this.guest.dirty.clear();
    for (let n = 0; n < plan.turns; n++) {
      this.#turn();
      if (random.percent(50)) this.#read(false);
      if (random.percent(20)) await this.#swapLog();
      if (random.percent(12)) await this.#changeMemory();
      if (random.percent(12)) {
        await this.#vmm.stop();
        await this.#vmm.start();
      }
    }
    await this.#vmm.stop();
    this.#read(true);
    this.#checkCopy();
    // Who is stopped does nothing any more.
    for (let n = 0; n < 3; n++) this.#side.backEnd.run();
    this.#look([]);
    await this.#goOver();
  }

  /** Nothing moves any more, and everything has arrived. */
  async finish(): Promise<void> {
    const { guest, wire } = this;
    for (let n = 0; n < PATIENCE; n++) {
      guest.step(0);
      const done = this.#side.backEnd.run();
      if (!done && wire.queued === 0 && guest.outstanding === 0) break;
    }
    if (wire.queued > 0 || guest.outstanding > 0)
      this.#run.problem(
        'stalled',
        `${wire.queued} frames wait at the wire, and the device has ${guest.outstanding} buffers to send`,
      );
    guest.collect();
    await this.#vmm.stop();
    checkFrames(this.#run, guest, wire, this.#isLossy);
    await this.#side.backend.close();
  }

  #turn(): void {
    const { random } = this.#run;
    this.wire.offer(random.below(7));
    this.guest.step(random.below(5));
    // A kick that brings nothing is legal.
    if (random.percent(20)) this.#vmm.backend.kick(2 * random.below(this.#run.plan.queuePairs) + 1);
    for (let n = random.between(1, 3); n > 0; n--) this.#side.backEnd.run();
    if (random.percent(80)) this.guest.collect();
  }

  /** Both gates are on for all rings; what was written before is not looked at. */
  async #startLogging(): Promise<void> {
    await this.#vmm.startLogging();
    this.#vmm.harvest();
    this.#here.changes();
    this.#missing.clear();
    this.#isLogged = true;
  }

  /** Only one of the two switches, or the flag of a few rings only; then the log is read once, at the end. */
  async #oneGate(): Promise<void> {
    const { random, plan } = this.#run;
    const vmm = this.#vmm;
    await vmm.setLog(vmm.newLog(random.below(40)));
    const choice = random.below(3);
    if (choice === 0) await vmm.setLogAll(true);
    else
      for (const index of plan.sizes.keys())
        if (choice === 1 || random.percent(50)) await vmm.setRingLog(index, true);
    for (let n = random.between(1, 4); n > 0; n--) this.#turn();
    await vmm.stop();
    this.#side.tell({ kind: 'vhost_log_read', pages: runsOfPages(vmm.harvest()), final: true });
    vmm.switches.logAll = false;
    vmm.switches.rings.fill(false);
    await vmm.start();
  }

  /** Logging begins and ends, with nothing made of it. */
  async #cancelled(): Promise<void> {
    const { random } = this.#run;
    await this.#startLogging();
    for (let n = random.between(1, 3); n > 0; n--) {
      this.#turn();
      if (random.percent(60)) this.#read(false);
      if (random.percent(40)) await this.#swapLog();
    }
    this.#isLogged = false;
    await this.#vmm.stopLogging();
    this.#turn();
  }

  async #restarted(): Promise<void> {
    await this.#vmm.stop();
    await this.#vmm.start();
  }

  /** A ring pair is disabled for a while. */
  async #disabled(): Promise<void> {
    const { backend } = this.#vmm;
    const pair = this.#run.random.below(this.#run.plan.queuePairs);
    this.#isLossy = true;
    await backend.setVringEnable(2 * pair, false);
    await backend.setVringEnable(2 * pair + 1, false);
    this.#turn();
    this.#turn();
    await backend.setVringEnable(2 * pair, true);
    await backend.setVringEnable(2 * pair + 1, true);
  }

  /** Requests that a kernel refuses. */
  async #asked(): Promise<void> {
    const { backend, bases, plan } = this.#vmm;
    const refused = async (call: () => unknown, words: string) => {
      try {
        await call();
      } catch (error) {
        if (error instanceof DeviceError) return;
        throw error;
      }
      this.#run.problem('request', `${words} was taken`);
    };
    await refused(() => backend.setVringNum(0, plan.sizes[0]!), 'SET_VRING_NUM of a ring that runs');
    await refused(() => backend.setVringBase(1, bases[1]!), 'SET_VRING_BASE of a ring that runs');
    await refused(() => backend.setFeatures(1n << 45n), 'a feature that is not offered');
    if (this.#run.fault?.needs?.probes !== true) return;
    await backend.setLogBase(null);
    await refused(() => this.#vmm.setLogAll(true), 'LOG_ALL of rings that run, without a log,');
    await this.#vmm.setLogAll(false);
  }

  /** The device loses the addresses of buffers for a while, as with a driver that maps them late. */
  async #unmapped(): Promise<void> {
    await this.#vmm.unmapBuffers();
    this.#turn();
    await this.#vmm.mapBuffers();
  }

  async #swapLog(): Promise<void> {
    const vmm = this.#vmm;
    const old = await vmm.setLog(vmm.newLog(this.#run.random.below(200)));
    this.#took(old, false);
  }

  /** Memory grows and shrinks again; the log is there for it first, and gets smaller afterwards. */
  async #changeMemory(): Promise<void> {
    const vmm = this.#vmm;
    const pages = this.#run.random.between(1, 90);
    this.#took(await vmm.setLog(vmm.newLog(pages)), false);
    await vmm.setMemory(pages);
    this.#turn();
    await vmm.setMemory(0);
    this.#took(await vmm.setLog(vmm.newLog(0)), false);
  }

  #read(final: boolean): void {
    this.#took(this.#vmm.harvest(), final);
  }

  /** Pages that a log had: they are sent to the other host. */
  #took(pages: readonly number[], final: boolean): void {
    this.#look(pages);
    this.#side.tell({ kind: 'vhost_log_read', pages: runsOfPages(pages), ...(final ? { final } : {}) });
    for (const page of pages) this.#there.copyPage(this.#here, page);
    for (const page of this.guest.dirty) this.#there.copyPage(this.#here, page);
    this.guest.dirty.clear();
  }

  /** What has changed without the guest. */
  #look(read: readonly number[]): void {
    const changes = this.#here.changes();
    const { plan } = this.#run;
    for (const page of changes) this.#missing.add(page);
    for (const page of read) this.#missing.delete(this.#here.primaryOf(page));
    // By one of its addresses such a page is marked, and a trace cannot say that they are the same.
    const told = changes.filter((page) => plan.iova !== null || !this.#here.hasAlias(page));
    if (this.#isLogged) this.#side.tell({ kind: 'vhost_page_change', pages: runsOfPages(told) });
  }

  #checkCopy(): void {
    const words = (pages: Iterable<number>) => [...pages].map((page) => `0x${page.toString(16)}`).join(', ');
    if (this.#missing.size > 0)
      this.#run.problem('memory', `pages ${words(this.#missing)} changed, and are in no reading`);
    const different = this.#here.differences(this.#there);
    if (different.length > 0)
      this.#run.problem('memory', `pages ${words(different)} are not the same on the destination`);
  }

  /** A state that is cut has to be refused. */
  async #probeCut(state: Uint8Array): Promise<void> {
    try {
      await this.#side.backend.loadState(state.subarray(0, state.length - 1));
    } catch (error) {
      if (error instanceof DeviceError) return;
      throw error;
    }
    this.#run.problem('request', 'a state that is cut was taken');
  }

  /** The device goes on behind another back end. */
  async #goOver(): Promise<void> {
    const { plan } = this.#run;
    const before = this.#side.backEnd.settings;
    const state = plan.face === 'user' ? await this.#side.backend.saveState() : null;
    const { bases, inflight } = this.#vmm;
    await this.#side.backend.close();
    this.#isLogged = false;
    this.#side = makeSide(this.#run, 'destination', this.wire);
    this.guest.moveTo(this.#there);
    this.#vmm = new RigVmm(this.#side.backend, plan, this.#there, this.guest, bases, this.#settle, inflight);
    await this.#vmm.open();
    if (state !== null && this.#run.fault?.needs?.probes === true) await this.#probeCut(state);
    if (state !== null) {
      await this.#side.backend.loadState(state);
      const now = this.#side.backEnd.settings;
      if (JSON.stringify([...before.fdb]) !== JSON.stringify([...now.fdb]))
        this.#run.problem('settings', 'the destination has not learned what the source had');
    }
    await this.#vmm.start();
    for (let n = 0; n < 3; n++) this.#turn();
  }
}
