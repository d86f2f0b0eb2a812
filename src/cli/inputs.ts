import { existsSync } from 'node:fs';
import type { TraceInput } from '../trace/open.js';
import { UsageError } from './exit.js';

/**
 * The inputs that operands name: a file, `-` for standard input, or `HOST=FILE`. A file whose own
 * name holds a `=` is taken as it is.
 */
export function traceInputs(operands: readonly string[], format: string | undefined): TraceInput[] {
  const inputs = operands.map((operand) => traceInput(operand, format));
  if (inputs.length === 0) {
    if (process.stdin.isTTY) throw new UsageError('no input: name a trace file, or - for standard input');
    inputs.push(traceInput('-', format));
  }
  if (inputs.filter(({ file }) => file === '-').length > 1) {
    throw new UsageError('standard input (-) can be read only once');
  }
  return inputs;
}

function traceInput(operand: string, format: string | undefined): TraceInput {
  const rest = format === undefined ? {} : { format };
  const equals = operand.indexOf('=');
  if (equals > 0 && !existsSync(operand)) {
    const file = operand.slice(equals + 1);
    if (file === '-' || existsSync(file)) return { file, host: operand.slice(0, equals), ...rest };
  }
  return { file: operand, ...rest };
}
