import { describe, expect, test } from 'vitest';
import { type ArcCallbacks, MigratableDevice, Uart } from '../../devices/index.js';
import {
  CAPABILITY_SETS,
  type CapabilitySet,
  capabilityNames,
  inPreCopy,
  inSavingGroup,
  opensSession,
  requestedPath,
} from '../../src/machines/index.js';
import type { DataFd } from '../../src/uapi/index.js';
import { MIG_STATE_NUMBER, MIG_STATES, type MigState } from '../../src/uapi/vfio.js';
import {
  broken,
  code,
  drain,
  fill,
  inLab,
  LabUart,
  pour,
  randomNumbers,
  refusal,
  statesToAsk,
  wayTo,
} from './lab.js';

const named = CAPABILITY_SETS.map((caps) => [capabilityNames(caps).join(', '), caps] as const);

/** A stream that every UART takes. */
async function goodStream(caps: CapabilitySet): Promise<Uint8Array> {
  const source = new Uart('source', caps);
  await fill(source, 7);
  return drain(source.setState('STOP_COPY')!);
}

describe.each(named)('all ordered pairs of states: %s', (_name, caps) => {
  /** Resets the device and takes it to a state, with a whole stream written where one can be. */
  async function arrive(device: ReturnType<typeof inLab>['device'], state: MigState): Promise<DataFd | null> {
    await device.reset();
    let fd: DataFd | null = null;
    for (const hop of wayTo(state, caps)) fd = (await device.setState(hop)) ?? fd;
    if (state === 'RESUMING') await fd!.write(await goodStream(caps));
    return fd;
  }

  test('each request walks the arcs of its path, and a session comes where one begins', async () => {
    const { device, model, events } = inLab(new LabUart('vf0', caps));
    for (const from of statesToAsk(caps)) {
      for (const to of [...statesToAsk(caps), 'ERROR'] as const) {
        const old = await arrive(device, from);
        expect(await device.getState()).toBe(from);
        model.walked.length = 0;
        const path = requestedPath(from, to, caps);
        let fd = null as DataFd | null;
        const errno = await code(async () => {
          fd = await device.setState(to);
        });
        const at = `${from} to ${to}`;
        expect(errno, at).toBe(path === null ? 'EINVAL' : undefined);
        expect(await device.getState(), at).toBe(path === null ? from : to);
        expect(model.walked, at).toEqual(
          path?.map((hop, index) => `${path[index - 1] ?? from}>${hop}`) ?? [],
        );
        expect(fd !== null, at).toBe(path !== null && opensSession(from, to));
        await old?.close();
        await (fd as DataFd | null)?.close();
      }
    }
    expect(broken(events)).toEqual([]);
  });

  test('a failure on each arc of each path leaves the device where the arc began, or in ERROR', async () => {
    const { device, model, events } = inLab(new LabUart('vf0', caps));
    for (const from of statesToAsk(caps))
      for (const to of statesToAsk(caps))
        for (const fate of ['fails', 'breaks'] as const)
          for (const failing of requestedPath(from, to, caps) ?? []) {
            const old = await arrive(device, from);
            let began = from;
            model.fate = (arcFrom, arcTo) => {
              if (arcTo !== failing) return 'works';
              began = arcFrom;
              return fate;
            };
            const at = `${from} to ${to}, ${fate} on the way to ${failing}`;
            expect(await code(() => device.setState(to)), at).toBe('EIO');
            const now = fate === 'fails' ? began : 'ERROR';
            expect(await device.getState(), at).toBe(now);
            model.fate = () => 'works';
            if (now === 'ERROR') {
              for (const next of statesToAsk(caps))
                expect(await code(() => device.setState(next))).toBe('EINVAL');
              expect(await device.getState()).toBe('ERROR');
            }
            await old?.close();
          }
    await device.reset();
    expect(await device.getState()).toBe('RUNNING');
    expect(broken(events)).toEqual([]);
  });

  test('what is not offered, and what is no state, is refused', async () => {
    const device = new Uart('vf0', caps);
    for (const state of MIG_STATES) {
      const offered = statesToAsk(caps).includes(state);
      expect(await code(() => device.setState(state)), state).toBe(offered ? undefined : 'EINVAL');
      device.reset();
      expect(await code(() => device.setState(MIG_STATE_NUMBER[state])), state).toBe(
        offered ? undefined : 'EINVAL',
      );
      device.reset();
    }
    for (const number of [8, 255, -1, 1.5, 2 ** 32 - 1])
      expect(await code(() => device.setState(number))).toBe('EINVAL');
    expect(device.getState()).toBe('RUNNING');
  });

  test('the data_fd gives what its session, its state and its life allow', async () => {
    const device = new Uart('vf0', caps);
    const load = device.setState('RESUMING')!;
    expect(await code(() => load.read(new Uint8Array(4)))).toBe('EBADF');
    expect(await code(() => load.precopyInfo())).toBe('ENOTTY');
    device.reset();
    expect(await code(() => load.write(Uint8Array.of(1)))).toBe('ENODEV');
    const save = device.setState('STOP_COPY')!;
    expect(await code(() => save.write(Uint8Array.of(1)))).toBe('EBADF');
    expect(await code(() => save.precopyInfo())).toBe(caps.preCopy ? 'EINVAL' : 'ENOTTY');
    expect(save.read(new Uint8Array(0))).toBe(0);
    expect((await drain(save)).length).toBeGreaterThan(0);
    expect([save.read(new Uint8Array(9)), save.read(new Uint8Array(9))]).toEqual([0, 0]);
    device.setState('STOP');
    expect(await code(() => save.read(new Uint8Array(9)))).toBe('ENODEV');
    save.close();
    expect(await code(() => save.read(new Uint8Array(9)))).toBe('EBADF');
    expect(await code(() => save.close())).toBe('EBADF');
    expect(await code(() => device.optInPrecopyInfoV2())).toBe(caps.preCopy ? undefined : 'ENOTTY');
  });
});

