import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { exploreSchema } from '../../src/explore/index.js';
import { MAIN, stopcopy } from '../support/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-explore-'));
afterAll(() => rmSync(folder, { recursive: true }));

const report = (text: string) => exploreSchema.parse(JSON.parse(text));

describe('stopcopy explore', () => {
  test('proves the properties of a model', () => {
    const { code, out } = stopcopy(['explore', 'two-phase-stop', '--json']);
    expect(code).toBe(0);
    expect(report(out)).toMatchObject({ model: 'two-phase-stop', verdict: 'holds', complete: true });
  });

  test('lists models, and the properties and variants of one', () => {
    expect(stopcopy(['explore']).out).toContain('precopy');
    const { out } = stopcopy(['explore', 'precopy', '--list']);
    expect(out).toContain('never-two-running (never)');
    expect(out).toContain('stale-resuming (implementation)');
  });

  test('a variant is violated, and its trace is judged by validate', () => {
    const trace = join(folder, 'run.ndjson');
    const args = ['explore', 'two-phase-stop', '--variant', 'qemu-11.1', '--trace', trace];
    const { code, out } = stopcopy(args);
    expect(code).toBe(1);
    expect(out).toContain('peer-to-peer write');
    expect(out).toMatch(/verdict: VIOLATED {2}1 property is violated/);
    const judged = stopcopy(['validate', trace]);
    expect([judged.code, judged.out.includes('VMM-MIG-07')]).toEqual([1, true]);
  });

  test('a bound gives unknown and exit code 3, and says what was covered', () => {
    const { code, out } = stopcopy(['explore', 'vhost-log-switch', '--max-states', '1000']);
    expect(code).toBe(3);
    expect(out).toContain('not complete: the bound of states was hit');
    expect(out).toContain('verdict: UNKNOWN');
    const memory = stopcopy([
      'explore',
      'vhost-log-switch',
      '--devices',
      '3',
      '--max-memory',
      '4M',
      '--json',
    ]);
    expect(memory.code).toBe(3);
    expect(report(memory.out)).toMatchObject({ verdict: 'unknown', reason: 'memory', complete: false });
  });

  test('one that is killed goes on from its checkpoint, to the same end', async () => {
    const file = join(folder, 'search.state');
    const model = ['explore', 'vhost-log-switch', '--devices', '2', '--pages', '3', '--json'];
    const whole = report(stopcopy(model).out);
    const child = spawn(process.execPath, [MAIN, ...model, '--checkpoint', file, '--checkpoint-every', '1']);
    const ended = new Promise((resolve) => child.on('exit', resolve));
    while (!existsSync(file) && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGKILL');
    await ended;
    expect(readFileSync(file).toString('latin1', 0, 8)).toMatch(/^STOP/);
    const resumed = report(stopcopy([...model, '--resume', file]).out);
    const { states, edges, depth, properties, verdict } = whole;
    expect(resumed).toMatchObject({ states, edges, depth, properties, verdict });
  });

  test.each([
    [['explore', 'precopi'], "unknown model 'precopi' (did you mean precopy?)"],
    [['explore', 'precopy', '--devices', '9'], 'takes 1 to 4 devices, not 9'],
    [['explore', 'precopy', '--variant', 'none'], "has no variant 'none'"],
    [['explore', 'precopy', '--property', 'none'], "has no property 'none'"],
    [['explore', 'precopy', '--resume', '/dev/null'], 'checkpoint'],
  ])('%s is refused in one line', (args, words) => {
    const { code, err } = stopcopy(args);
    expect([code, err.trim().split('\n').length]).toEqual([2, 1]);
    expect(err).toContain(words);
  });
});
