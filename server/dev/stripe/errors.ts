import type Stripe from 'stripe';

/** Fields of Stripe's error object beside `type` and `message`. */
export interface ErrorFields {
  code?: string;
  param?: string;
  decline_code?: string;
  advice_code?: string;
  charge?: string;
  payment_method?: Stripe.PaymentMethod;
  payment_intent?: Stripe.PaymentIntent;
  setup_intent?: Stripe.SetupIntent;
}

export type ErrorType = 'api_error' | 'card_error' | 'idempotency_error' | 'invalid_request_error';

/** An answer of Stripe's API that is not a success: `{error: {type, message, code, param, …}}`. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: ErrorType;
  readonly fields: ErrorFields;

  constructor(status: number, type: ErrorType, message: string, fields: ErrorFields = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.type = type;
    this.fields = fields;
  }

  /** The body; the SDK takes an answer without the `error` key for a success. */
  toBody(): { error: ErrorFields & { type: ErrorType; message: string; doc_url?: string } } {
    const docs = this.fields.code
      ? { doc_url: `https://stripe.com/docs/error-codes/${this.fields.code.replaceAll('_', '-')}` }
      : {};
    return { error: { ...this.fields, ...docs, message: this.message, type: this.type } };
  }
}

export function invalidRequest(message: string, fields: ErrorFields = {}): ApiError {
  return new ApiError(400, 'invalid_request_error', message, fields);
}

/** `status` is 404 when the id stands in the path and 400 when a parameter names it. */
export function noSuch(what: string, id: string, param = 'id', status: 400 | 404 = 404): ApiError {
  return new ApiError(status, 'invalid_request_error', `No such ${what}: '${id}'`, {
    code: 'resource_missing',
    param,
  });
}
