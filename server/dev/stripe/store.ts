import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type Stripe from 'stripe';
import type { CardBehaviour } from './cards.ts';

/** What the stand-in knows of a payment method beyond Stripe's object. Never the card number. */
export interface CardRecord {
  behaviour: CardBehaviour;
  /** Authenticated with 3-D Secure for later off-session use. */
  authenticated: boolean;
  /** Used once without a customer, or detached: it may not be used again. */
  spent: boolean;
}

/** The stored answer to an idempotency key. */
export interface StoredAnswer {
  fingerprint: string;
  status: number;
  body: string;
  requestId: string;
  createdMs: number;
}

/** One event on its way to one endpoint (by its position in the configured list). */
export interface Delivery {
  eventId: string;
  endpoint: number;
  state: 'pending' | 'delivered' | 'dropped' | 'given_up';
  attempts: number;
  /** Milliseconds since the epoch at which the next attempt is due. */
  nextAttemptMs: number;
  /** HTTP status of the last attempt, or why there was none. */
  lastOutcome: string | null;
}

export interface CustomerSessionRecord extends Stripe.CustomerSession {
  customer: string;
}

export interface Tables {
  balance_transaction: Stripe.BalanceTransaction;
  card: CardRecord;
  charge: Stripe.Charge;
  customer: Stripe.Customer;
  customer_session: CustomerSessionRecord;
  deleted_customer: Stripe.DeletedCustomer;
  delivery: Delivery;
  dispute: Stripe.Dispute;
  early_fraud_warning: Stripe.Radar.EarlyFraudWarning;
  event: Stripe.Event;
  idempotency: StoredAnswer;
  payment_intent: Stripe.PaymentIntent;
  payment_method: Stripe.PaymentMethod;
  refund: Stripe.Refund;
  setup_intent: Stripe.SetupIntent;
}

export type TableName = keyof Tables;

const TABLE_NAMES: readonly TableName[] = [
  'balance_transaction',
  'card',
  'charge',
  'customer',
  'customer_session',
  'deleted_customer',
  'delivery',
  'dispute',
  'early_fraud_warning',
  'event',
  'idempotency',
  'payment_intent',
  'payment_method',
  'refund',
  'setup_intent',
];

const IDEMPOTENCY_LIFETIME_MS = 24 * 60 * 60 * 1000;

type Rows = { [Name in TableName]: Map<string, Tables[Name]> };

function emptyRows(): Rows {
  return Object.fromEntries(TABLE_NAMES.map((name) => [name, new Map()])) as Rows;
}

/**
 * All objects, in memory, and in a journal of JSON lines when a path is given: every write is
 * appended before the call that made it returns, so a killed process loses nothing that it
 * answered for. Opening the store replays the journal and writes it anew without what was
 * overwritten.
 */
export class Store {
  readonly #rows: Rows = emptyRows();
  readonly #path: string | undefined;

  constructor(path?: string) {
    this.#path = path;
    if (path === undefined) return;
    mkdirSync(dirname(path), { recursive: true });
    if (existsSync(path)) this.#replay(readFileSync(path, 'utf8'));
    this.#compact(path);
  }

  get<Name extends TableName>(table: Name, id: string): Tables[Name] | undefined {
    return this.#rows[table].get(id);
  }

  /** Oldest first. */
  all<Name extends TableName>(table: Name): Tables[Name][] {
    return [...this.#rows[table].values()];
  }

  put<Name extends TableName>(table: Name, id: string, row: Tables[Name]): Tables[Name] {
    this.#rows[table].set(id, row);
    this.#append(table, id, row);
    return row;
  }

  delete(table: TableName, id: string): void {
    this.#rows[table].delete(id);
    this.#append(table, id, null);
  }

  #append(table: TableName, id: string, row: unknown): void {
    if (this.#path !== undefined)
      appendFileSync(this.#path, `${JSON.stringify([table, id, row])}\n`);
  }

  #replay(journal: string): void {
    const lines = journal.split('\n');
    lines.forEach((line, index) => {
      if (line === '') return;
      let entry: [TableName, string, never];
      try {
        entry = JSON.parse(line);
      } catch (cause) {
        // The last line may be torn by a kill in the middle of a write; it was never answered for.
        if (index >= lines.length - 1) return;
        throw new Error(`The Stripe stand-in's state is damaged at line ${index + 1}`, { cause });
      }
      const [table, id, row] = entry;
      if (row === null) this.#rows[table]?.delete(id);
      else this.#rows[table]?.set(id, row);
    });
    const oldest = Date.now() - IDEMPOTENCY_LIFETIME_MS;
    for (const [key, answer] of this.#rows.idempotency) {
      if (answer.createdMs < oldest) this.#rows.idempotency.delete(key);
    }
  }

  #compact(path: string): void {
    const lines = TABLE_NAMES.flatMap((name) =>
      [...this.#rows[name]].map(([id, row]) => `${JSON.stringify([name, id, row])}\n`),
    );
    writeFileSync(`${path}.new`, lines.join(''), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}
