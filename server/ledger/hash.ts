/**
 * The hash chain that makes a wallet's history tamper-evident; the twin of the SQL functions
 * `event_canonical` and `event_hash`, so that an export can be verified without the database.
 */
import { createHash } from 'node:crypto';

/** A stored event, in the exact form that its hash covers. */
export interface StoredEvent {
  readonly walletId: string;
  readonly seq: bigint;
  readonly type: string;
  readonly balanceDeltaMicros: bigint;
  readonly heldDeltaMicros: bigint;
  readonly arrearsDeltaMicros: bigint;
  /** The wallet after this event. */
  readonly balanceMicros: bigint;
  readonly heldMicros: bigint;
  readonly arrearsMicros: bigint;
  readonly overdraftLimitMicros: bigint;
  readonly key: string | null;
  /** Lower-case hex. */
  readonly requestHash: string | null;
  readonly actor: string;
  /** Whole microseconds since 1970-01-01 UTC: a `Date` would lose the last three digits. */
  readonly occurredAtMicroseconds: bigint;
  readonly recordedAtMicroseconds: bigint;
  /** The detail's JSON as it was written, to the letter. */
  readonly detailText: string;
}

/** Stands before the first event of every wallet. */
export const chainStart: Uint8Array = new Uint8Array(32);

/** The seventeen lines that the hash covers; only the last, the detail, can hold a line feed. */
function eventCanonical(event: StoredEvent): string {
  return [
    'v1',
    event.walletId,
    event.seq,
    event.type,
    event.balanceDeltaMicros,
    event.heldDeltaMicros,
    event.arrearsDeltaMicros,
    event.balanceMicros,
    event.heldMicros,
    event.arrearsMicros,
    event.overdraftLimitMicros,
    event.key ?? '',
    event.requestHash ?? '',
    event.actor,
    event.occurredAtMicroseconds,
    event.recordedAtMicroseconds,
    event.detailText,
  ].join('\n');
}

/** hash(n) = SHA-256(hash(n - 1) || canonical(n)); before the first event stands {@link chainStart}. */
export function eventHash(previous: Uint8Array, event: StoredEvent): Buffer {
  return createHash('sha256').update(previous).update(eventCanonical(event), 'utf8').digest();
}

/** Whether a text is a SHA-256 in lower-case hex. */
export function isHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
