/** The cards that a user has saved at Stripe. We keep none of them. */
import { Fault } from '../faults.ts';
import type { Services } from '../http/load-context.ts';
import type { Sql } from '../store/sql.ts';
import { findStripeCustomer } from '../store/top-ups.ts';
import type { StripeGateway } from '../stripe/gateway.ts';

export function createPaymentMethods(options: {
  sql: Sql;
  gateway: StripeGateway;
  livemode: boolean;
}): Services['paymentMethods'] {
  const { sql, gateway, livemode } = options;

  async function list(userId: string) {
    const customerId = await findStripeCustomer(sql, userId, livemode);
    if (customerId === null) {
      return [];
    }
    try {
      return await gateway.listCards(customerId);
    } catch (cause) {
      throw new Fault('PAYMENT_PROVIDER_UNAVAILABLE', { cause });
    }
  }

  return {
    list,
    async remove(userId, paymentMethodId) {
      const cards = await list(userId);
      if (!cards.some((card) => card.id === paymentMethodId)) {
        return false;
      }
      await gateway.detachCard(paymentMethodId).catch((cause: unknown) => {
        throw new Fault('PAYMENT_PROVIDER_UNAVAILABLE', { cause });
      });
      return true;
    },
  };
}
