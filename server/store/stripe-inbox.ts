/** The inbox of Stripe's events: stored first, applied later, done only when applied. */
import type { InboxSummary } from '../http/load-context.ts';
import { arrayLiteral, type Sql } from './sql.ts';

export interface InboxEvent {
  eventId: string;
  type: string;
  objectId: string | null;
  livemode: boolean;
  status: 'waiting' | 'applied' | 'ignored' | 'unhandled' | 'dead';
  outcome: string | null;
  failures: number;
}

/** Stores an event once; true when it is new. */
export async function storeEvent(
  sql: Sql,
  event: {
    eventId: string;
    type: string;
    objectId: string | null;
    livemode: boolean;
    apiVersion: string | null;
    payload: string;
  },
): Promise<boolean> {
  const rows = await sql`
    insert into stripe_inbox (event_id, type, object_id, livemode, api_version, payload)
    values (${event.eventId}, ${event.type}, ${event.objectId}, ${event.livemode},
      ${event.apiVersion}, ${event.payload}::text::jsonb)
    on conflict (event_id) do nothing returning event_id`;
  return rows.length === 1;
}

/** One event of the inbox, or null. */
export async function findEvent(sql: Sql, eventId: string): Promise<InboxEvent | null> {
  const [row] = await sql<InboxEvent[]>`
    select event_id as "eventId", type, object_id as "objectId", livemode, status, outcome, failures
    from stripe_inbox where event_id = ${eventId}`;
  return row ?? null;
}

/** Closes an event that is done; it is not dispatched again. */
export async function finishEvent(
  sql: Sql,
  eventId: string,
  status: 'applied' | 'ignored' | 'unhandled',
  outcome: string,
): Promise<void> {
  await sql`
    update stripe_inbox set status = ${status}, outcome = ${outcome}, last_error = null,
      finished_at = clock_timestamp()
    where event_id = ${eventId} and status in ('waiting', 'dead')`;
}

/** Counts a failed application; `giveUpAfterSeconds` after its receipt the event waits for a person. */
export async function failEvent(
  sql: Sql,
  eventId: string,
  error: string,
  giveUpAfterSeconds: number,
): Promise<void> {
  await sql`
    update stripe_inbox set failures = failures + 1, last_error = ${error},
      status = case
        when received_at < clock_timestamp() - ${giveUpAfterSeconds} * interval '1 second'
        then 'dead' else status end
    where event_id = ${eventId} and status = 'waiting'`;
}

/** Takes up to `limit` events that are due; `dispatch` counts an event's dispatches from 1. */
export async function claimEvents(
  sql: Sql,
  limit: number,
): Promise<{ eventId: string; dispatch: number }[]> {
  return sql<{ eventId: string; dispatch: number }[]>`
    select event_id as "eventId", dispatch from claim_stripe_events(${limit})`;
}

/** Gives back claimed events that were not sent: the claim is as if it had not been. */
export async function releaseEvents(sql: Sql, eventIds: readonly string[]): Promise<void> {
  await sql`
    update stripe_inbox set dispatches = dispatches - 1, next_dispatch_at = clock_timestamp()
    where event_id = any (${arrayLiteral(eventIds)}::text[]) and status = 'waiting'`;
}

/** How many events stand where, and how many payments wait in quarantine. */
export async function inboxSummary(sql: Sql): Promise<InboxSummary> {
  const [row] = await sql<InboxSummary[]>`
    select count(*)::int as received,
      count(*) filter (where status = 'applied')::int as applied,
      count(*) filter (where status = 'ignored')::int as ignored,
      count(*) filter (where status = 'unhandled')::int as unhandled,
      count(*) filter (where status = 'waiting')::int as waiting,
      count(*) filter (where status = 'dead')::int as dead,
      (select count(*)::int from stripe_quarantine) as quarantined
    from stripe_inbox`;
  if (row === undefined) {
    throw new Error('a count returned nothing');
  }
  return row;
}
