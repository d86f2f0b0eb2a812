/**
 * Migration URIs, as QEMU's `migrate` and `-incoming` take them.
 * Source: QEMU `qapi/migration.json` (migrate), `migration/file.c` for the offset.
 */
import { TransportError } from './error.js';

/** Where a migration goes to or comes from. */
export type MigrationUri =
  /** `host` is empty where none was given: the loopback address. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  /** A command for `/bin/sh -c`. */
  | { readonly kind: 'exec'; readonly command: string }
  /** A descriptor that the process was started with. */
  | { readonly kind: 'fd'; readonly fd: number }
  /** `offset` in bytes: where in the file the stream begins. */
  | { readonly kind: 'file'; readonly path: string; readonly offset: number };

const FORMS = 'tcp:HOST:PORT, unix:PATH, exec:COMMAND, fd:N or file:PATH[,offset=N]';
/** Longest path of a unix socket in bytes (`sun_path` without its NUL). */
export const LONGEST_SOCKET_PATH = 107;
const LONGEST_QUOTE = 80;
/** Room for any socket path. */
const LONGEST_NAME = 120;

/**
 * Reads a migration URI.
 *
 * An IPv6 address stands in brackets. The offset of a file is a number of bytes, decimal with an optional
 * suffix K, M, G or T (powers of 1024), or hexadecimal with `0x`.
 * @throws TransportError which part is wrong, and what is expected there
 */
export function parseUri(text: string): MigrationUri {
  const [, kind, rest] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  if (kind === undefined || rest === undefined) refuse(text, `expected ${FORMS}`);
  if (rest.includes('\0')) refuse(text, 'expected no NUL character');
  switch (kind) {
    case 'tcp':
      return tcp(text, rest);
    case 'unix':
      return unix(text, rest);
    case 'exec':
      if (rest.trim() === '') refuse(text, 'expected a command after exec:, got none');
      return { kind, command: rest };
    case 'fd':
      return { kind, fd: wholeNumber(text, 'the descriptor', rest, 0, 0x7fff_ffff) };
    case 'file':
      return file(text, rest);
    default:
      return refuse(text, `the kind ${quoted(kind)} is not known, expected ${FORMS}`);
  }
}

/** The text of a URI; `parseUri` reads it back. */
export function formatUri(uri: MigrationUri): string {
  switch (uri.kind) {
    case 'tcp':
      return `tcp:${uri.host.includes(':') ? `[${uri.host}]` : uri.host}:${uri.port}`;
    case 'unix':
      return `unix:${uri.path}`;
    case 'exec':
      return `exec:${uri.command}`;
    case 'fd':
      return `fd:${uri.fd}`;
    case 'file':
      return `file:${uri.path}${uri.offset === 0 ? '' : `,offset=${uri.offset}`}`;
  }
}

/** A URI as messages name it: one line, and no longer than is useful. */
export function nameOf(uri: MigrationUri): string {
  const text = formatUri(uri).replace(/\p{Cc}/gu, '?');
  return text.length > LONGEST_NAME ? `${text.slice(0, LONGEST_NAME)}...` : text;
}

function tcp(text: string, rest: string): MigrationUri {
  const [, address, name, port] = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(rest) ?? [];
  if (port === undefined) {
    refuse(text, `expected HOST:PORT after tcp:, an IPv6 address in brackets, got ${quoted(rest)}`);
  }
  if (address !== undefined && !/^[0-9a-fA-F:.]+(%[\w.-]+)?$/.test(address)) {
    refuse(text, `expected an IPv6 address in the brackets, got ${quoted(address)}`);
  }
  const host = address ?? name ?? '';
  if (/[\s/,]/.test(host)) refuse(text, `expected the name or address of a host, got ${quoted(host)}`);
  return { kind: 'tcp', host, port: wholeNumber(text, 'the port', port, 0, 65535) };
}

function unix(text: string, path: string): MigrationUri {
  if (path === '') refuse(text, 'expected the path of a socket after unix:, got none');
  const length = Buffer.byteLength(path);
  if (length > LONGEST_SOCKET_PATH) {
    refuse(
      text,
      `the path has ${length} bytes, and a unix socket's has at most ${LONGEST_SOCKET_PATH}; choose a shorter one`,
    );
  }
  return { kind: 'unix', path };
}

function file(text: string, rest: string): MigrationUri {
  // As QEMU does, the first ",offset=" ends the path.
  const [, path = rest, offset] = /^(.*?),offset=(.*)$/s.exec(rest) ?? [];
  if (path === '') refuse(text, 'expected the path of a file after file:, got none');
  return { kind: 'file', path, offset: offset === undefined ? 0 : bytes(text, offset) };
}

const SHIFTS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

function bytes(text: string, offset: string): number {
  const [, hex, digits, suffix = ''] = /^(?:(0x[0-9a-f]+)|(\d+)([KMGT]?))$/i.exec(offset) ?? [];
  const value = hex === undefined ? Number(digits) * SHIFTS[suffix.toUpperCase()]! : Number(hex);
  if (!Number.isSafeInteger(value)) {
    refuse(text, `expected an offset in bytes such as 4096, 0x1000, 4K or 1M, got ${quoted(offset)}`);
  }
  return value;
}

function wholeNumber(text: string, what: string, digits: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(value >= least && value <= most)) {
    refuse(text, `expected ${what} as a number from ${least} to ${most}, got ${quoted(digits)}`);
  }
  return value;
}

/** A text as messages show it: one line, and no longer than is useful. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}...` : text);
}

function refuse(text: string, why: string): never {
  throw new TransportError(`migration URI ${quoted(text)}: ${why}`);
}
