// A live migration of the small guest between two QEMUs, each with a vhost-user back end of its own behind a proxy of
// ours, recorded on both sides and judged.
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { LabError, say, until } from '../debian.mjs';
import { startProxy } from './tool.mjs';
import { echoes, endVm, startVm, untilVm } from './vm.mjs';

/** Echoes that a guest must have had on each side. */
const ECHOES = 3;
/** Emulated, beside back ends that poll, a guest takes its time. */
const PATIENCE = 240_000;
/** Bytes a second: so slow that the guest has traffic while RAM is on its way, and the log something to tell. */
const BANDWIDTH = 24 << 20;
const MIGRATION = '/run/lab/migration.sock';
const SIDES = ['src', 'dst'];

/** Socket paths of a side, as the system of QEMU sees them. */
const sockets = (name) => ({ backend: `/run/lab/${name}.sock`, proxy: `/run/lab/${name}.proxy.sock` });

/**
 * Plays the migration.
 * @param startBackend makes a back end that listens at a socket; what it returns has an `end()`
 * @param out folder of the recordings
 * @returns what happened on the way
 */
export async function migrateWith({ host, guest, startBackend, out, atEnd }) {
  mkdirSync(out, { recursive: true, mode: 0o700 });
  const inHost = (path) => join(host.root, path);
  for (const path of [MIGRATION, ...SIDES.flatMap((name) => Object.values(sockets(name)))])
    rmSync(inHost(path), { force: true });
  const sides = {};
  for (const name of SIDES) {
    const { backend, proxy } = sockets(name);
    const behind = await startBackend({ name, socket: backend });
    const between = await startProxy({
      listen: inHost(proxy),
      connect: inHost(backend),
      record: join(out, `${name}.proxy.ndjson`),
      atEnd,
    });
    sides[name] = { behind, between };
  }
  const vm = (name, incoming) =>
    startVm({ host, guest, name, socket: sockets(name).proxy, incoming, out, atEnd });

  const src = await vm('src');
  await untilVm(src, `the guest has ${ECHOES} echoes`, () => echoes(src) >= ECHOES, PATIENCE);
  say(`the guest has ${echoes(src)} echoes on the source`);
  const dst = await vm('dst', `unix:${MIGRATION}`);
  for (const { monitor } of [src, dst])
    await monitor.ask('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] });
  await src.monitor.ask('migrate-set-parameters', { 'max-bandwidth': BANDWIDTH });
  await src.monitor.ask('migrate', { uri: `unix:${MIGRATION}` });
  const status = await untilMigrated(src);
  say(`the migration is ${status}`);
  const result = { status, before: echoes(src) };
  if (status === 'completed') {
    await untilVm(
      dst,
      `the guest has ${ECHOES} echoes on the other side`,
      () => echoes(dst) >= ECHOES,
      PATIENCE,
    ).catch(({ message }) => say(message));
    result.after = echoes(dst);
    say(`the guest has ${result.after} echoes on the destination`);
    result.run = [await runState(src), await runState(dst)];
    result.ram = (await src.monitor.ask('query-migrate')).return?.ram;
  }
  for (const one of [src, dst]) await endVm(one);
  result.proxies = [];
  for (const name of SIDES) {
    const { between, behind } = sides[name];
    // It ends with the connection.
    await until(`the proxy of ${name} ends`, () => between.ended, 20_000).catch(({ message }) =>
      say(message),
    );
    await between.end();
    result.proxies.push({ code: between.code, said: between.said });
    await behind.end();
  }
  for (const one of [src, dst]) copyFileSync(one.log, join(out, `${one.name}.trace.log`));
  return result;
}

const runState = async ({ monitor }) => (await monitor.ask('query-status')).return?.status;

async function untilMigrated(src) {
  let status;
  await until(
    'the migration ends',
    async () => {
      if (src.ended) throw new LabError(`QEMU (src) has ended in the migration: ${src.said.trim()}`);
      ({ status } = (await src.monitor.ask('query-migrate')).return ?? {});
      return ['completed', 'failed', 'cancelled'].includes(status);
    },
    PATIENCE,
  );
  return status;
}

/** The recordings of a migration that are there. */
export function recordings(out) {
  const names = SIDES.flatMap((name) => [`${name}.proxy.ndjson`, `${name}.trace.log`, `${name}.qmp.ndjson`]);
  return names.map((name) => join(out, name)).filter(existsSync);
}
