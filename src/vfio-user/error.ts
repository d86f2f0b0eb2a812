/**
 * The connection is of no use any more: the other side is gone, does not answer, or does not speak vfio-user.
 * What a device refuses is a `DeviceError` and leaves the connection as it is. The message is for people.
 */
export class VfioUserError extends Error {
  override readonly name = 'VfioUserError';
}
