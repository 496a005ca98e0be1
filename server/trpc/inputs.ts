/** Input schemas that several procedures share, and the form that answers travel in. */
import { z } from 'zod';
import type { WalletName } from '../store/wallets.ts';

export const userIdSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 printable ASCII characters without spaces');

export const currencySchema = z
  .string()
  .regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as USD');

/** The caller's own name of a thing: for retries it must be the same every time. */
export const referenceSchema = z
  .string()
  .regex(/^[\x20-\x7e]{1,200}$/, 'must be 1 to 200 printable ASCII characters')
  .regex(/\S/, 'must not be blank');

/** Beyond four digits of the year the database reads a `Date` otherwise than it was meant. */
const EARLIEST = Date.parse('1970-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');

export const instantSchema = z.iso
  .datetime({ offset: true, error: 'must be an ISO 8601 instant with a zone' })
  .transform((text) => new Date(text))
  .refine((instant) => instant.getTime() >= EARLIEST && instant.getTime() <= LATEST, {
    error: 'must be in the years 1970 to 9999',
  });

/** The number of an event of a wallet, as answers carry it. */
export const seqSchema = z
  .string()
  .regex(/^[1-9]\d{0,17}$/, 'must be the number of an event, as a decimal string')
  .transform((text) => BigInt(text));

/** A text for people, which the database can store: no control characters, no half surrogates. */
export const noteSchema = z
  .string()
  .trim()
  .regex(/^[^\p{Cc}\p{Cs}]{1,500}$/u, 'must be 1 to 500 characters without control characters')
  .regex(/[\p{L}\p{N}\p{P}\p{S}]/u, 'must have a character that can be seen');

/** The fields that name a wallet; spread into an input, then read with `walletName`. */
export const walletFields = {
  walletId: z.uuid('must be a UUID').optional(),
  userId: userIdSchema.optional(),
  currency: currencySchema.optional(),
};

interface WalletInput {
  walletId?: string | undefined;
  userId?: string | undefined;
  currency?: string | undefined;
}

/** Exactly one of `walletId` and `userId`; `currency` only beside `userId`. */
export function namesOneWallet(input: WalletInput, context: z.core.$RefinementCtx): void {
  if (input.walletId === undefined && input.userId === undefined) {
    context.issues.push({
      code: 'custom',
      path: [],
      message: 'name the wallet by userId or by walletId',
      input: undefined,
    });
  } else {
    namesWalletAtMostOnce(input, context);
  }
}

/** For what names its wallet by other means already. */
export function namesWalletAtMostOnce(input: WalletInput, context: z.core.$RefinementCtx): void {
  const { walletId, userId, currency } = input;
  if (walletId !== undefined && userId !== undefined) {
    context.issues.push({
      code: 'custom',
      path: [],
      message: 'name the wallet by userId or by walletId, and not by both',
      input: undefined,
    });
  }
  if (userId === undefined && currency !== undefined) {
    context.issues.push({
      code: 'custom',
      path: ['currency'],
      message: 'goes with userId only',
      input: undefined,
    });
  }
}

/** The wallet's name out of an input that `namesOneWallet` has passed. */
export function walletName(input: WalletInput): WalletName {
  const name = optionalWalletName(input);
  if (name === undefined) {
    throw new TypeError('an input without a wallet has passed its schema');
  }
  return name;
}

/** The wallet's name out of an input that `namesWalletAtMostOnce` has passed. */
export function optionalWalletName(input: WalletInput): WalletName | undefined {
  if (input.walletId !== undefined) {
    return { walletId: input.walletId };
  }
  return input.userId === undefined
    ? undefined
    : { userId: input.userId, currency: input.currency };
}

/** A value as JSON carries it: `bigint` as decimal string, `Date` as ISO instant. */
export type Wire<T> = T extends bigint
  ? string
  : T extends Date
    ? string
    : T extends readonly (infer Item)[]
      ? Wire<Item>[]
      : T extends object
        ? { [Key in keyof T]: Wire<T[Key]> }
        : T;

export function wire<T>(value: T): Wire<T> {
  return toWire(value) as Wire<T>;
}

function toWire(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return value.toString();
  }
  if (value instanceof Date) {
    return value.toISOString();
  }
  if (Array.isArray(value)) {
    return value.map(toWire);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  // Filled in place: by way of a list of entries this took a tenth of a charge.
  const travelling: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    travelling[key] = toWire((value as Record<string, unknown>)[key]);
  }
  return travelling;
}
