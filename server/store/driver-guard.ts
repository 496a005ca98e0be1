/**
 * Keeps a connection that died from spoiling the next query. postgres.js 3.4.9 opens it again for
 * that query, and forgets to forget:
 *
 * - The rows of a reply that was cut off stay counted, so that the next reply begins with as many
 *   holes. `const [row]` would read "no such row" where there is one. All rows are there behind the
 *   holes, so that taking these out is exact.
 * - The error by which PostgreSQL ended the session ("terminating connection …") is kept, and given
 *   to the next query, which has not been sent yet. That is sent once more, to begin with.
 */

/** What a query of postgres.js has besides its types. */
interface Query {
  executed: boolean;
  /** The session that it was sent to; null before. */
  readonly state: object | null;
  resolve(result: unknown): void;
  reject(error: unknown): void;
  /** Hands the query to a connection. */
  handler(query: Query): void;
  handle(): unknown;
}

let isGuarded = false;

/** Guards every query of this process, whichever client makes it; `query` is any of them. */
export function guardAgainstDeadConnections(query: object): void {
  if (isGuarded) {
    return;
  }
  isGuarded = true;
  const prototype = Object.getPrototypeOf(query) as Query;
  const { handle } = prototype;
  prototype.handle = function guarded(this: Query) {
    if (!this.executed) {
      guard(this);
    }
    return handle.call(this);
  };
}

function guard(query: Query): void {
  const { resolve, reject } = query;
  let isSpoiled = false;
  query.resolve = (result) => resolve(withoutHoles(result));
  query.reject = (error) => {
    // The server's answer to what it was not asked. Another one is of this connection itself.
    if (!isSpoiled && query.state === null && isServerError(error)) {
      isSpoiled = true;
      queueMicrotask(() => query.handler(query));
    } else {
      reject(error);
    }
  };
}

function isServerError(error: unknown): boolean {
  return error instanceof Error && error.name === 'PostgresError';
}

function withoutHoles(result: unknown): unknown {
  if (Array.isArray(result) && result.length > 0 && !(0 in result)) {
    const first = result.findIndex((_, index) => index in result);
    result.splice(0, first === -1 ? result.length : first);
  }
  return result;
}
