// The tool itself, as the lab runs it.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LabError, run, until } from '../debian.mjs';

export const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
/** What was built; another folder can be named to try something else than what stands here. */
export const BUILT = process.env.STOPCOPY_LAB_PROJECT ?? PROJECT;
const MAIN = `${BUILT}/dist/cli/main.js`;

/** Numbers of the protocols. */
export const uapi = () => import(`${BUILT}/dist/uapi/index.js`);

/** Starts a command of the tool that goes on until it is told to end; ready when its socket is there. */
async function startTool(words, { socket, args, atEnd }) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(() => child.kill('SIGKILL'));
  const tool = { child, said: '', ended: false, code: null };
  const keep = (block) => {
    tool.said = (tool.said + block).slice(-20_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('close', (code) => {
    tool.ended = true;
    tool.code = code;
  });
  await until(`${words} listens`, () => tool.ended || existsSync(socket));
  if (tool.ended) throw new LabError(`${words} has ended: ${tool.said.trim()}`);
  tool.end = async () => {
    if (!tool.ended) child.kill('SIGINT');
    await until(`${words} ends`, () => tool.ended, 20_000).catch(() => child.kill('SIGKILL'));
  };
  return tool;
}

/** `stopcopy proxy` between a VMM and a back end. */
export const startProxy = ({ listen, connect, record, atEnd }) =>
  startTool('stopcopy proxy', {
    socket: listen,
    args: ['proxy', '--listen', listen, '--connect', connect, '--record', record, '--validate'],
    atEnd,
  });

/** `stopcopy serve` of the virtio-net device. */
export const startServed = ({ socket, record, atEnd }) =>
  startTool('stopcopy serve', {
    socket,
    args: ['serve', '--device', 'virtio-net', '--vhost-user', socket, '--record', record],
    atEnd,
  });

/**
 * `stopcopy validate` of recordings, taken together.
 * @returns its exit code, what it says to people, and its report
 */
export async function validate(files, report) {
  const args = [MAIN, 'validate', ...files, '--max-findings', '100000', '--reporter', `json=${report}`];
  const { code, output } = await run(process.execPath, [...args, '--reporter', 'people']);
  if (code === 2) throw new LabError(`stopcopy validate: ${output.trim().split('\n').slice(-3).join(' / ')}`);
  return { code, output, report: JSON.parse(readFileSync(report, 'utf8')) };
}
