/**
 * The typed client of the charging API, for the services that use a wallet.
 *
 * Every call may be repeated safely: a charge is known by its usage's type and `referenceId`, a hold
 * by its key and then by its id, so the client retries by itself when it did not hear an answer.
 * Calls made in one tick share an HTTP request. Micros are decimal strings:
 * `BigInt(answer.balanceMicros)` is exact.
 */
import { type CallOptions, createCall } from './calls.ts';
import {
  billCommunication,
  type CommunicationAnswer,
  type CommunicationDetails,
  type CommunicationType,
} from './communication.ts';
import { type Procedures, proceduresOver } from './procedures.ts';
import { createTransport } from './transport.ts';

export type { CallOptions } from './calls.ts';
export type {
  CommunicationAnswer,
  CommunicationDetails,
  CommunicationType,
} from './communication.ts';
export { BillingError, type BillingErrorCode } from './errors.ts';
export { keyOf, makeKey } from './keys.ts';
export type {
  AddSubscriptionAnswer,
  AuthorizeAnswer,
  CaptureAnswer,
  CaptureInput,
  ChargeAnswer,
  ChargeInput,
  ExtendAnswer,
  GrantAnswer,
  QuoteAnswer,
  RefundAnswer,
  RefundTopUpsAnswer,
  SetLimitsAnswer,
  StatusAnswer,
  VoidAnswer,
  VoidInput,
} from './procedures.ts';
export { describeRefusal, type Refusal } from './refusals.ts';
export {
  type ChargeSpool,
  type ChargeSpoolOptions,
  createChargeSpool,
  type Spooled,
} from './spool.ts';
export type { Rejected } from './spool-replay.ts';

export interface BillingClientOptions {
  /** Where the service is, such as `http://localhost:3000`. */
  readonly url: string;
  /** `sk_…`, as `npm run keys -- create` printed it. */
  readonly apiKey: string;
  /** The longest that a call takes, all its tries and pauses together; default 30 s. */
  readonly timeoutMs?: number;
  /** The longest wait for the answer to one try; default 10 s. */
  readonly tryTimeoutMs?: number;
  /** Most tries of one call, the first included; default 5. */
  readonly maxTries?: number;
  readonly fetch?: typeof globalThis.fetch;
}

/** Its procedures throw `BillingError`, and nothing else. A refusal is an answer. */
export interface BillingClient
  extends Pick<
    Procedures,
    'wallets' | 'usage' | 'holds' | 'subscriptions' | 'rateCards' | 'billing'
  > {
  /**
   * Charges one communication at the wallet's prices. Never throws: a refusal, bad input and an
   * unreachable service are all `success: false`.
   *
   * Give the same `referenceId` when you call again for the same communication, also from another
   * process: only the first call charges. Without one a new id is made for this call alone.
   */
  processCommunicationBilling(
    userId: string,
    type: CommunicationType,
    details?: CommunicationDetails,
    options?: CallOptions,
  ): Promise<CommunicationAnswer>;
}

/**
 * Makes a client. It opens no connection before the first call.
 * @throws TypeError when the address or the key cannot be one
 */
export function createBillingClient(options: BillingClientOptions): BillingClient {
  const { timeoutMs = 30_000, tryTimeoutMs = 10_000, maxTries = 5 } = options;
  const { endpoint, origin } = readUrl(options.url);
  // What no header can carry would be quoted, with the key, by the error of whoever tries.
  if (!/^sk_[\x21-\x7e]+$/.test(options.apiKey ?? '')) {
    throw new TypeError('apiKey must be a key of the billing service, sk_…');
  }
  const transport = createTransport({
    endpoint,
    apiKey: options.apiKey,
    fetch: options.fetch ?? globalThis.fetch,
  });
  const call = createCall(transport, origin, { timeoutMs, tryTimeoutMs, maxTries });
  const { wallets, usage, holds, subscriptions, rateCards, billing } = proceduresOver(call);
  return {
    wallets,
    usage,
    holds,
    subscriptions,
    rateCards,
    billing,
    processCommunicationBilling: (userId, type, details, callOptions) =>
      billCommunication((input, given) => usage.charge.mutate(input, given), {
        userId,
        type,
        // A caller without types may send null.
        details: details ?? {},
        options: callOptions,
      }),
  };
}

/** The router's address, and what errors may say of it. */
function readUrl(given: string): { endpoint: string; origin: string } {
  const url = URL.canParse(given ?? '') ? new URL(given) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TypeError('url must be an address such as http://localhost:3000');
  }
  if (url.username !== '' || url.password !== '') {
    throw new TypeError('url must not hold a user or a password');
  }
  return { endpoint: `${url.origin}${url.pathname.replace(/\/+$/, '')}/trpc`, origin: url.origin };
}
