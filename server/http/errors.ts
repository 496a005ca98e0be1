import { asFault, type FaultCode, type FaultStatus } from '../faults.ts';

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

/** The error as a JSON response that no cache keeps. */
export function errorResponse(error: unknown, requestId: string): Response {
  const { status, headers, body } = toErrorBody(error, requestId);
  return Response.json(body, { status, headers: { ...headers, 'cache-control': 'no-store' } });
}
