/**
 * Keeps a connection that died from spoiling the next query. postgres.js 3.4.9 opens it again for
 * that query, and forgets to forget; or hands it queries while it closes:
 *
 * - The rows of a reply that was cut off stay counted, so that the next reply begins with as many
 *   holes. `const [row]` would read "no such row" where there is one. All rows are there behind the
 *   holes, so that taking these out is exact.
 * - The error by which PostgreSQL ended the session ("terminating connection …") is kept, and given
 *   to the next query, which has not been sent yet. That is sent once more, to begin with.
 * - The query that died stays the one whose answers come. An error by which PostgreSQL refuses the
 *   new session ("the database system is starting up") is taken for that query's, and the next one
 *   waits while session after session is asked for without a pause. It is rejected instead.
 * - Between the error of a socket and its end, it still takes queries. They are neither sent nor
 *   rejected, and one of them would be given the answer to another query of the next session. Queries
 *   wait until the socket has ended.
 * - The error of a socket over which nothing was asked is heard by nobody, so that a query may still be
 *   given to it. It is resolved with nothing when the next session begins, and is sent then.
 */

/** What a query of postgres.js has besides its types. */
interface Query {
  executed: boolean;
  /** The session that it was sent to; null before. */
  readonly state: object | null;
  readonly cancelled: unknown;
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
  const { resolve, reject, cursorFn, handler } = query;
  let isSpoiled = false;
  let isSentAgain = false;
  let isRejected = false;
  query.handler = () => handWhenEnded(query, handler);
  query.resolve = (result) => {
    // What is rejected stays its connection's query, too. An empty statement has no command either.
    if (isUnanswered(result) && !isSentAgain && !isRejected) {
      isSentAgain = true;
      queueMicrotask(() => query.handler(query));
    } else {
      resolve(withoutHoles(result));
    }
  };
  if (cursorFn !== undefined) {
    query.cursorFn = (rows) => cursorFn(withoutHoles(rows));
  }
  query.reject = (error) => {
    // The server's answer to what it was not asked. Another one is of this connection itself.
    if (!isSpoiled && query.state === null && isServerError(error)) {
      isSpoiled = true;
      queueMicrotask(() => query.handler(query));
      return;
    }
    if (query.state !== null && isConnectionError(error)) {
      refuseErrorsOf(query);
    }
    if (query.state !== null && isSocketError(error)) {
      waitUntilEnded(handler);
    }
    isRejected = true;
    reject(error);
  };
}

/** By what hands queries to the connections of a client: when the sockets that failed have ended. */
const endings = new WeakMap<Query['handler'], Promise<void>>();

function handWhenEnded(query: Query, handler: Query['handler']): void {
  const ended = endings.get(handler);
  if (ended === undefined) {
    handler(query);
    return;
  }
  ended.then(() => {
    if (!query.cancelled) {
      handWhenEnded(query, handler);
    }
  });
}

/** A socket tells its end in the same turn of the event loop as its error, after `setImmediate`. */
function waitUntilEnded(handler: Query['handler']): void {
  const ended = new Promise<void>((done) => setImmediate(() => setImmediate(done)));
  endings.set(handler, ended);
  ended.then(() => {
    if (endings.get(handler) === ended) {
      endings.delete(handler);
    }
  });
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

/** Not what the server answered, nor that a connection has ended. */
function isSocketError(error: unknown): boolean {
  return !isServerError(error) && !/^CONNECTION_/.test(codeOf(error));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Whether a result is of no statement at all. */
function isUnanswered(result: unknown): boolean {
  return (
    Array.isArray(result) && result.length === 0 && 'command' in result && result.command === null
  );
}

function withoutHoles(result: unknown): unknown {
  if (Array.isArray(result) && result.length > 0 && !(0 in result)) {
    const first = result.findIndex((_, index) => index in result);
    result.splice(0, first === -1 ? result.length : first);
  }
  return result;
}
