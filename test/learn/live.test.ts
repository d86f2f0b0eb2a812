import { describe, expect, test } from 'vitest';
import { onRequest, wrapDevice, wrapFd } from '../../devices/faults/wrap.js';
import { mockTarget } from '../../devices/mock-target.js';
import { Uart } from '../../devices/uart/uart.js';
import type { Mealy } from '../../src/automaton/index.js';
import {
  DeviceTeacher,
  type DeviceTeacherOptions,
  differences,
  type LearnOptions,
  learnMachine,
  protocolExpectation,
} from '../../src/learn/index.js';
import { type Target, vfioUserTarget } from '../../src/target/index.js';
import { type Device, DeviceError, type OptionalCall } from '../../src/uapi/index.js';
import { serveVfioUser, withoutP2p } from '../../src/vfio-user/index.js';
import { listening, shape } from '../vfio-user/servers.js';
import { differencesFrom } from './conformance.js';

async function learn(target: Target | (() => Target), options: DeviceTeacherOptions, how: LearnOptions = {}) {
  const teacher = await DeviceTeacher.open(target, options);
  const learned = await learnMachine(teacher, how);
  await teacher.close();
  const expectation = protocolExpectation(teacher.capabilities, teacher.alphabet);
  return { learned, teacher, differences: differencesFrom(learned.machine, expectation) };
}

/** A target whose device is made anew with each open. */
function targetOf(make: () => Device, lacks: readonly OptionalCall[] = []): Target {
  return {
    uri: 'it',
    profile: undefined,
    lacks: new Set(lacks),
    guest: null,
    open: async () => make(),
    close: async () => {},
  };
}

describe('a device behind a vfio-user socket, as stopcopy serve gives it', () => {
  /** One client after another; the device is reset between them. */
  const behind = async (device: Device) => {
    const path = await listening(async (channel) => {
      await serveVfioUser(channel, { device: withoutP2p(device), ...shape(8) });
      await device.reset();
    });
    return vfioUserTarget(`vfio-user:${path}`);
  };

  test.each([
    ['uart', 2900, 11_000],
    ['e810-vf?precopy', 2900, 11_000],
  ] as const)(
    '%s is learned exactly, within so many calls',
    { timeout: 60_000 },
    async (text, most, mostWithSession) => {
      const device = () => mockTarget(`mock:${text}`).open();
      const requests = await learn(await behind(await device()), {});
      expect(requests.learned).toMatchObject({ complete: true, reason: null });
      expect(requests.differences).toEqual([]);
      expect(requests.learned.machine.states).toHaveLength(5);
      expect(requests.learned.requests).toBeLessThan(most);

      const sessions = await learn(
        await behind(await device()),
        { groups: ['request', 'session'] },
        { extraStates: 0, walks: 30, seed: 2 },
      );
      expect(sessions.learned).toMatchObject({ complete: true, reason: null });
      expect(sessions.differences).toEqual([]);
      expect(sessions.learned.requests).toBeLessThan(mostWithSession);
      expect(sessions.learned.notes).toEqual([
        'each word begins with VFIO_DEVICE_RESET; what lasts over a reset is not seen',
        'PRECOPY_INFO was left out: the device does not offer it',
        'DATA_SIZE was left out: the device does not offer it',
      ]);
    },
  );

  test('each word may have a connection of its own', { timeout: 60_000 }, async () => {
    const { learned, differences: found } = await learn(
      await behind(new Uart()),
      { fresh: 'open' },
      { extraStates: 0 },
    );
    expect(learned.complete).toBe(true);
    expect(learned.machine.states).toHaveLength(5);
    expect(found).toEqual([]);
  });
});

