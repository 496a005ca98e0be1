/** The ledger of the database, asked as the decider is. */
import postgres from 'postgres';
import { expect } from 'vitest';
import type { TestDatabase } from '../dev/test-database.ts';
import { chargeWallet, type LedgerOutcome } from '../store/charges.ts';
import { applyDispute } from '../store/disputes.ts';
import { grantCredit } from '../store/grants.ts';
import {
  extendHolds,
  type HoldCapture,
  type HoldPlacing,
  voidHolds,
  writeHolds,
} from '../store/holds.ts';
import { setLimits } from '../store/limits.ts';
import { applyPaymentRefund, reservePaymentRefund } from '../store/payment-refunds.ts';
import { refundUsage } from '../store/refunds.ts';
import { beginRerating, postDifferences } from '../store/reratings.ts';
import { only } from '../store/sql.ts';
import { addSubscription, endSubscription } from '../store/subscriptions.ts';
import { changeWalletStatus } from '../store/wallet-status.ts';
import { actor, paymentKeys } from './commands.fixtures.ts';
import type { Command } from './decide.ts';
import type { Decision, Outcome } from './decision.ts';
import type { HoldCommand } from './holds.ts';
import { ledgerKey } from './key.ts';

export function dateOf(atMs: number | null): Date | null {
  return atMs === null ? null : new Date(atMs);
}

/** The top-up that asked for a payment. It is there before the payment is, as always. */
export function topUpOf(walletId: string, paymentKey: string): string {
  return ledgerKey(walletId, paymentKey);
}

/** Usage before it may be re-rated: all that the histories know. */
const RERATED_TO = new Date('2026-03-01T00:00:00Z');

export type DatabaseDecider = (
  command: Command,
  walletId: string,
) => Promise<Decision['outcome'] | 'NEVER_ALLOWED'>;

