import type { TraceEvent } from '../trace/event.js';
import { errnoName } from '../uapi/errno.js';

/** Fields that say where and when, and so stand apart from what happened. */
const PLACE = new Set(['kind', 't', 'host', 'device', 'file', 'line', 'thread']);

/** An event on one short line: `host/device kind field=value ...`. */
export function eventLine(event: TraceEvent): string {
  const who = 'device' in event ? `${event.host}/${event.device}` : event.host;
  const fields = Object.entries(event).filter(([name, value]) => !PLACE.has(name) && value !== undefined);
  return [who, event.kind, ...fields.map(([name, value]) => `${name}=${valueText(name, value)}`)].join(' ');
}

function valueText(name: string, value: unknown): string {
  if (name === 'errno' && typeof value === 'number') return errnoName(value);
  if (name === 'result' && typeof value === 'number' && value < 0) return `-${errnoName(value)}`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
