/** Which errors of calls to Stripe leave nothing unknown. */
import type { StripeGatewayError } from '../../stripe/errors.ts';

/** Stripe did not look at the call: another one has the same key, and its end is not known. */
const ANOTHER_CALL: ReadonlySet<string> = new Set([
  'idempotency_error',
  'idempotency_key_in_use',
  'lock_timeout',
]);

/** Whether Stripe answered no, so that nothing is left unknown. */
function isRefusal(error: unknown): error is StripeGatewayError {
  const isFinal = error instanceof Error && 'retryable' in error && error.retryable === false;
  return isFinal && !ANOTHER_CALL.has((error as StripeGatewayError).providerCode ?? '');
}

/** Whether Stripe refused who asked: the key was revoked, is wrong, or may not do this. */
export function isRefusalOfKey(error: unknown): error is StripeGatewayError {
  return isRefusal(error) && [401, 403].includes(error.httpStatus ?? 0);
}

/** Whether Stripe refused the request itself, and not the key, which an operator may mend. */
export function isRefusalOfRequest(error: unknown): error is StripeGatewayError {
  return isRefusal(error) && [400, 402, 404].includes(error.httpStatus ?? 0);
}
