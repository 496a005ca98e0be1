/** What a caller may never send, whatever the wallet: not a refusal but a mistake in a program. */
import type { Command } from './decide.ts';
import { assertAllowed, maxAmountMicros } from './decision.ts';
import { assertTtl } from './hold.ts';
import { hasDuplicates, maxLimits, type SpendingLimit } from './limit-list.ts';
import { maxFeeMicros } from './subscriptions.ts';

/** @throws RangeError for a command that no caller may send, such as an amount of the wrong sign */
export function assertSendable(command: Command): void {
  switch (command.type) {
    case 'open_wallet':
    case 'change_wallet_status':
    case 'void_hold':
    case 'end_subscription':
    case 'post_fee':
    case 'demand_arrears':
      break;
    case 'rerate_usage':
      assertAllowed(command.priceMicros >= 0n, 'a price is never negative');
      break;
    case 'grant_credit':
      assertAllowed(command.amountMicros > 0n, 'a grant must be positive');
      break;
    case 'credit_top_up':
      assertAllowed(command.amountMicros > 0n, 'a top-up must be positive');
      break;
    case 'settle_accruals':
      assertAllowed(command.amountMicros > 0n, 'a settlement must be positive');
      break;
    case 'charge_wallet':
      assertAllowed((command.amountMicros ?? 0n) >= 0n, 'a charge is never negative');
      break;
    case 'refund_usage':
    case 'reserve_payment_refund':
      assertAllowed((command.amountMicros ?? 1n) > 0n, 'a refund is positive');
      break;
    case 'apply_payment_refund':
      assertAllowed(command.amountMicros > 0n, 'a refund is positive');
      break;
    case 'apply_dispute': {
      const { amountMicros, withdrawnMicros, reinstatedMicros } = command;
      assertAllowed(amountMicros > 0n, 'a dispute is of some money');
      assertAllowed(
        reinstatedMicros >= 0n && withdrawnMicros >= reinstatedMicros,
        'no more is given back than was taken',
      );
      break;
    }
    case 'set_limits':
      assertLimits(command.limits);
      break;
    case 'add_subscription': {
      const { monthlyMicros } = command;
      assertAllowed(monthlyMicros > 0n && monthlyMicros <= maxFeeMicros, 'a fee is no such amount');
      break;
    }
    case 'authorize_hold':
      assertAllowed((command.amountMicros ?? 0n) >= 0n, 'a hold is never negative');
      assertAllowed(
        command.pricing.goodwill !== true || command.amountMicros === 0n,
        'a hold that is goodwill holds nothing',
      );
      assertTtl(command.ttlSeconds);
      break;
    case 'extend_hold':
      assertAllowed((command.amountMicros ?? 0n) >= 0n, 'usage is never negative');
      assertAllowed((command.addMicros ?? 1n) > 0n, 'an addition is positive');
      if (command.ttlSeconds !== null) {
        assertTtl(command.ttlSeconds);
      }
      break;
    case 'capture_hold':
      assertAllowed((command.amountMicros ?? 0n) >= 0n, 'a capture is never negative');
      break;
    default: {
      const unknown: never = command;
      throw new TypeError(`unknown command ${String(unknown)}`);
    }
  }
}

function assertLimits(limits: readonly SpendingLimit[]): void {
  assertAllowed(limits.length <= maxLimits, `a wallet has at most ${maxLimits} limits`);
  for (const { amountMicros } of limits) {
    assertAllowed(
      amountMicros >= 0n && amountMicros <= maxAmountMicros,
      'a limit is no such amount',
    );
  }
  assertAllowed(!hasDuplicates(limits), 'a wallet has no limit twice');
}
