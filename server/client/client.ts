/**
 * The typed client of the charging API, for the services that use a wallet.
 *
 * Every call may be repeated safely: a charge is known by its usage's type and `referenceId`, a hold
 * by its key and then by its id, so the client retries by itself when it did not hear an answer. Micros are decimal strings:
 * `BigInt(answer.balanceMicros)` is exact.
 */
import { randomUUID } from 'node:crypto';
import {
  createTRPCClient,
  httpBatchLink,
  retryLink,
  type TRPCClient,
  TRPCClientError,
} from '@trpc/client';
import type { AppRouter } from '../trpc/router.ts';
import {
  type CommunicationDetails,
  type CommunicationType,
  describeRefusal,
  toUsage,
} from './communication.ts';

export interface BillingClientOptions {
  /** Where the service is, such as `http://localhost:3000`. */
  readonly url: string;
  /** `sk_…`, as `npm run keys -- create` printed it. */
  readonly apiKey: string;
  /** Longest wait for one answer; default 10 s. */
  readonly timeoutMs?: number;
  /** Most tries of one call, the first included; default 5. */
  readonly maxTries?: number;
  readonly fetch?: typeof globalThis.fetch;
}

type Charge = Awaited<ReturnType<TRPCClient<AppRouter>['usage']['charge']['mutate']>>;
type Accepted = Extract<Charge, { ok: true }>;
type Refused = Extract<Charge, { ok: false }>;

export type CommunicationAnswer =
  | ({ success: true; referenceId: string } & Omit<Accepted, 'ok'>)
  | {
      success: false;
      referenceId: string;
      /** A refusal's code, or an error's: `BAD_REQUEST`, `UNAUTHORIZED`, `UNREACHABLE`, … */
      code: string;
      /** What is wrong, for people. */
      error: string;
      /** The refusal with its amounts, where the service gave one. */
      refusal?: Refused;
    };

export interface BillingClient
  extends Pick<TRPCClient<AppRouter>, 'wallets' | 'usage' | 'holds' | 'rateCards' | 'billing'> {
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
  ): Promise<CommunicationAnswer>;
}

/**
 * Makes a client. It opens no connection before the first call.
 * @throws TypeError when the address or the key cannot be one
 */
export function createBillingClient(options: BillingClientOptions): BillingClient {
  const { url, apiKey, timeoutMs = 10_000, maxTries = 5 } = options;
  const fetchOnce = options.fetch ?? globalThis.fetch;
  if (!/^https?:\/\/[^/]/.test(url ?? '')) {
    throw new TypeError('url must be an address such as http://localhost:3000');
  }
  if (!apiKey?.startsWith('sk_')) {
    throw new TypeError('apiKey must be a key of the billing service, sk_…');
  }

  const trpc = createTRPCClient<AppRouter>({
    links: [
      retryLink({
        retry: ({ error, attempts }) => attempts < maxTries && isWorthRepeating(error),
        // Full jitter keeps many clients from coming back at one moment.
        retryDelayMs: (attempt) => Math.random() * Math.min(5_000, 100 * 2 ** attempt),
      }),
      httpBatchLink({
        url: `${url.replace(/\/+$/, '')}/trpc`,
        maxItems: 50,
        // Queries too: an address ends up in logs, and inputs hold phone numbers.
        methodOverride: 'POST',
        headers: { authorization: `Bearer ${apiKey}` },
        fetch: (input, init) => {
          const timeout = AbortSignal.timeout(timeoutMs);
          const signal = init?.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
          return fetchOnce(input as RequestInfo, { ...(init as RequestInit), signal });
        },
      }),
    ],
  });

  async function processCommunicationBilling(
    userId: string,
    type: CommunicationType,
    given: CommunicationDetails = {},
  ): Promise<CommunicationAnswer> {
    // A caller without types may send null.
    const details = given ?? {};
    const referenceId = details.referenceId ?? randomUUID();
    const read = toUsage(type, details);
    if (!read.ok) {
      return { success: false, referenceId, code: 'BAD_REQUEST', error: read.problem };
    }
    const { currency, occurredAt, overrun } = details;
    try {
      const { ok, ...answer } = await trpc.usage.charge.mutate({
        userId,
        referenceId,
        usage: read.usage,
        ...(currency !== undefined && { currency }),
        ...(occurredAt !== undefined && { occurredAt: occurredAt.toISOString() }),
        ...(overrun !== undefined && { overrun }),
      });
      if (ok) {
        return { success: true, referenceId, ...(answer as Omit<Accepted, 'ok'>) };
      }
      const refusal = { ok, ...answer } as Refused;
      return {
        success: false,
        referenceId,
        code: refusal.code,
        error: describeRefusal(refusal),
        refusal,
      };
    } catch (error) {
      return { success: false, referenceId, ...describeError(error, url) };
    }
  }

  const { wallets, usage, holds, rateCards, billing } = trpc;
  return { wallets, usage, holds, rateCards, billing, processCommunicationBilling };
}

/** No answer, or one that says "not now". Anything else would be answered the same way again. */
function isWorthRepeating(error: TRPCClientError<AppRouter>): boolean {
  const code = error.data?.code;
  return code === undefined || code === 'SERVICE_UNAVAILABLE' || code === 'TOO_MANY_REQUESTS';
}

function describeError(error: unknown, url: string): { code: string; error: string } {
  const data: { code?: string } | undefined =
    error instanceof TRPCClientError ? error.data : undefined;
  if (error instanceof TRPCClientError && data?.code !== undefined) {
    return { code: data.code, error: error.message };
  }
  return { code: 'UNREACHABLE', error: `The billing service at ${url} could not be reached.` };
}
