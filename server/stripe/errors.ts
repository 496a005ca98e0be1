/** What a call to Stripe may fail with, without what must not be kept. */
import Stripe from 'stripe';

export type StripeGatewayErrorCode = 'PAYMENT_PROVIDER_UNAVAILABLE' | 'PAYMENT_PROVIDER_REFUSED';

/**
 * A call to Stripe that brought no result. `PAYMENT_PROVIDER_UNAVAILABLE`: whether the call took
 * effect is unknown; with the same idempotency key it may be made again. `PAYMENT_PROVIDER_REFUSED`:
 * Stripe answered no, and will again.
 *
 * It carries Stripe's error codes and request id but neither its message nor its parameters, which
 * can hold addresses, keys and card data, and no `cause`, which holds the whole request.
 */
export class StripeGatewayError extends Error {
  readonly code: StripeGatewayErrorCode;
  readonly retryable: boolean;
  /** The HTTP status of Stripe's answer; null when there was none. */
  readonly httpStatus: number | null;
  /** Stripe's own code, for example `resource_missing`, `card_declined`, `amount_too_small`. */
  readonly providerCode: string | null;
  readonly declineCode: string | null;
  /** What Stripe advises after a decline, for example `do_not_try_again`. */
  readonly adviceCode: string | null;
  /** The advice of the card's network, two digits. */
  readonly networkAdviceCode: string | null;
  /** The parameter that is wrong, for example `payment_method`. */
  readonly param: string | null;
  /** The payment intent that was made although the card was refused. */
  readonly paymentIntentId: string | null;
  /** `req_…`, by which Stripe's support finds the call. */
  readonly providerRequestId: string | null;

  constructor(
    operation: string,
    given: {
      code: StripeGatewayErrorCode;
      retryable: boolean;
      httpStatus?: number | null;
      providerCode?: string | null;
      declineCode?: string | null;
      adviceCode?: string | null;
      networkAdviceCode?: string | null;
      param?: string | null;
      paymentIntentId?: string | null;
      providerRequestId?: string | null;
    },
  ) {
    const verb = given.code === 'PAYMENT_PROVIDER_REFUSED' ? 'refused' : 'did not answer';
    const why = given.providerCode ? ` (${given.providerCode})` : '';
    super(`Stripe ${verb} ${operation}${why}`);
    this.name = 'StripeGatewayError';
    this.code = given.code;
    this.retryable = given.retryable;
    this.httpStatus = given.httpStatus ?? null;
    this.providerCode = given.providerCode ?? null;
    this.declineCode = given.declineCode ?? null;
    this.adviceCode = given.adviceCode ?? null;
    this.networkAdviceCode = given.networkAdviceCode ?? null;
    this.param = given.param ?? null;
    this.paymentIntentId = given.paymentIntentId ?? null;
    this.providerRequestId = given.providerRequestId ?? null;
  }
}

/** Only what looks like one of Stripe's codes is kept: nothing else may reach a log. */
function token(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z0-9_]{1,64}$/.test(value) ? value : null;
}

/** Whether the call may have taken effect, or may succeed when made again. */
function isTransient(error: Stripe.errors.StripeError): boolean {
  return (
    error instanceof Stripe.errors.StripeConnectionError ||
    error instanceof Stripe.errors.StripeAPIError ||
    error instanceof Stripe.errors.StripeRateLimitError
  );
}

/** What the SDK threw, without what must not be kept. Errors that are not Stripe's pass unchanged. */
export function toGatewayError(operation: string, error: unknown): unknown {
  if (!(error instanceof Stripe.errors.StripeError)) return error;
  const transient = isTransient(error);
  return new StripeGatewayError(operation, {
    code: transient ? 'PAYMENT_PROVIDER_UNAVAILABLE' : 'PAYMENT_PROVIDER_REFUSED',
    retryable: transient,
    httpStatus: error.statusCode ?? null,
    providerCode: token(error.code) ?? token(error.rawType),
    declineCode: token(error.decline_code),
    adviceCode: token(error.advice_code),
    networkAdviceCode: token(error.network_advice_code),
    param: token(error.param),
    paymentIntentId: token(error.payment_intent?.id),
    providerRequestId: token(error.requestId),
  });
}
