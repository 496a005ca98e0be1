/**
 * Keeps a connection that died from spoiling the next query. postgres.js 3.4.9 opens it again for
 * that query, and forgets to forget:
 *
 * - The rows of a reply that was cut off stay counted, so that the next reply begins with as many
 *   holes. `const [row]` would read "no such row" where there is one. All rows are there behind the
 *   holes, so that taking these out is exact.
 * - The error by which PostgreSQL ended the session ("terminating connection …") is kept, and given
 *   to the next query, which has not been sent yet. That is sent once more, to begin with.
 * - The query that died stays the one whose answers come. An error by which PostgreSQL refuses the
 *   new session ("the database system is starting up") is taken for that query's, and the next one
 *   waits while session after session is asked for without a pause. It is rejected instead.
 */

/** What a query of postgres.js has besides its types. */
interface Query {
  executed: boolean;
  /** The session that it was sent to; null before. */
  readonly state: object | null;
  /** Receives the rows of a cursor, some at a time. */
  cursorFn?: (rows: unknown) => unknown;
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
  const { resolve, reject, cursorFn } = query;
  let isSpoiled = false;
  query.resolve = (result) => resolve(withoutHoles(result));
  if (cursorFn !== undefined) {
    query.cursorFn = (rows) => cursorFn(withoutHoles(rows));
  }
  query.reject = (error) => {
    // The server's answer to what it was not asked. Another one is of this connection itself.
    if (!isSpoiled && query.state === null && isServerError(error)) {
      isSpoiled = true;
      queueMicrotask(() => query.handler(query));
    } else {
      if (query.state !== null && isConnectionError(error)) {
        refuseErrorsOf(query);
      }
      reject(error);
    }
  };
}

/**
 * Makes a connection whose query died reject the query that waits for its next session, when that is
 * refused. It reads `cursorFn` of the dead one then: what this throws is given to the one that waits,
 * after a second reading, which must not throw.
 */
function refuseErrorsOf(query: Query): void {
  let isFirst = false;
  Object.defineProperty(query, 'cursorFn', {
    configurable: true,
    get() {
      isFirst = !isFirst;
      if (isFirst) {
        throw Object.assign(new Error('PostgreSQL refused a session'), {
          code: 'CONNECTION_CLOSED',
        });
      }
    },
  });
}

function isServerError(error: unknown): boolean {
  return error instanceof Error && error.name === 'PostgresError';
}

/** As sockets and postgres.js make them. */
function isConnectionError(error: unknown): boolean {
  return error instanceof Error && 'errno' in error;
}

function withoutHoles(result: unknown): unknown {
  if (Array.isArray(result) && result.length > 0 && !(0 in result)) {
    const first = result.findIndex((_, index) => index in result);
    result.splice(0, first === -1 ? result.length : first);
  }
  return result;
}
