// What the parts of the lab came to: checks with a word for each, and facts for people.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { recordings } from './migrate.mjs';
import { uapi, validate } from './tool.mjs';

const lines = (file) => readFileSync(file, 'utf8').trim().split('\n').filter(Boolean);
const ndjson = (file) => lines(file).map((line) => JSON.parse(line));
const count = (list) => `${list.length} ${list.length === 1 ? 'step' : 'steps'}`;

/** The facts that the machine has written down. */
function factsOf(folder) {
  const pairs = lines(join(folder, 'facts')).map((line) => /^(\S+?)=(.*)$/.exec(line).slice(1));
  return Object.fromEntries(pairs);
}

/** A verdict of the validator in words. */
function words({ report }) {
  const { verdict, violations } = report;
  const broken = [...new Set(violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule))];
  return `${verdict}${broken.length > 0 ? `, broken: ${broken.join(', ')}` : ''}`;
}

/** Whether all is well: a conformant input, and one in which something was looked at. */
const conformant = ({ code, report }) => code === 0 && report.verdict === 'conformant';

/** The requests that went from a front end to a back end, by number, in a capture of the proxy's. */
const requestsOf = (file) =>
  ndjson(file)
    .filter(({ dir }) => dir === 'f2b')
    .map(({ hex }) => Buffer.from(hex.slice(0, 8), 'hex').readUInt32LE());

/**
 * The live migration of a guest.
 * @param result what `migrateWith` gives
 * @param served whether the back end is ours, and has recorded what it saw
 */
export async function judgeMigration(out, { status, before, after = 0, run = [], ram, proxies }, served) {
  const { VHOST_USER_REQUESTS } = await uapi();
  const files = recordings(out);
  const judged = await validate(files, join(out, 'validate.json'));
  const requests = ['src', 'dst'].map((name) => requestsOf(join(out, `${name}.proxy.ndjson`)));
  const asked = (side, name) => requests[side].includes(VHOST_USER_REQUESTS[name]);
  const checks = {
    'the migration is completed': status === 'completed',
    'the source has stopped, the destination runs': run.join() === 'postmigrate,running',
    'the guest had echoes before, and has them after': before > 0 && after > 0,
    'the source was given a dirty log (SET_LOG_BASE), and asked where its rings stand':
      asked(0, 'SET_LOG_BASE') && asked(0, 'GET_VRING_BASE'),
    'the destination was told where its rings go on (SET_VRING_BASE)': asked(1, 'SET_VRING_BASE'),
    'the proxies have nothing against it while it goes on': proxies.every(({ code }) => code === 0),
    'both sides are conformant, taken together': conformant(judged),
  };
  const facts = [
    `${before} echoes before, ${after} after; RAM: ${ram?.transferred ?? 0} bytes in ${ram?.['dirty-sync-count'] ?? 0} rounds`,
    `requests through the proxies: ${requests[0].length} on the source, ${requests[1].length} on the destination; they end with ${proxies.map(({ code }) => code).join(' and ')}`,
    `validate ${files.length} recordings: ${words(judged)}`,
  ];
  for (const name of served ? ['src', 'dst'] : []) {
    const own = await validate([join(out, `${name}.served.ndjson`)], join(out, `${name}.served.json`));
    facts.push(`validate what the back end saw, ${name}: ${words(own)}`);
    checks[`what our back end did is conformant, ${name}`] = conformant(own);
  }
  return { facts, checks };
}

const RX_USED = 0x40001000;
const TX_USED = 0x40005000;
/** The page of a receive buffer, by its descriptor. */
const buffer = (slot) => 0x40010000 + 0x2000 * slot;
const buffers = (first, last) => Array.from({ length: last - first + 1 }, (_, n) => buffer(first + n));

/**
 * Pages whose bit each step sets, as another program saw it on Linux 7.2 with the same layout; the strace of that
 * run is in test/traces/kernel-vhost.
 */