describe.each(named)('a random walk: %s', (_name, caps) => {
  test.each([1, 2, 3])(
    'seed %i',
    async (seed) => {
      const stream = await goodStream(caps);
      const random = randomNumbers(seed * 7919);
      const { device, model, events, report } = inLab(new LabUart('vf0', caps));
      const states = statesToAsk(caps);
      let fd = null as DataFd | null;
      /** What the walk itself knows: the state, and how much of a good stream was written. */
      let state = 'RUNNING' as MigState;
      let written = 0;
      let refused = false;
      let logging = false;

      const reset = async () => {
        await device.reset();
        state = 'RUNNING';
        refused = false;
      };
      const ask = async () => {
        const to = random(20) === 0 ? 'ERROR' : states[random(states.length)]!;
        const fate = random(8) === 0 ? (random(3) === 0 ? 'breaks' : 'fails') : 'works';
        model.fate = () => (random(3) === 0 ? fate : 'works');
        const path = requestedPath(state, to, caps);
        let opened: DataFd | null = null;
        const error = await refusal(async () => {
          opened = await device.setState(to);
        });
        const now = await device.getState();
        if (path === null) expect([error?.code, now]).toEqual(['EINVAL', state]);
        else if (!error) {
          expect(now).toBe(to);
          expect(opened !== null).toBe(opensSession(state, to));
          if (state === 'RESUMING' && to !== 'RESUMING') expect(written).toBe(stream.length);
        } else expect([state, ...path.slice(0, -1), 'ERROR']).toContain(now);
        const goesOn = now === state || (inSavingGroup(now) && inSavingGroup(state));
        if (!goesOn || opened) {
          await fd?.close();
          fd = opened;
          written = 0;
        }
        state = now;
      };
      const read = async () => {
        if (!fd || !inSavingGroup(state)) return;
        const size = 1 + random(60);
        const error = await refusal(async () =>
          expect(await fd!.read(new Uint8Array(size))).toBeLessThanOrEqual(size),
        );
        if (error) expect([error.code, inPreCopy(state)]).toEqual(['ENOMSG', true]);
      };
      const write = async () => {
        if (!fd || state !== 'RESUMING') return;
        const bad = random(12) === 0;
        const size = random(3) === 0 ? 1 : 1 + random(50);
        const bytes = bad
          ? Uint8Array.from({ length: size + 60 }, () => random(256))
          : stream.subarray(written, written + size);
        const error = await refusal(() => fd!.write(bytes));
        if (!bad) {
          expect(error).toBeUndefined();
          written += bytes.length;
        } else {
          expect(error?.code).toBe('EINVAL');
          refused = true;
        }
      };
      const query = async () => {
        const info = await refusal(async () => fd?.precopyInfo());
        if (fd && caps.preCopy && inSavingGroup(state))
          expect(info?.code).toBe(inPreCopy(state) ? undefined : 'EINVAL');
        expect(await device.dataSize()).toBeGreaterThan(0n);
        if (random(4) === 0 && caps.preCopy) await device.optInPrecopyInfoV2();
      };
      const log = async () => {
        const range = { iova: 0x10000n, length: 0x4000n };
        const many = random(6) === 0 ? [] : [range];
        if (random(3) > 0) {
          const error = await code(() => device.dmaLogging!.start({ pageSize: 4096n, ranges: many }));
          expect(error).toBe(logging || many.length === 0 ? 'EINVAL' : undefined);
          logging ||= error === undefined;
        } else {
          expect(await code(() => device.dmaLogging!.stop())).toBe(logging ? undefined : 'EINVAL');
          logging = false;
        }
        model.dmaLogging.mark(0x11004n, 4n);
        const pageSize = random(5) === 0 ? 512n : 4096n;
        const error = await code(() => device.dmaLogging!.report({ ...range, pageSize }));
        expect(error).toBe(logging && pageSize === 4096n ? undefined : 'EINVAL');
      };
      const guest = async () => {
        model.receive(random(256));
        await device.writeRegion(0, 7, Uint8Array.of(random(256)));
        await device.readRegion(0, 0, 8);
      };
      const actions = [ask, ask, ask, read, read, read, write, write, write, write, query, guest, guest, log];

      for (let step = 0; step < 2500; step++) {
        if (refused || random(40) === 0 || (state === 'ERROR' && random(2) === 0)) await reset();
        else await actions[random(actions.length)]!();
        if (random(9) === 0) expect(await device.getState()).toBe(state);
      }
      await fd?.close();
      expect(broken(events)).toEqual([]);
      const { verdict, rules, devices } = report();
      expect(verdict).toBe('conformant');
      expect(rules.checked.length).toBeGreaterThanOrEqual(25);
      expect(devices[0]!.transitions).toBeGreaterThan(100);
    },
    30_000,
  );
});

