import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { noSuch } from './errors.ts';
import { emit } from './events.ts';
import { newId } from './ids.ts';
import { created, createdMatches, page, pagination } from './lists.ts';
import { nonEmpty } from './params.ts';
import { type Route, route } from './route.ts';

/** The card network holds a payment to be fraud. It moves no money; a dispute may follow. */
export function warnOfFraud(call: Call, chargeId: string): Stripe.Radar.EarlyFraudWarning {
  const charge = call.store.get('charge', chargeId);
  if (!charge) throw noSuch('charge', chargeId);
  const { payment_intent: intent } = charge;
  const warning: Stripe.Radar.EarlyFraudWarning = {
    id: newId('issfr'),
    object: 'radar.early_fraud_warning',
    actionable: !charge.disputed && !charge.refunded,
    charge: chargeId,
    created: call.nowSeconds,
    fraud_type: 'unauthorized_use_of_card',
    livemode: false,
    ...(intent === null ? {} : { payment_intent: intent }),
  };
  call.store.put('early_fraud_warning', warning.id, warning);
  emit(call, 'radar.early_fraud_warning.created', warning);
  return warning;
}

const path = '/v1/radar/early_fraud_warnings';

export const fraudWarningRoutes: Route[] = [
  route(
    'GET',
    path,
    z.strictObject({
      ...pagination,
      created,
      charge: nonEmpty.optional(),
      payment_intent: nonEmpty.optional(),
    }),
    (call, params) =>
      page(
        call.store
          .all('early_fraud_warning')
          .filter(
            (row) =>
              createdMatches(row.created, params.created) &&
              (params.charge === undefined || row.charge === params.charge) &&
              (params.payment_intent === undefined || row.payment_intent === params.payment_intent),
          ),
        params,
        path,
      ),
  ),
  route('GET', `${path}/:id`, z.strictObject({}), (call, _params, id) => {
    const found = call.store.get('early_fraud_warning', id);
    if (!found) throw noSuch('early fraud warning', id);
    return found;
  }),
];
