import { FAULTS } from 'stopcopy/devices';
import { hanging, type Paint } from '../../text/words.js';

/** Name and version of the JSON that `stopcopy migrate --fault list --json` prints. */
const FAULTS_SCHEMA = 'stopcopy-faults-1';

/** All faults for people: what each does, what a device must have for it, and the rules that can find it. */
export function faultList(paint: Paint): string {
  return FAULTS.map(({ name, title, origin, needs, caughtBy }) => {
    const lines = [
      paint('bold', name),
      ...hanging('  ', title),
      ...hanging('  seen in  ', origin),
      ...(needs.length > 0 ? hanging('  needs    ', needs.join(', ')) : []),
      ...(caughtBy.length > 0 ? hanging('  rules    ', caughtBy.join(', ')) : []),
    ];
    return `${lines.join('\n')}\n`;
  }).join('\n');
}

/** The same as plain data. */
export function faultData(): object {
  const faults = FAULTS.map(({ name, title, origin, layer, needs, caughtBy }) => ({
    name,
    title,
    origin,
    layer,
    needs,
    caughtBy,
  }));
  return { schema: FAULTS_SCHEMA, faults };
}
