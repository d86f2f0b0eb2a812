import { CLAUSES } from '../machines/index.js';
import { RULES } from '../rules/index.js';

/** All rules with the text of their clauses, as pages and reports need them. */
export const RULE_TEXTS = RULES.map((rule) => ({ ...rule, clause: CLAUSES[rule.clause] }));
