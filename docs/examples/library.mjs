import { validateInputs } from 'stopcopy';
import { capabilitySet, requestedPath } from 'stopcopy/machines';

const file = 'test/traces/qemu-11.1/cancel-pre-switchover/src.trace.log';
const report = await validateInputs([{ file, host: 'source' }]);
console.log(report.verdict);
for (const { rule, party, level, line } of report.violations) console.log(rule, party, level, line);

console.log(requestedPath('RUNNING', 'STOP_COPY', capabilitySet(['p2p', 'pre-copy'])).join(' '));
