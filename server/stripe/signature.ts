/** Checking that a webhook comes from Stripe. */
import Stripe from 'stripe';

export type SignatureRefusal =
  /** No signing secret is configured, or only blank ones. */
  | 'no_secret'
  | 'missing_signature'
  | 'bad_signature'
  /** Signed longer ago than the tolerance: a replay, or a clock that is wrong. */
  | 'too_old'
  /** Signed further in the future than the tolerance. */
  | 'from_the_future'
  /** Well signed, but not an event of Stripe's API version 1. */
  | 'not_an_event';

export type VerifiedWebhook =
  | { ok: true; event: Stripe.Event }
  | { ok: false; reason: SignatureRefusal };

function isEvent(value: unknown): value is Stripe.Event {
  if (typeof value !== 'object' || value === null) return false;
  const { object, id, type, data } = value as Record<string, unknown>;
  return (
    object === 'event' &&
    typeof id === 'string' &&
    typeof type === 'string' &&
    typeof data === 'object' &&
    data !== null &&
    'object' in data
  );
}

/** The seconds of `t=…`; null when the header has none. */
function timestampOf(header: string): number | null {
  const match = /(?:^|,)t=(\d{1,12})(?:,|$)/.exec(header);
  return match ? Number(match[1]) : null;
}

/** The signed event, null when the secret is not the one, or what is signed is no event. */
function trySecret(
  input: { rawBody: string | Buffer; header: string; nowMs: number },
  secret: string,
  toleranceSeconds: number,
): Stripe.Event | 'not_an_event' | null {
  const { rawBody, header, nowMs } = input;
  try {
    const event: unknown = Stripe.webhooks.constructEvent(
      rawBody,
      header,
      secret,
      toleranceSeconds,
      undefined,
      nowMs,
    );
    return isEvent(event) ? event : 'not_an_event';
  } catch (error) {
    // Anything but a wrong signature is raised after the signature was found right.
    return error instanceof Stripe.errors.StripeSignatureVerificationError ? null : 'not_an_event';
  }
}

/**
 * Checks the signature of a webhook over its raw body against every secret (two are live while one
 * is being replaced): https://docs.stripe.com/webhooks/signature. The age must be within
 * `toleranceSeconds` either way; a replay within it is for the inbox's unique event id to find.
 */
export function verifyWebhook(input: {
  rawBody: string | Buffer;
  header: string;
  secrets: readonly string[];
  /** At least 1: the SDK would take 0 as no limit at all. */
  toleranceSeconds?: number;
  nowMs: number;
}): VerifiedWebhook {
  const { header, nowMs, toleranceSeconds = 300 } = input;
  if (!Number.isInteger(toleranceSeconds) || toleranceSeconds < 1) {
    throw new RangeError('toleranceSeconds must be a whole number of at least 1');
  }
  const secrets = input.secrets.filter((secret) => secret.trim() !== '');
  if (secrets.length === 0) return { ok: false, reason: 'no_secret' };
  if (header === '') return { ok: false, reason: 'missing_signature' };
  const timestamp = timestampOf(header);
  if (timestamp === null || input.rawBody.length === 0) {
    return { ok: false, reason: 'bad_signature' };
  }
  const ageSeconds = Math.floor(nowMs / 1000) - timestamp;
  if (ageSeconds > toleranceSeconds) return { ok: false, reason: 'too_old' };
  if (-ageSeconds > toleranceSeconds) return { ok: false, reason: 'from_the_future' };
  for (const secret of secrets) {
    const result = trySecret(input, secret, toleranceSeconds);
    if (result === 'not_an_event') return { ok: false, reason: 'not_an_event' };
    if (result) return { ok: true, event: result };
  }
  return { ok: false, reason: 'bad_signature' };
}
