import type { Case } from '../suite/index.js';
import { type ScriptContext, Scripts } from './script.js';
import { endCases } from './session-ends.js';
import { loadCases } from './session-loads.js';
import { queryCases } from './session-queries.js';
import { readCases } from './session-reads.js';

/** The criterion `sessions`: what the data stream does in each state. */
export function sessionCases(context: ScriptContext): Case[] {
  const scripts = new Scripts('sessions', context);
  readCases(scripts);
  loadCases(scripts);
  endCases(scripts);
  queryCases(scripts);
  return scripts.cases;
}