describe('devices that do not answer', () => {
  /** read() in STOP_COPY never returns. */
  const hanging = () =>
    onRequest(new Uart(), async ({ wanted, go }) => {
      const fd = await go();
      if (fd === null || wanted !== 'STOP_COPY') return fd;
      return wrapFd(fd, { read: () => new Promise<number>(() => {}) });
    });

  test('a call that hangs is an answer, and the word is over', { timeout: 60_000 }, async () => {
    const { learned, differences: found } = await learn(
      targetOf(hanging),
      { groups: ['request', 'session'], timeout: 5 },
      { extraStates: 0, walks: 0 },
    );
    expect(learned.complete).toBe(true);
    expect(found).toContain('STOP_COPY READ: no answer (no answer)');
    expect(learned.machine.states).toContain('no answer');
    expect(learned.notes.join('\n')).toMatch(
      /\d+ calls got no answer: read\(\) of the data_fd has not returned within 5 ms/,
    );
    expect(learned.notes.join('\n')).toContain(
      'WRITE was left out: its image cannot be read: read() of the data_fd',
    );
  });

  test('what a device throws that is no answer is told as that', async () => {
    const crashing = () =>
      onRequest(new Uart(), async ({ from, wanted, go }) => {
        if (from === 'RUNNING_P2P' && wanted === 'STOP') throw new TypeError('a mistake');
        return go();
      });
    const { learned, differences: found } = await learn(targetOf(crashing), {}, { extraStates: 0 });
    expect(learned.complete).toBe(true);
    expect(found).toEqual(['RUNNING_P2P SET STOP: broken (broken)']);
  });

  test('a device that does not come back ends learning, with what was found', async () => {
    let isStuck = false;
    const stuck = () => {
      const device = new Uart();
      return onRequest(
        device,
        async ({ wanted, go }) => {
          if (isStuck) throw new DeviceError('EIO', 'it is stuck');
          const fd = await go();
          isStuck = wanted === 'PRE_COPY_P2P';
          return fd;
        },
        { getState: () => (isStuck ? 'PRE_COPY_P2P' : device.getState()) },
      );
    };
    const { learned } = await learn(targetOf(stuck), {});
    expect(learned).toMatchObject({ complete: false, reason: 'lost' });
    expect(learned.notes).toContain('it does not come back to RUNNING');
    expect(learned.machine.states).toContain('STOP_COPY');
  });

  test('a reset that is lost is found, and the device brought back by requests', async () => {
    const { learned, differences: found } = await learn(
      mockTarget('mock:uart?fault=reset-lost'),
      {},
      { extraStates: 0 },
    );
    expect(learned.complete).toBe(true);
    expect(found).toContain('STOP_COPY RESET: ok (STOP_COPY)');
    expect(learned.notes.join('\n')).toMatch(/\d+ words began after a request for the first state/);
  });

  test('what outlives the beginning of a word is non-determinism', async () => {
    const { learned } = await learn(mockTarget('mock:uart?fault=file-left-by-reset'), {}, { extraStates: 0 });
    expect(learned.reason).toBe('nondeterminism');
    const { word, answers } = learned.nondeterminism!;
    expect(answers.map((each) => each.at(-1))).toContain('EEXIST (RUNNING)');
    expect(word.at(-1)).toMatch(/^SET (STOP_COPY|PRE_COPY|RESUMING)/);
  });

  test('a device that answers at random is told to', async () => {
    let draws = 1;
    const flaky = () =>
      onRequest(new Uart(), async ({ go }) => {
        draws = (Math.imul(draws, 1_103_515_245) + 12_345) >>> 0;
        if ((draws >>> 16) % 20 === 3) throw new DeviceError('EBUSY', 'not now');
        return go();
      });
    const { learned } = await learn(targetOf(flaky), {});
    expect(learned.reason).toBe('nondeterminism');
    expect(learned.nondeterminism!.answers.flat().join()).toContain('EBUSY');
  });
});

test('no difference is told that a device has not shown, however little is asked', async () => {
  const teacher = await DeviceTeacher.open(mockTarget('mock:uart'), { groups: ['request', 'session'] });
  const expectation = protocolExpectation(teacher.capabilities, teacher.alphabet);
  const suspects = (machine: Mealy) => differences(machine, expectation).map(({ word }) => word);
  const careless = await learnMachine(teacher, { extraStates: 0, walks: 0 });
  const mistaken = differences(careless.machine, expectation);
  expect(mistaken).not.toEqual([]);
  expect(mistaken.filter(({ word }) => careless.wasPut!(word))).toEqual([]);
  const careful = await learnMachine(teacher, { extraStates: 0, walks: 0, suspects });
  expect(differences(careful.machine, expectation)).toEqual([]);
  await teacher.close();
});

describe('how words begin', () => {
  test('a device without a reset is opened anew, and RESET is no input', async () => {
    const make = () => wrapDevice(new Uart(), { offersReset: false });
    const { learned, teacher } = await learn(targetOf(make), {}, { extraStates: 0 });
    expect(teacher.fresh).toBe('open');
    expect(learned.inputs).not.toContain('RESET');
    expect(learned.notes).toContain('RESET was left out: the device does not offer it');
    await expect(DeviceTeacher.open(targetOf(make), { fresh: 'reset' })).rejects.toThrow('offers no reset');
  });

  test('a target that cannot be opened again has to be reset', async () => {
    const target = targetOf(() => new Uart(), ['reopen']);
    await expect(DeviceTeacher.open(target, { fresh: 'open' })).rejects.toThrow('cannot be opened again');
    expect((await DeviceTeacher.open(target)).fresh).toBe('reset');
  });

  test('a damaged image is an input where it is asked for', async () => {
    const { learned, differences: found } = await learn(
      mockTarget('mock:uart'),
      { groups: ['request', 'session'], damaged: true },
      { extraStates: 0, walks: 20 },
    );
    const { machine } = learned;
    const at =
      machine.states.indexOf('RESUMING') * machine.inputs.length + machine.inputs.indexOf('WRITE damaged');
    expect(machine.outputs[machine.output[at]!]).toBe('EINVAL');
    expect(found).toEqual([]);
  });
});
