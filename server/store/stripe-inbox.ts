/** The inbox of Stripe's events: stored first, applied later, done only when applied. */
import type { InboxSummary } from '../views/admin.ts';
import type { InboxEventDetail, InboxEventView, InboxFilter } from '../views/stripe-desk.ts';
import { arrayLiteral, only, type Sql } from './sql.ts';

export interface InboxEvent {
  eventId: string;
  type: string;
  objectId: string | null;
  /** The customer that the event's object belongs to, or belonged to before; null without one. */
  customerId: string | null;
  /** The state that the object had when the event was made. */
  objectStatus: string | null;
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
    select event_id as "eventId", type, object_id as "objectId", livemode, status, outcome, failures,
      payload #>> '{data,object,status}' as "objectStatus",
      case when type like 'customer.%' then object_id else coalesce(
        payload #>> '{data,object,customer}', payload #>> '{data,previous_attributes,customer}')
      end as "customerId"
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

/** Counts a failed application; having waited for `giveUpAfterSeconds` the event waits for a person. */
export async function failEvent(
  sql: Sql,
  eventId: string,
  error: string,
  giveUpAfterSeconds: number,
): Promise<void> {
  await sql`
    update stripe_inbox set failures = failures + 1, last_error = ${error},
      status = case
        when waiting_since < clock_timestamp() - ${giveUpAfterSeconds} * interval '1 second'
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
      (select count(*)::int from stripe_quarantine where resolution is null) as quarantined
    from stripe_inbox`;
  return only(row);
}

const eventView = (sql: Sql) => sql`
  event_id as "eventId", type, object_id as "objectId", livemode, status, outcome, dispatches,
  failures, last_error as "lastError", received_at as "receivedAt", finished_at as "finishedAt"`;

/** Events newest first; `before` is the last one of the page before. */
export async function listEvents(
  sql: Sql,
  page: {
    filter: InboxFilter;
    before: { receivedAt: string; eventId: string } | null;
    limit: number;
  },
): Promise<(InboxEventView & { cursorAt: string })[]> {
  const { filter, before, limit } = page;
  return sql<(InboxEventView & { cursorAt: string })[]>`
    select ${eventView(sql)}, received_at::text as "cursorAt" from stripe_inbox
    where true
      ${filter.status === null ? sql`` : sql`and status = ${filter.status}`}
      ${filter.type === null ? sql`` : sql`and starts_with(type, ${filter.type})`}
      ${filter.objectId === null ? sql`` : sql`and object_id = ${filter.objectId}`}
      ${
        before === null
          ? sql``
          : sql`and (received_at, event_id)
              < (${before.receivedAt}::text::timestamptz, ${before.eventId})`
      }
    order by received_at desc, event_id desc limit ${limit}`;
}

/** One event with its payload as it was stored, or null. */
export async function findEventDetail(
  sql: Sql,
  eventId: string,
): Promise<(Omit<InboxEventDetail, 'payload'> & { payload: unknown }) | null> {
  const [row] = await sql<(Omit<InboxEventDetail, 'payload'> & { payload: unknown })[]>`
    select ${eventView(sql)}, api_version as "apiVersion", next_dispatch_at as "nextDispatchAt",
      trimmed_at as "trimmedAt", payload
    from stripe_inbox where event_id = ${eventId}`;
  return row ?? null;
}

/** Puts an event back in line; false when there is none of this id. */
export async function replayEvent(sql: Sql, eventId: string): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`
    select replay_stripe_event(${eventId}) as found`;
  return row?.found ?? false;
}

/** Trims the payloads of events that were done before the instant; returns how many. */
export async function trimPayloads(sql: Sql, before: Date, limit: number): Promise<number> {
  const [row] = await sql<{ trimmed: bigint }[]>`
    select trim_stripe_payloads(${before}, ${limit}) as trimmed`;
  return Number(row?.trimmed ?? 0);
}
