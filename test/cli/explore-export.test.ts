import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  type Model,
  modelNamed,
  modelOptions,
  toCSearch,
  toPromela,
  toTla,
} from '../../src/explore/index.js';
import { stopcopy } from '../support/cli.js';

const NAME = 'two-phase-stop';
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-export-'));
afterAll(() => rmSync(folder, { recursive: true }));

function model(): Model {
  const entry = modelNamed(NAME)!;
  return entry.make(modelOptions(entry, { devices: 3 }));
}

test.each([
  ['promela', toPromela],
  ['c', toCSearch],
] as const)('--export %s prints the model', (form, make) => {
  const { code, out, err } = stopcopy(['explore', NAME, '--devices', '3', '--export', form]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toBe(make(model()));
});

test('--export tla prints the module, with its configuration in a comment', () => {
  const { code, out } = stopcopy(['explore', NAME, '--devices', '3', '--export', 'tla']);
  const { module, config } = toTla(model());
  expect(code).toBe(0);
  expect(out.startsWith(module)).toBe(true);
  for (const line of config.trim().split('\n')) expect(out).toContain(`\\* ${line}\n`);
});

test('--export tla --output writes the module, and what TLC needs beside it', () => {
  const { files } = toTla(model());
  const path = join(folder, files[0]!.name);
  const { code, out, err } = stopcopy(['explore', NAME, '--devices', '3', '--export', 'tla', '-o', path]);
  expect({ code, out, err }).toEqual({ code: 0, out: '', err: '' });
  expect(readdirSync(folder).sort()).toEqual(files.map(({ name }) => name).sort());
  for (const { name, text } of files) expect(readFileSync(join(folder, name), 'utf8')).toBe(text);
});

test('a module in a file of another name is refused, for TLC would not find it', () => {
  const { code, err } = stopcopy(['explore', NAME, '--export', 'tla', '-o', join(folder, 'other.tla')]);
  expect(code).toBe(2);
  expect(err).toContain(`use --output ${join(folder, 'two_phase_stop.tla')}`);
  expect(readdirSync(folder)).not.toContain('other.tla');
});
