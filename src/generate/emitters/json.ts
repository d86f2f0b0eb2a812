import { type Case, type Suite, suiteSchema } from '../../suite/index.js';
import type { EmittedFile } from './index.js';

/** The suite as a JSON document of `docs/schema`'s suite form: readable, a step a line. */
export function emitJson(suite: Suite): EmittedFile[] {
  // The schema puts keys into its order, whoever made the suite.
  const { cases, ...head } = suiteSchema.parse(suite);
  const lines = Object.entries(head).map(
    ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`,
  );
  const text = ['{', ...lines, '  "cases": [', cases.map(caseText).join(',\n'), '  ]', '}', ''].join('\n');
  return [{ name: `${head.model}.suite.json`, text }];
}

function caseText({ steps, ...head }: Case): string {
  const lines = Object.entries(head).map(
    ([key, value]) => `      ${JSON.stringify(key)}: ${JSON.stringify(value)},`,
  );
  const each = steps.map((step) => `        ${JSON.stringify(step)}`).join(',\n');
  return ['    {', ...lines, '      "steps": [', each, '      ]', '    }'].join('\n');
}