const RECORDED_BITS = {
  'LOG_ALL off': [],
  '1 packet, LOG_ALL on, ring log off': [buffer(4)],
  'after ring log armed, no traffic': [],
  '1 packet, all logging': [RX_USED, buffer(5)],
  '3 packets of 1300, all logging': [RX_USED, ...buffers(6, 8)],
  '1 tx packet': [TX_USED],
  'one lap of the ring incl. a buffer crossing a page': [RX_USED, ...buffers(1, 15), 0x400a0000, 0x400a1000],
  '1 packet, LOG_ALL off again': [],
  'after stop': [],
};
const SAME_ERRNOS = {
  'SET_LOG_BASE before SET_OWNER': 'EPERM',
  'SET_OWNER again': 'EBUSY',
  'SET_VRING_NUM with a backend': 'EBUSY',
  'SET_VRING_BASE with a backend': 'EBUSY',
};

const bitsOf = (steps, when) => steps.find((step) => step.op === 'log' && step.when === when)?.bits;

/** Steps whose bits differ from those of the recorded run. */
function otherBits(steps) {
  return Object.entries(RECORDED_BITS).flatMap(([when, pages]) => {
    const want = pages.map((page) => `0x${page.toString(16)}`).join(' ');
    const got = bitsOf(steps, when)?.join(' ');
    return got === want ? [] : [`${when}: ${got} instead of ${want}`];
  });
}

/** Steps that ended otherwise than they should: all but those that are named succeed. */
const otherErrnos = (steps, expected) =>
  steps
    .filter(({ op, errno }) => errno !== undefined && errno !== (expected[op] ?? 'OK'))
    .map(({ op, errno }) => `${op}: ${errno}`);

const differ = (list) => (list.length === 0 ? '' : `: ${list.join('; ')}`);

/** A program of the machine that has not come to its end. */
function ended(folder, facts, name) {
  if (facts[name] === '0') return null;
  const file = join(folder, `${name.replace('_strace', '')}.err`);
  return `${name} ended with ${facts[name]}: ${existsSync(file) ? lines(file).slice(-3).join(' / ') : ''}`;
}

/** What `stopcopy test` said of a target. */
function cases(folder, facts, name) {
  const status = facts[`test_${name}`];
  const file = join(folder, `test-${name}.json`);
  if (!existsSync(file) || readFileSync(file).length === 0) {
    const said = join(folder, `test-${name}.err`);
    return { fact: `stopcopy test: ${existsSync(said) ? lines(said).at(-1) : 'did not run'}`, good: false };
  }
  const { verdict, cases: all, passed, skipped } = JSON.parse(readFileSync(file, 'utf8'));
  const left = Array.isArray(skipped) ? skipped.length : skipped;
  return {
    fact: `stopcopy test: ${verdict}, ${passed} of ${all} cases pass, ${left} skipped`,
    good: status === '0',
  };
}

/** Kernel vhost-net. */
export async function judgeKernel(folder) {
  const facts = factsOf(folder);
  if (facts.no_vhost_net !== undefined) return { why: facts.no_vhost_net };
  const failure = ended(folder, facts, 'vhost-net');
  if (failure !== null) return { facts: [failure], checks: { 'the program ran to its end': false } };
  const steps = ndjson(join(folder, 'vhost-net.steps.ndjson'));
  const judged = await validate([join(folder, 'vhost-net.ndjson')], join(folder, 'vhost-net.json'));
  const other = otherBits(steps);
  const errnos = otherErrnos(steps, SAME_ERRNOS);
  const swap = bitsOf(steps, '1 packet after the swap');
  const suite = cases(folder, facts, 'vhost-net');
  const checks = {
    [`the log has the bits of the recorded run, step by step${differ(other)}`]: other.length === 0,
    [`every request ended as it did there${differ(errnos)}`]: errnos.length === 0,
    'after a swap of the log the bits are in the new one': swap?.length === 2,
    'all that the kernel changed while it logged is in the log: conformant': conformant(judged),
    'stopcopy test --target vhost: passes': suite.good,
  };
  const said = [`Linux ${facts.kernel}: ${count(steps)}; validate: ${words(judged)}`, suite.fact];
  await judgeStrace(folder, facts, 'vhost-net', { checks, said, check: otherBits });
  return { facts: said, checks };
}

