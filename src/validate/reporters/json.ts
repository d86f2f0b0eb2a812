import { jsonText } from '../../text/json.js';
import type { Report } from '../report.js';

/** The report itself as JSON; `docs/schema/validate-report.schema.json` describes it. */
export function json(report: Report): Iterable<string> {
  return jsonText(report);
}
