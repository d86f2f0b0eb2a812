import type { TraceEvent } from '../event.js';
import { countUnknown, type ParseContext, type ParseCounts, type Reader } from '../reader.js';
import {
  asCount,
  firstLines,
  isObject,
  type JsonObject,
  kinds,
  type LinePlace,
  type LineResult,
  lineParser,
  micros,
  parseObject,
} from './line-parser.js';
import {
  capabilityEvents,
  eventOf,
  greetingEvents,
  infoEvents,
  looksLikeMigrationInfo,
  type OnHost,
} from './qmp-messages.js';

/** Most commands that wait for a reply; a monitor has a handful. */
const PENDING_LIMIT = 100;

const SET_CAPABILITIES = 'migrate-set-capabilities';

/** Lines by which the format is found out. */
const HEAD_LINES = 50;

/** Most refused commands that are told to the reader of the report. */
const REFUSED_LIMIT = 5;

/** Commands whose refusal belongs in a report. */
const MIGRATION_COMMANDS = /^(x-)?(migrate|calc-dirty-rate)/;

/** What may stand before the JSON text: an arrow, or the text of a libvirt monitor log line. */
const PREFIX = /^.*?(?:->|<-|\b(?:msg|reply|event)=)\s*(?=\{)/;

/** A message, and the time that a recorder put beside it (µs). */
interface Line {
  message?: JsonObject;
  t?: number;
}

interface Command {
  name: string;
  args: JsonObject;
  /** The command's `id`, when it had one; any JSON value may be one, clients use text or numbers. */
  id: unknown;
}

/**
 * Takes a line apart. A recorder's own line without a message gives no message; what begins like a
 * message and is none gives `undefined`.
 */
function decodeLine(text: string): Line | 'other' | undefined {
  const bare = text.trimStart().startsWith('{');
  const prefix = bare ? '' : PREFIX.exec(text)?.[0];
  if (prefix === undefined) return 'other';
  const object = parseObject(text.slice(prefix.length));
  if (object === undefined) return undefined;
  if (typeof object.k !== 'string') return { message: object };
  const t = micros(object.t);
  if (object.msg === undefined) return t;
  return isObject(object.msg) ? { message: object.msg, ...t } : undefined;
}

/** Whether an object is a QMP message, and how surely: a reply alone could be of another protocol. */
function messageCertainty(message: JsonObject): number {
  if (isObject(message.QMP)) return 1;
  if (typeof message.event === 'string' && isObject(message.timestamp)) return 1;
  if (typeof message.execute === 'string' || typeof message['exec-oob'] === 'string') return 0.9;
  return 'return' in message || isObject(message.error) ? 0.6 : 0;
}

/**
 * How sure the first message is, less when it stands among other lines: a terminal may show a monitor
 * and a log together.
 */
function detect(head: Uint8Array): number {
  const lines = firstLines(head, HEAD_LINES).map(decodeLine);
  const own = lines.filter((line) => typeof line === 'object');
  const first = own.find(({ message }) => message !== undefined)?.message;
  // The last line may be cut.
  return first === undefined ? 0 : messageCertainty(first) * Math.min(1, (own.length + 1) / lines.length);
}

/** The event's own time in µs; QEMU writes -1 where it has none. */
function ownTime(timestamp: unknown): number | undefined {
  if (!isObject(timestamp)) return undefined;
  const { seconds, microseconds } = timestamp;
  const [high, low] = [asCount(seconds), asCount(microseconds)];
  return high === undefined || low === undefined ? undefined : high * 1e6 + low;
}

/** One monitor: its commands, and the replies that belong to them. */
class Monitor {
  readonly #context: ParseContext;
  /** Commands without a reply yet, oldest first. Replies keep the order of commands, except by `id`. */
  #pending: Command[] = [];
  #refused = 0;

  constructor(context: ParseContext) {
    this.#context = context;
  }

  read(text: string, place: LinePlace, counts: ParseCounts): LineResult {
    const line = decodeLine(text);
    if (line === undefined) return undefined;
    if (line === 'other' || line.message === undefined) return [];
    const { message } = line;
    const t = ownTime(message.timestamp) ?? line.t;
    const at: OnHost = { ...(t === undefined ? {} : { t }), ...place };
    if (message.QMP !== undefined) return this.#greeting(message.QMP, at);
    if (message.event !== undefined) return readEvent(message, at, counts);
    const name = message.execute ?? message['exec-oob'];
    if (name !== undefined) return this.#command(name, message, at);
    if ('return' in message || message.error !== undefined) return this.#reply(message, at);
    return [];
  }

  /** A greeting begins a new connection: replies to commands of an older one never come. */
  #greeting(greeting: unknown, at: OnHost): readonly TraceEvent[] {
    this.#pending = [];
    return greetingEvents(greeting, at);
  }

  #command(name: unknown, message: JsonObject, at: OnHost): LineResult {
    if (typeof name !== 'string') return undefined;
    // Only these arguments are looked at later; others may be large.
    const args = name === SET_CAPABILITIES && isObject(message.arguments) ? message.arguments : {};
    if (this.#pending.length >= PENDING_LIMIT) this.#pending.shift();
    this.#pending.push({ name, args, id: message.id });
    return name === 'migrate_cancel' ? [{ kind: 'migration_cancel', ...at }] : [];
  }

  #reply(message: JsonObject, at: OnHost): readonly TraceEvent[] {
    const command = this.#take(message.id);
    if (message.error !== undefined) {
      this.#refusal(command, message.error);
      return [];
    }
    if (command?.name === SET_CAPABILITIES) return capabilityEvents(command.args, at);
    const isInfo =
      command === undefined ? looksLikeMigrationInfo(message.return) : command.name === 'query-migrate';
    return isInfo ? infoEvents(message.return, at) : [];
  }

  /** The command that a reply answers: by `id` when there is one, else the oldest. */
  #take(id: unknown): Command | undefined {
    if (id === undefined) return this.#pending.shift();
    const index = this.#pending.findIndex((command) => command.id === id);
    return index < 0 ? undefined : this.#pending.splice(index, 1)[0];
  }

  #refusal(command: Command | undefined, error: unknown): void {
    if (command === undefined || !MIGRATION_COMMANDS.test(command.name)) return;
    if (++this.#refused > REFUSED_LIMIT) return;
    const words = isObject(error) && typeof error.desc === 'string' ? error.desc : 'no description';
    this.#context.remark(`${command.name} was refused: ${words.slice(0, 300)}`);
  }
}

function readEvent(message: JsonObject, at: OnHost, counts: ParseCounts): LineResult {
  if (typeof message.event !== 'string') return undefined;
  const events = eventOf(message.event, isObject(message.data) ? message.data : {}, at);
  if (events !== 'unknown') return events;
  countUnknown(counts, message.event.slice(0, 64));
  return [];
}

/**
 * QMP, a JSON message a line: as it goes over the socket, wrapped as `{"t": seconds, "k": kind,
 * "msg": message}`, or behind `->` and `<-` or the text of a libvirt monitor log.
 * An event's time is its own; other messages have the time that a wrapper gives them, or none.
 */
export const qmpReader: Reader = {
  format: 'qmp',
  title: 'QMP stream, one JSON message a line',
  shows: kinds(
    'vmm_version',
    'migration_status',
    'set_state_result',
    'qmp_stop',
    'qmp_resume',
    'vm_reset',
    'capability',
    'migration_cancel',
    'migration_info',
  ),
  detect,
  open(context) {
    const monitor = new Monitor(context);
    return lineParser(context, (text, place, counts) => monitor.read(text, place, counts));
  },
};
