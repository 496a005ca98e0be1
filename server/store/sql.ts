/** Connections to PostgreSQL, and how values travel over them. */
import postgres from 'postgres';
import { guardAgainstDeadConnections } from './driver-guard.ts';

/** A postgres.js client as this program configures it: int8 is `bigint`, never `number`. */
export type Sql = postgres.Sql<{ bigint: bigint }>;

/** The role of the application: it reads the ledger and writes only through functions. */
export const APP_ROLE = 'wallet_app';

export interface ConnectOptions {
  /** Role of every session; null or absent keeps the user of the URL (migrations, seeds, tests). */
  readonly role?: typeof APP_ROLE | null;
  /** Most connections open at once; default 10. */
  readonly max?: number;
  /** Shown in `pg_stat_activity`; default `prepaid-wallet`. */
  readonly applicationName?: string;
  /** Longest run of one statement; default 30 s; 0 leaves it to the server, which by default sets none. */
  readonly statementTimeoutMs?: number;
  /** Longest wait for one lock; default 10 s; 0 leaves it to the server. */
  readonly lockTimeoutMs?: number;
  /** Receives the server's notices; by default they are dropped. */
  readonly onnotice?: (notice: postgres.Notice) => void;
}

const CONNECT_TIMEOUT_SECONDS = 3;
/** Longest pause before the next try to connect; queries wait for it. */
const MAX_BACKOFF_SECONDS = 0.5;

/**
 * Makes a client for the database at `url` (`postgres://user:password@host:port/database`).
 * Connections open at the first query; end the client with `sql.end()`.
 *
 * Values, both ways: int8 is `bigint`, timestamptz is `Date` (milliseconds), json and jsonb are
 * parsed, uuid and text are strings. Three things to know when passing them:
 * - a jsonb parameter is stringified here, so pass the value itself (`${sql.json(value)}`), or text
 *   that is JSON already as `${text}::text::jsonb`; micros inside JSON are decimal strings;
 * - an array parameter is `${arrayLiteral(values)}::uuid[]`: without the catalog's types the driver
 *   cannot know an array's type, so it travels as text and the cast names it;
 * - an array column arrives as PostgreSQL's text (`{a,b}`): select `to_jsonb(column)` instead.
 */
export function connect(url: string, options: ConnectOptions = {}): Sql {
  const sql = postgres(url, {
    // Reading the catalog's types on connect lets a killed database crash the process
    // (postgres.js #1192, #1223).
    fetch_types: false,
    types: { bigint: postgres.BigInt },
    max: options.max ?? 10,
    // A connection that dies between a query and its flush makes postgres.js send nothing on the
    // next one: the query that waits for it must not wait long.
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    // postgres.js would wait up to 20 s before it tries again, long after the database is back.
    backoff: (failures) => Math.min(MAX_BACKOFF_SECONDS, 0.01 * 2 ** failures),
    // postgres.js prints notices to the console unless told otherwise.
    onnotice: options.onnotice ?? (() => undefined),
    connection: {
      application_name: options.applicationName ?? 'prepaid-wallet',
      // Sent in the startup packet, so a session never exists without its role, and `RESET ROLE`
      // comes back to it.
      ...(options.role ? { role: options.role } : {}),
      statement_timeout: options.statementTimeoutMs ?? 30_000,
      lock_timeout: options.lockTimeoutMs ?? 10_000,
      idle_in_transaction_session_timeout: 60_000,
    },
  });
  // A query is sent when it is first waited for; this one never is.
  guardAgainstDeadConnections(sql`select`);
  return sql;
}

/**
 * The row of a statement that always answers one, such as the call of a function.
 * @throws Error when it answered none
 */
export function only<Row>(row: Row | undefined): Row {
  if (row === undefined) {
    throw new Error('a statement that always answers a row answered none');
  }
  return row;
}

/**
 * The rows of a statement that answers each write of a batch, in order.
 * @throws Error when it left one unanswered, for then nobody knows whose the others are
 */
export function oneEach<Row>(rows: Row[], writes: readonly unknown[]): Row[] {
  if (rows.length !== writes.length) {
    throw new Error(`of ${writes.length} writes ${rows.length} were answered`);
  }
  return rows;
}

export type ArrayElement = string | bigint | number | boolean | Uint8Array | null;

const PLAIN_ELEMENT = /^[\w:.+-]+$/;

/**
 * Writes values as PostgreSQL's array text, for parameters such as
 * `unnest(${arrayLiteral(ids)}::uuid[])`. Elements are quoted where the array syntax needs it.
 * @see https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function arrayLiteral(values: readonly ArrayElement[]): string {
  return `{${values.map(arrayElement).join(',')}}`;
}

function arrayElement(value: ArrayElement): string {
  if (value === null) return 'NULL';
  if (value instanceof Uint8Array) return `"\\\\x${hexOf(value)}"`;
  const text = String(value);
  // The bare word NULL, in any case, would be read as a null.
  if (PLAIN_ELEMENT.test(text) && text.toUpperCase() !== 'NULL') return text;
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** Bytes as hexadecimal digits. */
export function hexOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('hex');
}
