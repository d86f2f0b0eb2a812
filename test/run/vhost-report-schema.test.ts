import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { openVhostTarget } from '../../devices/open-vhost-target.js';
import { runVhostCases, vhostPeople, vhostTestJsonSchema } from '../../src/run/vhost/index.js';

const PUBLISHED = new URL('../../docs/schema/test-vhost-report.schema.json', import.meta.url);

async function reportOf(uri: string) {
  return runVhostCases({ target: await openVhostTarget(uri), timeout: 10_000, maxFailures: 100 });
}

describe('schema of the report of test on a vhost back end', () => {
  test('accepts reports, and nothing with another field', async () => {
    const validate = new Ajv2020().compile(vhostTestJsonSchema());
    for (const uri of ['mock:virtio-net:vdpa', 'mock:virtio-net:vhost?fault=bit-order']) {
      const report = await reportOf(uri);
      expect(validate(JSON.parse(JSON.stringify(report))), JSON.stringify(validate.errors)).toBe(true);
      expect(validate({ ...report, extra: 1 })).toBe(false);
      expect(validate({ ...report, verdict: 'maybe' })).toBe(false);
    }
  });

  test('is the published one (after a change: npx vitest run test/run/vhost-report-schema.test.ts -u)', async () => {
    await expect(`${JSON.stringify(vhostTestJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(PUBLISHED),
    );
  });
});

describe('the report for people', () => {
  const peopleOf = async (uri: string) => {
    const replay = (id: string) => `replay ${id}`;
    return [...vhostPeople(await reportOf(uri), { color: false, replay })].join('');
  };

  test('says what is left out and why, and the verdict at last', async () => {
    const text = await peopleOf('mock:virtio-net:vdpa');
    expect(text).toMatch(/^skipped: \d+ cases: vhost-vdpa has no dirty log \(log-transmit, /m);
    expect(text).toMatch(/\nverdict: PASS {2}(\d+) of \1 cases passed, \d+ skipped\n$/);
  });

  test('says of a failure the rule or the case, who is to blame, and how to see it again', async () => {
    const text = await peopleOf('mock:virtio-net:vhost?fault=bit-order');
    expect(text).toMatch(
      /^failure\[VHOST-LOG-18\]: a page that changed is marked\n {2}--> case log-transmit: /,
    );
    expect(text).toMatch(/ {3}= clause: vhost\/dirty-law, /);
    expect(text).toContain('   = replay: replay log-transmit\n');
    expect(text).toMatch(
      /\nfailure: LOG_ALL and the flags of the rings are two switches\n {2}--> case log-gates: /,
    );
    expect(text).toMatch(/\nverdict: FAIL {2}/);
  });
});
