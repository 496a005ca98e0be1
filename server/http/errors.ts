/** Errors on their way out: what callers read, and what the log keeps. */
import type { TRPCError } from '@trpc/server';
import type { Logger } from 'pino';
import {
  asFault,
  Fault,
  type FaultCode,
  type FaultStatus,
  UNAVAILABLE_RETRY_SECONDS,
} from '../faults.ts';

export interface ErrorBody {
  readonly error: {
    readonly code: FaultCode;
    readonly message: string;
    readonly requestId: string;
  };
}

export interface ErrorAnswer {
  readonly status: FaultStatus;
  /** `Retry-After` where the fault says when to come back. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

/** What a caller is told of an error: code, public message, request id; never stack, SQL or path. */
export function toErrorBody(error: unknown, requestId: string): ErrorAnswer {
  const { code, status, publicMessage, retryAfterSeconds } = asFault(error);
  return {
    status,
    headers: retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) },
    body: { error: { code, message: publicMessage, requestId } },
  };
}

/** `Retry-After` for the calls of one request: the longest that one of their errors asks for. */
export function retryAfter(errors: readonly TRPCError[]): Record<string, string> {
  const seconds = errors.map(({ cause }) =>
    cause instanceof Fault
      ? (cause.retryAfterSeconds ?? (cause.status === 503 ? UNAVAILABLE_RETRY_SECONDS : 0))
      : 0,
  );
  const longest = Math.max(0, ...seconds);
  return longest === 0 ? {} : { 'retry-after': String(longest) };
}

/**
 * Logs an error that callers are told nothing of. A database that is away is one line: its stack
 * says nothing, and while it is away every request brings one.
 */
export function logFailure(
  logger: Logger,
  error: unknown,
  where: Readonly<Record<string, unknown>>,
): void {
  const { code, status, message } = asFault(error);
  if (status === 503) {
    logger.warn({ ...where, code, reason: message }, 'request not served');
  } else {
    logger.error({ ...where, err: error }, 'request failed');
  }
}

/** The error as a JSON response that no cache keeps. */
export function errorResponse(error: unknown, requestId: string): Response {
  const { status, headers, body } = toErrorBody(error, requestId);
  return Response.json(body, { status, headers: { ...headers, 'cache-control': 'no-store' } });
}
