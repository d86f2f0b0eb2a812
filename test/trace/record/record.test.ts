import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../../../src/trace/reader.js';
import { uapiBpftraceReader } from '../../../src/trace/readers/bpftrace-uapi.js';
import {
  kprobeDefinitions,
  kprobeScript,
  recorderProgram,
  runRecorder,
} from '../../../src/trace/record/index.js';
import { FEATURE_FLAGS, FEATURES, IOCTLS } from '../../../src/uapi/vfio.js';
import { feed, trace } from '../feed.js';

const SYSCALLS = '/sys/kernel/tracing/events/syscalls/sys_enter_ioctl/id';
const isRoot = process.getuid?.() === 0;
const hasBpftrace = spawnSync('bpftrace', ['--version']).status === 0;

describe('recorderProgram', () => {
  const program = recorderProgram({ bpftrace: '0.17.0' });

  it('is made of the numbers of the uAPI', () => {
    for (const command of [
      IOCTLS.VFIO_DEVICE_FEATURE,
      IOCTLS.VFIO_MIG_GET_PRECOPY_INFO,
      IOCTLS.VFIO_DEVICE_RESET,
      IOCTLS.VFIO_GROUP_GET_DEVICE_FD,
      IOCTLS.VFIO_DEVICE_BIND_IOMMUFD,
    ]) {
      expect(program).toContain(`== 0x${command.toString(16)}`);
    }
    expect(program).toContain(`$feature == ${FEATURES.DMA_LOGGING_REPORT}`);
    expect(program).toContain(`& 0x${FEATURE_FLAGS.PROBE.toString(16)}`);
  });

  it('writes records that are JSON', () => {
    const formats = [...program.matchAll(/printf\("(.*?)\\n"/g)].map((match) => match[1]!);
    expect(formats.length).toBeGreaterThan(12);
    for (const format of formats) {
      const text = format
        .replaceAll('\\"', '"')
        .replace(/0x%llx|%s/g, 'text')
        .replace(/%(?:ll)?[du]/g, '1');
      expect(JSON.parse(text)).toBeTypeOf('object');
    }
  });

  it('records one process if asked to, and takes nothing else for a process', () => {
    expect(program).not.toContain('pid ==  ');
    expect(recorderProgram({ pid: 4711 })).toContain('/pid == 4711 && ');
    for (const pid of [0, -1, 1.5, Number.NaN]) expect(() => recorderProgram({ pid })).toThrow(InputError);
    expect(recorderProgram({ bpftrace: '"); system("x' })).toContain('"bpftrace\\":\\"systemx\\"');
  });

  // What the installed bpftrace makes of it, as far as this machine lets it.
  it.skipIf(!isRoot || !hasBpftrace || !existsSync(SYSCALLS))('compiles', { timeout: 60_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-'));
    try {
      const run = spawnSync('bpftrace', ['--emit-elf', join(folder, 'out.o'), '-e', program], {
        encoding: 'utf8',
      });
      expect(run.stderr.replace(/ERROR: .*RLIMIT_MEMLOCK.*/, '')).not.toContain('ERROR');
      expect(existsSync(join(folder, 'out.o'))).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('kprobes', () => {
  it('name the registers of each machine', () => {
    expect(kprobeDefinitions({ arch: 'x86_64', driver: 'mtty_set_state' })).toEqual([
      'p:stopcopy/vfio_next vfio_mig_get_next_state dev=%di:x16 cur=%si:u32 new=%dx:u32',
      'r:stopcopy/vfio_next_ret vfio_mig_get_next_state ret=$retval:s32',
      'p:stopcopy/driver_set mtty_set_state dev=%di:x16 new=%si:u32',
    ]);
    expect(kprobeDefinitions({ arch: 'arm64' })).toEqual([
      'p:stopcopy/vfio_next vfio_mig_get_next_state dev=%x0:x16 cur=%x1:u32 new=%x2:u32',
      'r:stopcopy/vfio_next_ret vfio_mig_get_next_state ret=$retval:s32',
    ]);
  });

  it('refuse what is no symbol and machines that they do not know', () => {
    expect(() => kprobeDefinitions({ arch: 'x86_64', driver: "x'; reboot" })).toThrow(InputError);
    expect(() => kprobeDefinitions({ arch: 'riscv64' })).toThrow(/x86_64 and arm64, not for riscv64/);
    expect(() => kprobeDefinitions({ arch: 'constructor' })).toThrow(InputError);
  });

  it('are a script that a shell can read', () => {
    const run = spawnSync('sh', ['-n'], {
      input: kprobeScript({ arch: 'x86_64', driver: 'mtty_set_state' }),
    });
    expect(run.status).toBe(0);
  });
});

describe('runRecorder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'stopcopy-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A bpftrace that writes a recording and then waits for its end, as the real one does. */
  function standIn(body: string): string {
    const path = join(folder, 'bpftrace');
    writeFileSync(
      path,
      `#!/bin/sh\nif [ "$1" = --version ]; then echo bpftrace v0.17.0; exit; fi\n${body}\n`,
    );
    chmodSync(path, 0o755);
    return path;
  }

  it.skipIf(isRoot)('asks for root', async () => {
    await expect(runRecorder({})).rejects.toThrow(/needs root.*sudo/);
  });

  it.skipIf(!isRoot)('says what is missing', async () => {
    await expect(runRecorder({ bpftrace: join(folder, 'none') })).rejects.toThrow(
      /was not found.*apt-get install/,
    );
  });

  describe.skipIf(!isRoot || !existsSync(SYSCALLS))('as root', () => {
    it('records until it is told to end, for its owner only', async () => {
      const output = join(folder, 'out.ndjson');
      const stop = new AbortController();
      const bpftrace = standIn(
        `trap 'echo "{\\"ev\\":\\"end\\",\\"t\\":2}"; exit 0' INT\n` +
          `echo '{"schema":"stopcopy-uapi-1","t":1}'; : > '${folder}/up'\nwhile :; do sleep 0.05; done`,
      );
      const running = runRecorder({ pid: process.pid, output, bpftrace, signal: stop.signal });
      while (!existsSync(join(folder, 'up'))) await new Promise((done) => setTimeout(done, 10));
      stop.abort();
      await running;
      expect(statSync(output).mode & 0o777).toBe(0o600);
      expect(feed(uapiBpftraceReader, readFileSync(output)).cut).toBe(false);
    });

    it('says what bpftrace said when it fails', async () => {
      const bpftrace = standIn('echo "ERROR: no BTF" >&2; exit 3');
      const running = runRecorder({ output: join(folder, 'out'), bpftrace });
      await expect(running).rejects.toThrow(/ended with status 3.*\n.*no BTF/);
    });

    it('does not write through a link, and knows a process that is not there', async () => {
      const bpftrace = standIn('exit 0');
      symlinkSync(join(folder, 'elsewhere'), join(folder, 'link'));
      await expect(runRecorder({ output: join(folder, 'link'), bpftrace })).rejects.toThrow(/cannot write/);
      await expect(runRecorder({ pid: 2 ** 30, bpftrace })).rejects.toThrow(/there is no process/);
    });

    it('does nothing when it was told to end before', async () => {
      const output = join(folder, 'out');
      await runRecorder({ output, bpftrace: standIn('exit 1'), signal: AbortSignal.abort() });
      expect(existsSync(output)).toBe(false);
    });
  });

  it('wrote the recording that the tests of the reader use', () => {
    const [, head] = trace('recorder/walk.uapi.ndjson').toString().split('\n');
    expect(JSON.parse(head!)).toMatchObject({ schema: 'stopcopy-uapi-1', bpftrace: '0.23.2' });
  });
});
