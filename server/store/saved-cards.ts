/** The cards that Stripe keeps for a user, as Stripe last told, in the user's order. */
import { only, type Sql } from './sql.ts';

export interface StoredCard {
  /** Stripe's `pm_…`. */
  paymentMethodId: string;
  brand: string;
  last4: string;
  expMonth: number;
  expYear: number;
  /** What its user calls it, if anything. */
  name: string | null;
  /** 1 is the default, the others are its backups in this order. */
  position: number;
  createdAt: Date;
}

/** A card as it was read at Stripe. */
export interface ReadCard {
  id: string;
  brand: string;
  last4: string;
  expMonth: number;
  expYear: number;
}

/** The user's cards: the default first, then its backups in order. */
export async function savedCards(
  sql: Sql,
  userId: string,
  livemode: boolean,
): Promise<StoredCard[]> {
  return sql<StoredCard[]>`
    select payment_method_id as "paymentMethodId", brand, last4, exp_month as "expMonth",
      exp_year as "expYear", name, position, created_at as "createdAt"
    from saved_cards where user_id = ${userId} and livemode = ${livemode} order by position`;
}

/**
 * Numbers a reading of a customer's cards. It must be called before Stripe is asked, and the number
 * handed to `recordSavedCards`. Null when the customer is unknown or deleted.
 */
export async function beginCardRead(sql: Sql, customerId: string): Promise<bigint | null> {
  const [row] = await sql<{ read: bigint | null }[]>`select begin_card_read(${customerId}) as read`;
  return row?.read ?? null;
}

/**
 * `STALE`: nothing had to be done, because a reading that began later was recorded. `VOID`: nothing
 * was done, because a card was removed meanwhile, and the cards have to be read again.
 */
export type CardRecording = 'OK' | 'STALE' | 'VOID' | 'NO_CUSTOMER';

/** Makes the user's cards those that were read at Stripe, all of them and the oldest first. */
export async function recordSavedCards(
  sql: Sql,
  customerId: string,
  read: bigint,
  cards: readonly ReadCard[],
): Promise<CardRecording> {
  const [row] = await sql<{ code: CardRecording }[]>`
    select record_saved_cards(${customerId}, ${read}, ${JSON.stringify(cards)}::text::jsonb) as code`;
  return only(row).code;
}

interface CardOfUser {
  userId: string;
  livemode: boolean;
  paymentMethodId: string;
}

/** Forgets a card that Stripe has removed; false when the user has no such card. */
export async function removeSavedCard(sql: Sql, card: CardOfUser): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`
    select remove_saved_card(${card.userId}, ${card.livemode}, ${card.paymentMethodId}) as found`;
  return row?.found === true;
}

/** Moves a card to a position, 1 being the default; false when the user has no such card. */
export async function moveSavedCard(
  sql: Sql,
  card: CardOfUser & { position: number },
): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`
    select move_saved_card(${card.userId}, ${card.livemode}, ${card.paymentMethodId},
      ${card.position}) as found`;
  return row?.found === true;
}

/** Names a card, or takes its name away; false when the user has no such card. */
export async function nameSavedCard(
  sql: Sql,
  card: CardOfUser & { name: string | null },
): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`
    select name_saved_card(${card.userId}, ${card.livemode}, ${card.paymentMethodId},
      ${card.name}) as found`;
  return row?.found === true;
}

/**
 * Begins the setup of a card, or finds the one that the attempt key began; its id is what Stripe's
 * idempotency key is made of. `THROTTLED`: too many were begun in the last hour.
 */
export async function startCardSetup(
  sql: Sql,
  setup: { setupId: string; userId: string; livemode: boolean; attemptKey: string },
): Promise<{ code: 'OK'; setupId: string } | { code: 'THROTTLED' | 'NO_CUSTOMER' }> {
  const [row] = await sql<{ code: 'OK' | 'THROTTLED' | 'NO_CUSTOMER'; id: string }[]>`
    select code, id from start_card_setup(
      ${setup.setupId}, ${setup.userId}, ${setup.livemode}, ${setup.attemptKey})`;
  const { code, id } = only(row);
  return code === 'OK' ? { code, setupId: id } : { code };
}

/** Notes that a customer was deleted at Stripe; its user's cards are gone with it. */
export async function forgetStripeCustomer(sql: Sql, customerId: string): Promise<void> {
  await sql`select forget_stripe_customer(${customerId})`;
}
