export type EmbeddedPostgresErrorCode =
  /** There are no PostgreSQL binaries for this machine, or they do not run on it. */
  | 'NO_BINARIES'
  /** The data directory cannot be created or written. */
  | 'NOT_WRITABLE'
  /** Another live process of this program runs PostgreSQL on this data directory. */
  | 'ALREADY_RUNNING'
  /** The data was written by another major version of PostgreSQL. */
  | 'OTHER_VERSION'
  /** The demanded port is taken. */
  | 'PORT_IN_USE'
  /** PostgreSQL did not start; the message carries the end of its log. */
  | 'START_FAILED';

/** Why the embedded PostgreSQL could not be started. The message tells the reader what to do. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
  readonly code: EmbeddedPostgresErrorCode;

  constructor(code: EmbeddedPostgresErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