/** The same program, seen by strace. */
async function judgeStrace(folder, facts, name, { checks, said, check }) {
  const failure = ended(join(folder, 'strace'), facts, `${name}_strace`);
  const file = join(folder, `strace/${name}.strace`);
  checks[`it does the same under strace${failure === null ? '' : `: ${failure}`}`] =
    failure === null && check(ndjson(join(folder, `strace/${name}.steps.ndjson`))).length === 0;
  if (!existsSync(file)) return;
  const judged = await validate([file], `${file}.json`);
  said.push(`validate ${name}.strace: ${words(judged)}`);
  checks['and strace has nothing against it'] = judged.code === 0 || judged.code === 3;
}

const VDPA_ERRNOS = {
  SET_LOG_BASE: 'ENOTTY',
  'SET_FEATURES after FEATURES_OK': 'EBUSY',
  'SET_STATUS that takes bits away': 'EINVAL',
  'IOTLB update over the same range': 'EFAULT',
  'IOTLB update after the reset': 'EFAULT',
  'SET_VRING_BASE while running': 'EINVAL',
};

/** What the rings of the simulator came to, against what they should. */
function otherRings(steps) {
  const at = (op, when) =>
    steps.filter((step) => step.op === op && (when === undefined || step.when === when));
  const used = (when) => at('used', when).map(({ rx, tx }) => `${rx} received, ${tx} sent`)[0];
  const bases = (when) =>
    at('base', when)
      .map(({ num }) => num)
      .join();
  const wanted = [
    ['running', used('running'), '3 received, 3 sent'],
    ['suspended, 2 offered', used('suspended, 2 offered'), '3 received, 3 sent'],
    ['resumed', used('resumed'), '5 received, 5 sent'],
    ['bases, suspended', bases('suspended'), '3,3'],
    ['bases, suspended again', bases('suspended again'), '5,5'],
    ['after the move', used('after the move'), '7 received, 7 sent'],
  ];
  return wanted
    .filter(([, got, want]) => got !== want)
    .map(([what, got, want]) => `${what}: ${got}, not ${want}`);
}

/** The vDPA simulator. */
export async function judgeVdpa(folder) {
  const facts = factsOf(folder);
  if (facts.no_vdpa !== undefined) return { why: facts.no_vdpa };
  const failure = ended(folder, facts, 'vdpa');
  if (failure !== null) return { facts: [failure], checks: { 'the program ran to its end': false } };
  const steps = ndjson(join(folder, 'vdpa.steps.ndjson'));
  const judged = await validate([join(folder, 'vdpa.ndjson')], join(folder, 'vdpa.json'));
  const errnos = otherErrnos(steps, VDPA_ERRNOS);
  const rings = otherRings(steps);
  const suite = cases(folder, facts, 'vdpa');
  const names = steps.find(({ op }) => op === 'backend features').names;
  const checks = {
    [`status, features and memory are refused and taken as they should${differ(errnos)}`]:
      errnos.length === 0,
    [`suspend holds the rings, resume lets them go on, a new device goes on from their bases${differ(rings)}`]:
      rings.length === 0,
    conformant: conformant(judged),
    'stopcopy test --target vhost-vdpa: passes': suite.good,
  };
  const said = [
    `${facts.vdpa_file}: ${count(steps)}; it offers ${names.join(', ')}; validate: ${words(judged)}`,
    suite.fact,
  ];
  await judgeStrace(folder, facts, 'vdpa', { checks, said, check: otherRings });
  return { facts: said, checks };
}
