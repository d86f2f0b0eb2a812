/** A state that is read well, and cannot be taken over here: another version, an unknown part, a value that cannot be. */
export class VmStateError extends Error {
  override readonly name = 'VmStateError';
  /** Where in the state, such as `wire.flows[2]`. */
  readonly path: string;

  constructor(path: string, message: string, options: ErrorOptions & { where?: string } = {}) {
    super(options.where ? `${message} (${options.where})` : message, options);
    this.path = path;
  }
}
