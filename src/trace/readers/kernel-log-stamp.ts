/** A line of a kernel log without what the log put before it. */
export interface Stamped {
  /** Microseconds: since boot, or since 1970 where the log has wall-clock times. */
  t?: number;
  text: string;
}

/** `<7>` of `dmesg -r`, `kern  :debug : ` of `dmesg -x`. */
const LEVEL = /^(?:<\d{1,3}>|\w{1,12} *:\w{1,12} *: ?)/;
/** `[   12.496586] `, with a caller behind it on kernels that print one: `[    T123] `. */
const BOOT = /^\[ *(\d{1,12})\.(\d{1,9})\](?:\[ *[TC]\d+\])? ?/;
/** `[Sat Nov 21 01:19:18 2026] ` of `dmesg -T`. */
const WALL = /^\[\w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\] ?/;
/** `2026-11-21T01:19:18,761086+00:00 ` of `dmesg --time-format iso` and journalctl. */
const ISO = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)? /;
/** `Nov 21 01:19:18 ` of syslog and journalctl: no year, so no time. */
const SYSLOG = /^\w{3} +\d{1,2} \d\d:\d\d:\d\d(?:\.\d{1,9})? /;
/** `host kernel: ` behind the time, of syslog and journalctl. */
const SENDER = /^\S{1,255} kernel: /;

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

/** Takes time, level and sender off a line; what it does not know stays. */
export function unstamp(line: string): Stamped {
  let text = line.replace(LEVEL, '');
  let t: number | undefined;
  const take = (pattern: RegExp, time: (match: RegExpExecArray) => number | undefined) => {
    const match = pattern.exec(text);
    if (match === null) return;
    text = text.slice(match[0].length);
    t = time(match) ?? t;
  };
  take(ISO, isoTime);
  take(SYSLOG, () => undefined);
  // `journalctl -o short-monotonic` has the time first, syslog with printk times has it last.
  take(BOOT, bootTime);
  take(WALL, wallTime);
  take(SENDER, () => undefined);
  take(BOOT, bootTime);
  return t === undefined ? { text } : { t, text };
}

function bootTime([, seconds, fraction]: RegExpExecArray): number {
  return Number(seconds) * 1e6 + micros(fraction);
}

function micros(fraction: string | undefined): number {
  return fraction === undefined ? 0 : Math.round(Number(`0.${fraction}`) * 1e6);
}

function isoTime([, time, fraction, zone]: RegExpExecArray): number | undefined {
  const ms = Date.parse(`${time}${zone === undefined ? 'Z' : zone.replace(/^(.\d\d)(\d\d)$/, '$1:$2')}`);
  return Number.isNaN(ms) ? undefined : ms * 1000 + micros(fraction);
}

/** The log does not tell its zone: only differences of these times mean something. */
function wallTime([, month = '', day, hour, minute, second, year]: RegExpExecArray): number | undefined {
  const index = MONTHS.indexOf(month);
  if (index < 0 || index % 3 !== 0) return undefined;
  const ms = Date.UTC(Number(year), index / 3, Number(day), Number(hour), Number(minute), Number(second));
  return ms * 1000;
}
