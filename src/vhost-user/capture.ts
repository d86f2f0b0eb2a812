import type { ProxyDirection } from './proxy.js';

/** The first line of a capture: messages of one connection, as NDJSON. */
export const CAPTURE_HEAD = `${JSON.stringify({ schema: 'stopcopy-vhost-user-1' })}\n`;

/**
 * A message as a line of a capture.
 * @param t µs since 1970
 * @param fds descriptors that came with it
 */
export function captureLine(t: number, direction: ProxyDirection, bytes: Uint8Array, fds: number): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
  return `{"t":${t},"dir":"${direction}","hex":"${hex}","fds":${fds}}\n`;
}

/** The end of the connection as a line of a capture. */
export function captureEnd(t: number, side: 'front' | 'back'): string {
  return `{"t":${t},"closed":"${side}"}\n`;
}
