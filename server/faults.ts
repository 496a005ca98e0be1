import type { TRPC_ERROR_CODE_KEY } from '@trpc/server';

interface FaultKind {
  readonly status: 400 | 401 | 402 | 403 | 404 | 405 | 409 | 413 | 415 | 422 | 429 | 500 | 503;
  readonly trpc: TRPC_ERROR_CODE_KEY;
  /** What the caller reads when the fault brings no message of its own. */
  readonly message: string;
}

/** Every error code that leaves this program, with its HTTP status and tRPC code. */
export const FAULTS = {
  BAD_REQUEST: { status: 400, trpc: 'BAD_REQUEST', message: 'The request is malformed.' },
  INVALID_JSON: { status: 400, trpc: 'PARSE_ERROR', message: 'The body is not valid JSON.' },
  BAD_SIGNATURE: {
    status: 400,
    trpc: 'BAD_REQUEST',
    message: 'The signature is missing, wrong or too old.',
  },
  UNAUTHORIZED: {
    status: 401,
    trpc: 'UNAUTHORIZED',
    message: 'Authentication is missing, wrong or revoked.',
  },
  INSUFFICIENT_FUNDS: {
    status: 402,
    trpc: 'PAYMENT_REQUIRED',
    message: 'The wallet does not have the funds.',
  },
  FORBIDDEN: { status: 403, trpc: 'FORBIDDEN', message: 'This is not allowed.' },
  BAD_ORIGIN: {
    status: 403,
    trpc: 'FORBIDDEN',
    message: 'The request comes from another site. Open the page again and retry.',
  },
  NOT_FOUND: { status: 404, trpc: 'NOT_FOUND', message: 'There is nothing here.' },
  WALLET_NOT_FOUND: { status: 404, trpc: 'NOT_FOUND', message: 'There is no such wallet.' },
  HOLD_NOT_FOUND: { status: 404, trpc: 'NOT_FOUND', message: 'There is no such hold.' },
  METHOD_NOT_ALLOWED: {
    status: 405,
    trpc: 'METHOD_NOT_SUPPORTED',
    message: 'This address does not take that method.',
  },
  CONFLICT: {
    status: 409,
    trpc: 'CONFLICT',
    message: 'The request contradicts what is already there.',
  },
  KEY_REUSED: {
    status: 409,
    trpc: 'CONFLICT',
    message: 'This key was used before, for another request.',
  },
  WALLET_FROZEN: { status: 409, trpc: 'CONFLICT', message: 'The wallet is frozen.' },
  WALLET_CLOSED: { status: 409, trpc: 'CONFLICT', message: 'The wallet is closed.' },
  HOLD_NOT_OPEN: { status: 409, trpc: 'CONFLICT', message: 'The hold is no longer open.' },
  NOT_REFUNDABLE: {
    status: 409,
    trpc: 'CONFLICT',
    message: 'This cannot be refunded, or not by that much.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    trpc: 'PAYLOAD_TOO_LARGE',
    message: 'The body is too large.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    trpc: 'UNSUPPORTED_MEDIA_TYPE',
    message: 'This content type is not understood.',
  },
  NO_RATE: {
    status: 422,
    trpc: 'UNPROCESSABLE_CONTENT',
    message: 'No rate covers this usage.',
  },
  LIMIT_EXCEEDED: {
    status: 422,
    trpc: 'UNPROCESSABLE_CONTENT',
    message: 'This is above a limit.',
  },
  THROTTLED: {
    status: 429,
    trpc: 'TOO_MANY_REQUESTS',
    message: 'Too many attempts. Try again later.',
  },
  RATE_LIMITED: {
    status: 429,
    trpc: 'TOO_MANY_REQUESTS',
    message: 'This API key asks for more than its rate limit allows. Try again later.',
  },
  INTERNAL: {
    status: 500,
    trpc: 'INTERNAL_SERVER_ERROR',
    message: 'Something went wrong on our side.',
  },
  DATABASE_UNAVAILABLE: {
    status: 503,
    trpc: 'SERVICE_UNAVAILABLE',
    message: 'The database does not answer. Try again shortly.',
  },
  OVERLOADED: {
    status: 503,
    trpc: 'SERVICE_UNAVAILABLE',
    message: 'Too much work is waiting. Try again shortly.',
  },
  PAYMENT_PROVIDER_UNAVAILABLE: {
    status: 503,
    trpc: 'SERVICE_UNAVAILABLE',
    message: 'The payment provider does not answer. Try again shortly.',
  },
} as const satisfies Record<string, FaultKind>;

export type FaultCode = keyof typeof FAULTS;
export type FaultStatus = (typeof FAULTS)[FaultCode]['status'];

export interface FaultOptions {
  /** What people outside may read; by default the table's sentence. */
  readonly publicMessage?: string | undefined;
  /** What only the log shows; by default the public message. */
  readonly message?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/** An error with a code of the table: thrown anywhere, answered by HTTP and tRPC alike. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  readonly status: FaultStatus;
  readonly publicMessage: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: FaultCode, options: FaultOptions = {}) {
    const publicMessage = options.publicMessage ?? FAULTS[code].message;
    super(options.message ?? publicMessage, { cause: options.cause });
    this.code = code;
    this.status = FAULTS[code].status;
    this.publicMessage = publicMessage;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** How long callers wait after a 503 before the next try. */
export const UNAVAILABLE_RETRY_SECONDS = 2;

/**
 * The fault that an error stands for: itself, `DATABASE_UNAVAILABLE` when the database cannot be
 * reached, `OVERLOADED` when it undid the statement for want of time or of a lock, else `INTERNAL`,
 * whose message says nothing of the cause.
 */
export function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const message = error instanceof Error ? error.message : undefined;
  const passing = isDatabaseUnavailable(error)
    ? 'DATABASE_UNAVAILABLE'
    : isContention(error)
      ? 'OVERLOADED'
      : null;
  if (passing === null) return new Fault('INTERNAL', { message, cause: error });
  return new Fault(passing, {
    message,
    retryAfterSeconds: UNAVAILABLE_RETRY_SECONDS,
    cause: error,
  });
}

/** Serialization failure, deadlock, lock not available in time, statement out of time. */
const CONTENTION_SQLSTATE = /^(?:40001|40P01|55P03|57014)$/;

function isContention(error: unknown): boolean {
  return (
    error instanceof Error &&
    error.name === 'PostgresError' &&
    'code' in error &&
    typeof error.code === 'string' &&
    CONTENTION_SQLSTATE.test(error.code)
  );
}

const CONNECTION_CODES = new Set([
  // postgres.js
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  // Node's sockets
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/**
 * Connection failures (class 08), no disk, memory or connections left (53), failures of the disk
 * (58), shutting down, crashed, starting up. None of them says anything about the request.
 */
const UNAVAILABLE_SQLSTATE = /^(?:08...|53...|58...|57P01|57P02|57P03)$/;

/**
 * Whether the error, as postgres.js throws it, means that the database does not serve now.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  const { code } = error;
  if (typeof code !== 'string') return false;
  return error.name === 'PostgresError'
    ? UNAVAILABLE_SQLSTATE.test(code)
    : CONNECTION_CODES.has(code);
}
