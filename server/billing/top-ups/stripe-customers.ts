/** The customers of Stripe that stand for users. */
import type { Sql } from '../../store/sql.ts';
import {
  countFormerCustomers,
  findStripeCustomer,
  saveStripeCustomer,
} from '../../store/top-ups.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';

/** Finds a user's customer, or makes it. Throws `StripeGatewayError`. */
export type CustomerOf = (userId: string) => Promise<string>;

export function createCustomerOf(options: {
  sql: Sql;
  gateway: StripeGateway;
  livemode: boolean;
}): CustomerOf {
  const { sql, gateway, livemode } = options;

  return async function customerOf(userId) {
    const known = await findStripeCustomer(sql, userId, livemode);
    if (known !== null) {
      return known;
    }
    // A key of its own after each that was deleted: Stripe would answer with the deleted one.
    const former = await countFormerCustomers(sql, userId, livemode);
    const next = former === 0 ? '' : `_after_${former}`;
    const created = await gateway.createCustomer({
      userId,
      idempotencyKey: `customer${next}_${livemode ? 'live' : 'test'}_${userId}`,
    });
    await saveStripeCustomer(sql, { userId, livemode, customerId: created.id });
    return (await findStripeCustomer(sql, userId, livemode)) ?? created.id;
  };
}
