import type Stripe from 'stripe';
import type { Call } from './call.ts';
import { noSuch } from './errors.ts';
import { emit } from './events.ts';
import { newId } from './ids.ts';
import { listRoute, readRoute } from './lists.ts';
import type { Route } from './route.ts';

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
  listRoute(path, 'early_fraud_warning', ['charge', 'payment_intent']),
  readRoute(path, 'early_fraud_warning'),
];