describe('an author who errs is told', () => {
  const device = (arcs: ArcCallbacks) => {
    class Wrong extends MigratableDevice {
      protected override readonly arcs = arcs;
      protected override onReset(): void {}
      protected override estimate = () => 0;
      override readRegion = () => new Uint8Array(0);
      override writeRegion = () => {};
    }
    return new Wrong('wrong', CAPABILITY_SETS[0]!);
  };
  const session = { read: () => 0 };
  const load = { write: () => undefined };

  test('of arcs that do not exist, and of sessions that are missing', () => {
    expect(() => device({ 'STOP>PRE_COPY': () => session }).setState('STOP')).toThrow('no arc STOP>PRE_COPY');
    expect(() => device({}).setState('STOP')).toThrow('no session for STOP>STOP_COPY, STOP>RESUMING');
  });

  test('of a session where none begins, and of none where one does', () => {
    const arcs = { 'STOP>STOP_COPY': () => {}, 'STOP>RESUMING': () => load, 'RUNNING>STOP': () => session };
    expect(() => device(arcs).setState('STOP')).toThrow('RUNNING>STOP must not return a session');
    const silent = device({ ...arcs, 'RUNNING>STOP': () => {} });
    expect(() => silent.setState('STOP_COPY')).toThrow('STOP>STOP_COPY must return a session');
    expect(silent.getState()).toBe('STOP');
  });

  test('of an arc that crashes: the device is in ERROR, and the reason is kept', async () => {
    const bug = new Error('a bug');
    const arcs = { 'STOP>STOP_COPY': () => session, 'STOP>RESUMING': () => load };
    const crashing = device({
      ...arcs,
      'RUNNING>STOP': () => {
        throw bug;
      },
    });
    const error = await refusal(() => crashing.setState('STOP'));
    expect([error?.code, error?.cause]).toEqual(['EIO', bug]);
    expect(crashing.getState()).toBe('ERROR');
  });

  test('of a session that moves more than it was given', () => {
    const arcs = { 'STOP>STOP_COPY': () => ({ read: () => 9 }), 'STOP>RESUMING': () => load };
    const fd = device(arcs).setState('STOP_COPY')!;
    expect(() => fd.read(new Uint8Array(4))).toThrow('a session has moved 9 of 4 bytes');
  });
});

test('REINIT is told after the opt-in only', () => {
  class Reinit extends MigratableDevice {
    protected override readonly arcs: ArcCallbacks = {
      'RUNNING>PRE_COPY': () => ({ read: () => 0, precopy: () => ({ initial: 4, dirty: 0, reinit: true }) }),
      'STOP>STOP_COPY': () => ({ read: () => 0 }),
      'STOP>RESUMING': () => ({ write: () => undefined }),
    };
    protected override onReset(): void {}
    protected override estimate = () => 0;
    override readRegion = () => new Uint8Array(0);
    override writeRegion = () => {};
  }
  const device = new Reinit('reinit', CAPABILITY_SETS[2]!);
  const fd = device.setState('PRE_COPY')!;
  expect(fd.precopyInfo()).toEqual({ initial: 4n, dirty: 0n });
  device.optInPrecopyInfoV2();
  expect(fd.precopyInfo()).toEqual({ initial: 4n, dirty: 0n, reinit: true });
});

test('bytes are poured to the last one', async () => {
  const device = new Uart();
  await pour(device.setState('RESUMING')!, await goodStream(CAPABILITY_SETS[3]!), () => 3);
  device.setState('RUNNING');
  expect(device.getState()).toBe('RUNNING');
});
