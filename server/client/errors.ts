/** What goes wrong between a service and the wallet, as one error that says what to do about it. */
import { TRPCClientError } from '@trpc/client';
import type { TRPC_ERROR_CODE_KEY } from '@trpc/server';

export type BillingErrorCode =
  /** The service's own: `BAD_REQUEST`, `UNAUTHORIZED`, `FORBIDDEN`, `TOO_MANY_REQUESTS`, … */
  | TRPC_ERROR_CODE_KEY
  /** No answer came: no connection, or it broke. */
  | 'UNREACHABLE'
  /** No answer came within `timeoutMs`. */
  | 'TIMEOUT'
  /** The caller's signal ended the call. */
  | 'ABORTED'
  /** What answered is not the billing service. */
  | 'UNEXPECTED_ANSWER'
  /** The spool cannot be written, or belongs to another process. */
  | 'SPOOL_FAILED';

export interface Failure {
  readonly code: BillingErrorCode;
  readonly message: string;
  /** By which the service's log knows the request; null where none was sent. */
  readonly requestId: string | null;
  /** Whether the same call, with the same key, may succeed another time. */
  readonly retryable: boolean;
  /**
   * Whether the write may have been done although no answer says so. The same call with the same
   * key finds out: it is done once, or answered as it was.
   */
  readonly outcomeUnknown: boolean;
  /** How long the service asks to be left alone; null when it does not say. */
  readonly retryAfterMs: number | null;
}

/**
 * Every error that the typed client throws. A refusal, such as `INSUFFICIENT_FUNDS`, is an answer
 * and not an error. No error holds the API key or what was sent.
 */
export class BillingError extends Error implements Failure {
  override readonly name = 'BillingError';
  readonly code: BillingErrorCode;
  readonly requestId: string | null;
  readonly retryable: boolean;
  readonly outcomeUnknown: boolean;
  readonly retryAfterMs: number | null;

  constructor(failure: Failure, options?: { readonly cause?: unknown }) {
    super(failure.message, options);
    this.code = failure.code;
    this.requestId = failure.requestId;
    this.retryable = failure.retryable;
    this.outcomeUnknown = failure.outcomeUnknown;
    this.retryAfterMs = failure.retryAfterMs;
  }
}

/** An HTTP answer that tRPC cannot read: a proxy's page, or an error from in front of the router. */
export class UnreadableAnswer extends Error {
  readonly status: number;
  readonly retryAfterMs: number | null;
  /** The service's own words, where the answer has them. */
  readonly said: { readonly code: string; readonly message: string } | null;

  constructor(status: number, retryAfterMs: number | null, said: UnreadableAnswer['said']) {
    super(`HTTP ${status}`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.said = said;
  }
}

/** Answers that mean "not now". Every other one would come again. */
const PASSING: ReadonlySet<string> = new Set([
  'TOO_MANY_REQUESTS',
  'BAD_GATEWAY',
  'SERVICE_UNAVAILABLE',
  'GATEWAY_TIMEOUT',
]);

const CODES: Readonly<Record<number, TRPC_ERROR_CODE_KEY>> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  413: 'PAYLOAD_TOO_LARGE',
  429: 'TOO_MANY_REQUESTS',
  500: 'INTERNAL_SERVER_ERROR',
  502: 'BAD_GATEWAY',
  503: 'SERVICE_UNAVAILABLE',
  504: 'GATEWAY_TIMEOUT',
};

/**
 * What one try failed by. `outcomeUnknown` is that of a write.
 * @param origin the service, without anything secret
 * @param sentId the id that the try's request went out with, if it did
 */
export function failureOf(error: unknown, origin: string, sentId: string | null): Failure {
  if (!(error instanceof TRPCClientError)) {
    return unreachable(error, origin, sentId);
  }
  const data: { code?: string; httpStatus?: number; requestId?: string | null } | undefined =
    error.data;
  if (data?.code !== undefined) {
    return {
      code: data.code as TRPC_ERROR_CODE_KEY,
      message: error.message,
      requestId: data.requestId ?? sentId,
      retryable: PASSING.has(data.code),
      outcomeUnknown: (data.httpStatus ?? 500) >= 500,
      retryAfterMs: retryAfterOf(error.meta),
    };
  }
  return error.cause instanceof UnreadableAnswer
    ? unreadable(error.cause, origin, sentId)
    : unreachable(error.cause, origin, sentId);
}

function unreadable(answer: UnreadableAnswer, origin: string, sentId: string | null): Failure {
  const { status, said, retryAfterMs } = answer;
  const code = CODES[status];
  if (said === null && (code === undefined || !PASSING.has(code))) {
    return {
      code: 'UNEXPECTED_ANSWER',
      message: `${origin} answered HTTP ${status}, and not as the billing service does.`,
      requestId: sentId,
      // Of a proxy whose server is away; many have numbers of their own for that.
      retryable: status >= 500,
      outcomeUnknown: status < 400 || status >= 500,
      retryAfterMs,
    };
  }
  return {
    code: code ?? 'INTERNAL_SERVER_ERROR',
    message: said?.message ?? `${origin} answered HTTP ${status}.`,
    requestId: sentId,
    retryable: code !== undefined && PASSING.has(code),
    outcomeUnknown: status >= 500,
    retryAfterMs,
  };
}

function unreachable(error: unknown, origin: string, sentId: string | null): Failure {
  const reason = networkReason(error);
  return {
    code: 'UNREACHABLE',
    message: `The billing service at ${origin} could not be reached${reason.code}.`,
    requestId: sentId,
    retryable: true,
    outcomeUnknown: !reason.beforeConnection,
    retryAfterMs: null,
  };
}

/** Node's word for why there was no answer, and whether nothing can have been sent. */
function networkReason(error: unknown): { code: string; beforeConnection: boolean } {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { code, syscall, errors } = (cause ?? {}) as {
    code?: unknown;
    syscall?: unknown;
    errors?: unknown;
  };
  const beforeConnection =
    syscall === 'connect' ||
    syscall === 'getaddrinfo' ||
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    // `localhost` was tried at both of its addresses.
    (Array.isArray(errors) &&
      errors.length > 0 &&
      errors.every((each: { syscall?: unknown } | null) => each?.syscall === 'connect'));
  return { code: typeof code === 'string' ? ` (${code})` : '', beforeConnection };
}

function retryAfterOf(meta: unknown): number | null {
  const { response } = (meta ?? {}) as { response?: { retryAfterMs?: unknown } };
  return typeof response?.retryAfterMs === 'number' ? response.retryAfterMs : null;
}
