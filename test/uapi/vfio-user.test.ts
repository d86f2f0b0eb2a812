import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeVfioUserHeader,
  decodeVfioUserMigData,
  decodeVfioUserVersion,
  encodeVfioUserMessage,
  VFIO_USER_COMMANDS,
  vfioUserCommand,
} from '../../src/uapi/vfio-user.js';

describe('vfio-user messages', () => {
  it('come back as they were', () => {
    const head = fc.record({
      msgId: fc.integer({ min: 0, max: 0xffff }),
      command: fc.integer({ min: 0, max: 0xffff }),
      type: fc.constantFrom('command' as const, 'reply' as const),
      noReply: fc.boolean(),
      failed: fc.boolean(),
      errno: fc.integer({ min: 0, max: 4095 }),
    });
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 50 }), (fields, payload) => {
        const bytes = encodeVfioUserMessage(fields, payload);
        expect(decodeVfioUserHeader(bytes)).toEqual({ ...fields, size: bytes.length });
        expect(bytes.subarray(16)).toEqual(payload);
      }),
    );
  });

  it('reads a failed reply of libvfio-user', () => {
    expect(decodeVfioUserHeader(Buffer.from('0ff00900100000002100000016000000', 'hex'))).toEqual({
      msgId: 0xf00f,
      command: VFIO_USER_COMMANDS.REGION_READ,
      size: 16,
      type: 'reply',
      noReply: false,
      failed: true,
      errno: 22,
    });
  });

  it('refuses headers that cannot be', () => {
    const bytes = Buffer.from(
      encodeVfioUserMessage({
        msgId: 1,
        command: 1,
        type: 'command',
        noReply: false,
        failed: false,
        errno: 0,
      }),
    );
    expect(() => decodeVfioUserHeader(bytes.subarray(0, 15))).toThrow('vfio_user_header');
    bytes[8] = 2;
    expect(() => decodeVfioUserHeader(bytes)).toThrow('expected type 0 or 1, got 2');
    bytes[4] = 15;
    expect(() => decodeVfioUserHeader(bytes)).toThrow('vfio_user_header.size: expected at least 16, got 15');
  });

  it('knows each command by its number', () => {
    for (const [name, number] of Object.entries(VFIO_USER_COMMANDS))
      expect(vfioUserCommand(number)).toBe(name);
    expect([0, 14, 19].map(vfioUserCommand)).toEqual([undefined, undefined, undefined]);
  });

  it('reads a version up to the NUL', () => {
    const payload = Buffer.concat([Buffer.from([0, 0, 2, 0]), Buffer.from('{}\0junk')]);
    expect(decodeVfioUserVersion(payload)).toEqual({ major: 0, minor: 2, json: '{}' });
    expect(decodeVfioUserVersion(payload.subarray(0, 4)).json).toBe('');
    expect(decodeVfioUserVersion(payload.subarray(0, 6)).json).toBe('{}');
  });

  it('takes as much data as the size field says, not as much as was sent', () => {
    const payload = Buffer.from('0a00000002000000aabb0000', 'hex');
    expect([...decodeVfioUserMigData(payload).data]).toEqual([0xaa, 0xbb]);
    payload[4] = 5;
    expect(() => decodeVfioUserMigData(payload)).toThrow(
      'vfio_user_mig_data with 5 bytes of data: expected at least 13 bytes, got 12',
    );
  });
});