/** Carries a command out by the ledger's SQL functions, and answers in the decider's words. */
export function createDatabaseDecider(
  database: TestDatabase,
  nowMs: () => number,
): DatabaseDecider {
  async function execute(
    command: Command,
    walletId: string,
  ): Promise<Decision['outcome'] | 'NEVER_ALLOWED'> {
    try {
      if (command.type === 'open_wallet') {
        return await openWallet(command, walletId);
      }
      if (command.type === 'extend_hold') {
        return await extend(command, walletId);
      }
      if (command.type === 'rerate_usage') {
        return await rerate(command, walletId);
      }
      // The database's caller is another function of the database, which checks the payment.
      if (command.type === 'credit_top_up' && command.amountMicros <= 0n) {
        return 'NEVER_ALLOWED';
      }
      const outcome = await call(command, walletId);
      if (outcome === undefined || outcome.code === 'WALLET_NOT_FOUND') {
        return { code: 'WALLET_NOT_FOUND' };
      }
      const { recordedAt, code, replayed, ...answer } = outcome;
      expect(recordedAt).toBeInstanceOf(Date);
      return code === 'OK' ? { code, replayed, ...answer } : { code, replayed: false, ...answer };
    } catch (error) {
      if (error instanceof postgres.PostgresError && error.code === '22023') {
        return 'NEVER_ALLOWED';
      }
      throw error;
    }
  }

  async function call(
    command: Exclude<Command, { type: 'open_wallet' | 'extend_hold' | 'rerate_usage' }>,
    walletId: string,
  ): Promise<(Omit<LedgerOutcome, 'code'> & { code: Outcome['code'] }) | undefined> {
    if (command.type === 'change_wallet_status') {
      return changeWalletStatus(database.app, { ...command, walletId });
    }
    if (command.type === 'set_limits') {
      return setLimits(database.app, { ...command, walletId });
    }
    if (command.type === 'apply_payment_refund' || command.type === 'apply_dispute') {
      return applyMoneyBack(command, walletId);
    }
    if (command.type === 'end_subscription') {
      return endSubscription(database.app, {
        ...command,
        walletId,
        endsAt: dateOf(command.endsAtMs),
      });
    }
    const request = { ...command, walletId, requestHash: Buffer.from(command.requestHash, 'hex') };
    switch (request.type) {
      case 'charge_wallet':
        return chargeWallet(database.app, { ...request, occurredAt: null });
      case 'grant_credit':
        return grantCredit(database.app, {
          ...request,
          expiresAt: typeof request.expiresAtMs === 'number' ? new Date(request.expiresAtMs) : null,
        });
      case 'reserve_payment_refund':
        return reservePaymentRefund(database.app, {
          ...request,
          topUpId: request.paymentKey && topUpOf(walletId, request.paymentKey),
          livemode: false,
          reason: null,
        });
      case 'credit_top_up': {
        const { key, requestHash, amountMicros, actor, detail } = request;
        const [outcome] = await database.owner<LedgerOutcome[]>`
          select o.code, o.replayed, o.seq, o.amount_micros as "amountMicros",
            o.balance_micros as "balanceMicros", o.held_micros as "heldMicros",
            o.arrears_micros as "arrearsMicros", o.available_micros as "availableMicros",
            o.recorded_at as "recordedAt", o.detail
          from wallets w
          cross join lateral credit_wallet(w, 'top_up', ${key}, ${requestHash}, ${amountMicros},
            ${actor}, null, ${JSON.stringify(detail)}::text::json) o
          where w.id = ${walletId}`;
        if (outcome?.code === 'OK' && !outcome.replayed) {
          await database.owner`
            update top_ups set status = 'succeeded', amount_micros = ${amountMicros},
              credited_seq = ${outcome.seq}
            where id = ${topUpOf(walletId, key)}`;
        }
        return outcome;
      }
      case 'authorize_hold':
        return writeHold({ kind: 'authorize', ...request });
      case 'capture_hold':
        return writeHold({ kind: 'capture', ...request });
      case 'void_hold':
        return only((await voidHolds(database.app, [request]))[0]);
      case 'refund_usage':
        return refundUsage(database.app, request);
      case 'add_subscription':
        return addSubscription(database.app, {
          ...request,
          startsAt: dateOf(request.startsAtMs),
          endsAt: dateOf(request.endsAtMs),
        });
      case 'settle_accruals':
      case 'demand_arrears':
      case 'post_fee':
        throw new TypeError('only the closing of a month does this');
      default: {
        const unknown: never = request;
        throw new TypeError(`unknown command ${String(unknown)}`);
      }
    }
  }

  async function applyMoneyBack(
    command: Extract<Command, { type: 'apply_payment_refund' | 'apply_dispute' }>,
    walletId: string,
  ) {
    const topUpId = topUpOf(walletId, command.paymentKey);
    const minor = (micros: bigint) => micros / 10_000n;
    const common = {
      ...command,
      topUpId,
      paymentIntentId: `pi_${topUpId}`,
      currency: 'USD',
      amountMinor: minor(command.amountMicros),
      reason: null,
      occurredAt: new Date(nowMs()),
    };
    return common.type === 'apply_dispute'
      ? applyDispute(database.app, {
          ...common,
          status: common.state,
          withdrawnMinor: minor(common.withdrawnMicros),
          reinstatedMinor: minor(common.reinstatedMicros),
        })
      : applyPaymentRefund(database.app, {
          ...common,
          stripeRefundId: String(common.detail.refundId),
          ownId: common.refundId,
          status: common.failed ? 'failed' : 'succeeded',
          failureCode: null,
        });
  }

  async function writeHold(write: HoldPlacing | HoldCapture) {
    const { code, expiresAt, ...answer } = only((await writeHolds(database.app, [write]))[0]);
    // No name was remembered, and no key.
    expect.assert(code !== 'CURRENCY_REQUIRED' && code !== 'KEY_REVOKED');
    if (code !== 'OK' || answer.detail !== null) {
      return { code, ...answer };
    }
    const [event] = await database.app<{ detail: Record<string, unknown> }[]>`
      select detail from wallet_events where wallet_id = ${write.walletId} and seq = ${answer.seq}`;
    const { detail } = only(event);
    expect(expiresAt?.toISOString()).toBe(detail.expiresAt);
    return { code, ...answer, detail };
  }

  async function extend(
    command: Extract<HoldCommand, { type: 'extend_hold' }>,
    walletId: string,
  ): Promise<Decision['outcome']> {
    const outcome = only((await extendHolds(database.app, [{ ...command, walletId }]))[0]);
    const { code, expiresAt, unitsSoFar, ...answer } = outcome;
    return code === 'WALLET_NOT_FOUND' || code === 'HOLD_NOT_FOUND'
      ? { code }
      : { code, expiresAtMs: expiresAt.getTime(), unitsSoFar: Number(unitsSoFar), ...answer };
  }

  /** The re-rating is there before its usage is corrected. */
  async function rerate(
    command: Extract<Command, { type: 'rerate_usage' }>,
    walletId: string,
  ): Promise<Decision['outcome']> {
    const { reratingId: id, cardId, debits, reason, originalSeq: seq, ...usage } = command;
    const terms = { id, cardId, debits, reason, from: new Date(0), to: RERATED_TO };
    expect(await beginRerating(database.app, terms, actor)).toBe('OK');
    const posted = await postDifferences(database.app, id, [{ walletId, seq, ...usage }], actor);
    const { code, postedMicros } = only(posted[0]);
    return code === 'WALLET_NOT_FOUND' ? { code } : { code, postedMicros };
  }

  async function openWallet(
    { userId, currency, timezone, mode, actor }: Extract<Command, { type: 'open_wallet' }>,
    walletId: string,
  ): Promise<Outcome> {
    const [row] = await database.app<Omit<LedgerOutcome, 'code' | 'recordedAt'>[]>`
      select not opened as replayed, (wallet).seq, 0::bigint as "amountMicros",
        (wallet).balance_micros as "balanceMicros", (wallet).held_micros as "heldMicros",
        (wallet).arrears_micros as "arrearsMicros", available_micros(wallet) as "availableMicros",
        null as detail
      from open_wallet(${walletId}, ${userId}, ${currency}, ${timezone}, ${mode}, ${actor})`;
    expect.assert(row);
    if (!row.replayed) {
      for (const topUpId of paymentKeys.map((key) => topUpOf(walletId, key))) {
        await database.owner`
          insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor,
            livemode, payment_intent_id)
          values (${topUpId}, ${walletId}, ${topUpId}, ${currency}, 1, 1, false, ${`pi_${topUpId}`})`;
      }
    }
    return { code: 'OK', ...row };
  }

  return execute;
}
