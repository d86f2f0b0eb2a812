import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatUri, type MigrationUri, parseUri } from '../../src/transport/index.js';
import { failure } from './scratch.js';

describe('parseUri', () => {
  const CASES: readonly (readonly [string, MigrationUri])[] = [
    ['tcp:host:4444', { kind: 'tcp', host: 'host', port: 4444 }],
    ['tcp::0', { kind: 'tcp', host: '', port: 0 }],
    ['tcp:[::1]:65535', { kind: 'tcp', host: '::1', port: 65535 }],
    ['tcp:[fe80::1%eth0]:1', { kind: 'tcp', host: 'fe80::1%eth0', port: 1 }],
    ['unix:/run/x:y', { kind: 'unix', path: '/run/x:y' }],
    ['exec:gzip -c > /tmp/x', { kind: 'exec', command: 'gzip -c > /tmp/x' }],
    ['fd:3', { kind: 'fd', fd: 3 }],
    ['file:/a,b', { kind: 'file', path: '/a,b', offset: 0 }],
    ['file:/a,offset=4096', { kind: 'file', path: '/a', offset: 4096 }],
    ['file:/a,offset=0x1fF', { kind: 'file', path: '/a', offset: 0x1ff }],
    ['file:/a,offset=4K', { kind: 'file', path: '/a', offset: 4096 }],
    ['file:/a,offset=3m', { kind: 'file', path: '/a', offset: 3 << 20 }],
  ];
  it.each(CASES)('reads %s', (text, uri) => {
    expect(parseUri(text)).toEqual(uri);
    expect(parseUri(formatUri(uri))).toEqual(uri);
  });

  it.each([
    ['', /expected tcp:HOST:PORT, unix:PATH, exec:COMMAND, fd:N or file:PATH/],
    ['/run/x.sock', /expected tcp:HOST:PORT/],
    ['rdma:host:1', /the kind "rdma" is not known/],
    ['tcp:4444', /expected HOST:PORT after tcp:, .* got "4444"/],
    ['tcp:::1:4444', /an IPv6 address in brackets/],
    ['tcp:[host]:1', /expected an IPv6 address in the brackets, got "host"/],
    ['tcp:host:65536', /the port as a number from 0 to 65535, got "65536"/],
    ['tcp:host:4444,to=9', /the port .* got "4444,to=9"/],
    ['tcp:a b:1', /the name or address of a host, got "a b"/],
    ['unix:', /expected the path of a socket/],
    [`unix:/${'x'.repeat(107)}`, /the path has 108 bytes, and a unix socket's has at most 107/],
    [`unix:/${'ä'.repeat(54)}`, /the path has 109 bytes/],
    ['unix:/a\0b', /no NUL character/],
    ['exec: ', /expected a command/],
    ['fd:-1', /the descriptor as a number from 0 .* got "-1"/],
    ['fd:name', /got "name"/],
    ['file:', /the path of a file/],
    ['file:,offset=1', /the path of a file/],
    ['file:/a,offset=', /an offset in bytes such as .* got ""/],
    ['file:/a,offset=-1', /got "-1"/],
    ['file:/a,offset=0x1K', /got "0x1K"/],
    ['file:/a,offset=9007199254740993', /an offset in bytes/],
  ])('refuses %j and says why', async (text, words) => {
    expect((await failure(() => parseUri(text))).message).toMatch(words);
  });

  it('never throws anything but its own error', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('tcp:', 'unix:', 'exec:', 'fd:', 'file:', ''),
        fc.string({ maxLength: 120 }),
        (kind, rest) => {
          let uri: MigrationUri;
          try {
            uri = parseUri(kind + rest);
          } catch (error) {
            expect(error).toMatchObject({ name: 'TransportError' });
            return;
          }
          expect(parseUri(formatUri(uri))).toEqual(uri);
        },
      ),
    );
  });
});
