import type { Appearance, Stripe } from '@stripe/stripe-js';
import { loadStripe } from '@stripe/stripe-js/pure';
import { useEffect, useState } from 'react';

/** How Stripe's own fields look, to match the page around them. */
export const appearance: Appearance = {
  theme: 'stripe',
  variables: { colorPrimary: '#0b6650', colorDanger: '#a3261b', borderRadius: '8px' },
};

/** Stripe's script: null until it is there. */
export function useStripeScript(publishableKey: string): Stripe | null | 'failed' {
  const [stripe, setStripe] = useState<Stripe | null | 'failed'>(null);
  useEffect(() => {
    let isCurrent = true;
    const settle = (loaded: Stripe | 'failed') => {
      if (isCurrent) setStripe(loaded);
    };
    loadStripe(publishableKey).then(
      (loaded) => settle(loaded ?? 'failed'),
      () => settle('failed'),
    );
    return () => {
      isCurrent = false;
    };
  }, [publishableKey]);
  return stripe;
}
