/** A migration cannot go on. The message is a sentence for people. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}
