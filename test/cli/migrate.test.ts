import { describe, expect, test } from 'vitest';
import { migrateFlags } from '../../src/cli/commands/migrate.js';
import { runMigrate } from '../../src/cli/commands/migrate-run.js';
import { UsageError } from '../../src/cli/exit.js';
import { Host } from '../migrate/two-sides.js';

/** What the command says to options that make no migration. */
async function refusal(options: readonly string[], word?: string): Promise<string> {
  const error = await runMigrate(word, migrateFlags(options)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UsageError);
  return (error as Error).message;
}

describe('options that make no migration', () => {
  const HERE = ['--incoming', 'fd:0'];

  test.each<[string, string[], RegExp]>([
    [
      'a model',
      ['--device', 'ixgbe', ...HERE],
      /^--device ixgbe: no device model is called ixgbe; there are e810-vf, uart, dma$/,
    ],
    [
      'an option',
      ['--device', 'e810-vf?queue=1', ...HERE],
      /: no option is called queue; there are generation, /,
    ],
    ['a choice', ['--device', 'e810-vf?generation=c', ...HERE], /: generation is a or b, not c$/],
    ['queues', ['--device', 'e810-vf?queues=17', ...HERE], /: queues is a number from 1 to 16, not 17$/],
    ['a VSI', ['--device', 'e810-vf?vsi=0', ...HERE], /: vsi is a number from 1 to 65535, not 0$/],
    [
      'an option of the UART',
      ['--device', 'uart?queues=1', ...HERE],
      /: no option is called queues; there are capabilities, fault$/,
    ],
    [
      'what was not published',
      ['--personality', 'published', '--precopy', ...HERE],
      /published drivers have neither PRE_COPY/,
    ],
    ['a fault', ['--fault', 'gremlins', ...HERE], /no fault is called gremlins; there are read-restarts, /],
    ['little RAM', ['--ram', '20M', ...HERE], /^--ram 20971520: .* 25169920 or more$/],
    ['half a page', ['--ram', '67108865', ...HERE], /whole pages of 4096 bytes/],
    [
      'a tracker',
      ['--device-dirty', 'dma-logging', '--device', 'uart', ...HERE],
      /not every device has DMA logging/,
    ],
    ['a destination', ['--incoming', 'tcp:x'], /^--incoming .*expected HOST:PORT/],
    ['both sides', ['--to', 'unix:a', '--incoming', 'unix:b'], /^--to and --incoming are two sides/],
    ['a record', ['--record', '/no/such/folder', ...HERE], /^cannot write \/no\/such\/folder: ENOENT$/],
  ])('%s', async (_name, options, words) => {
    expect(await refusal(options)).toMatch(words);
  });

  test('a word without a side that it is for', async () => {
    expect(await refusal([], 'cancel')).toBe('cancel needs --control PATH of the running side');
  });

  test.each<[string, string[], RegExp]>([
    ['post-copy', ['--capability', 'postcopy-ram'], /post-copy: VFIO devices do not support post-copy/],
    [
      'an acknowledgement without a way back',
      ['--no-return-path', '--capability', 'switchover-ack'],
      /needs the capability return-path/,
    ],
  ])('%s', async (_name, options, words) => {
    expect(await refusal([...options, '--to', 'unix:/no/socket', '--json'])).toMatch(words);
  });
});

test('every device has a slot and a memory of its own', async () => {
  const host = await Host.make('source', [
    '--device',
    'e810-vf?generation=a&vsi=9',
    '--device',
    'uart',
    '--vfs',
    '2',
    '--ram',
    '64M',
  ]);
  expect(host.vm.devices.map(({ name, machine }) => [name, machine.model])).toEqual([
    ['0000:00:04.0', 'e810-vf'],
    ['0000:00:05.0', 'e810-vf'],
    ['0000:00:06.0', 'uart'],
    ['0000:00:07.0', 'uart'],
  ]);
  host.vm.dispose();
});
