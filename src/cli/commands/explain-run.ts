import { groupOf, RULE_SCHEMA, RULES_SCHEMA, ruleList, rulePage } from '../../document/rule-page.js';
import { jsonText } from '../../text/json.js';
import { painter } from '../../text/words.js';
import { wantsColor } from '../color.js';
import { UsageError } from '../exit.js';
import { print } from '../output.js';
import { RULE_TEXTS } from '../rule-texts.js';
import { didYouMean } from '../suggest.js';
import type { ExplainFlags } from './explain.js';

type Rule = (typeof RULE_TEXTS)[number];

/** Runs `stopcopy explain`. */
export async function runExplain(id: string | undefined, flags: ExplainFlags): Promise<void> {
  const paint = painter(wantsColor(flags.color));
  if (id === undefined) {
    const rules = RULE_TEXTS.map((rule) => ({ group: groupOf(rule), ...data(rule) }));
    return print(flags.json ? jsonText({ schema: RULES_SCHEMA, rules }) : ruleList(RULE_TEXTS, paint));
  }
  const rule = RULE_TEXTS.find((each) => each.id.toLowerCase() === id.toLowerCase());
  if (rule === undefined) {
    const ids = RULE_TEXTS.map((each) => each.id);
    throw new UsageError(`unknown rule '${id}'${didYouMean(id, ids)}; stopcopy explain lists all`);
  }
  const page = { schema: RULE_SCHEMA, ...data(rule), conformant: rule.conformant, violating: rule.violating };
  await print(flags.json ? jsonText(page) : rulePage(rule, paint));
}

/** The plain data of a rule: its monitor is code. */
function data({ id, title, party, level, about, clause, needs, causes }: Rule) {
  return { id, title, party, level, about, clause, needs, causes };
}
