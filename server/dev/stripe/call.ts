import type Stripe from 'stripe';
import type { Faults } from './faults.ts';
import type { Store } from './store.ts';
import type { Webhooks } from './webhooks.ts';

/** What the whole stand-in shares. */
export interface World {
  store: Store;
  webhooks: Webhooks;
  faults: Faults;
  /** Origin of the stand-in, for links that it hands out. */
  baseUrl: string;
}

/** One request to the API, as its handler sees it. Handlers are synchronous, so each is atomic. */
export interface Call extends World {
  /** A publishable key may only do what a browser with a client secret may. */
  caller: 'secret' | 'publishable';
  nowSeconds: number;
  /** The API request that events of this call name; null when nobody asked, as for a dispute. */
  request: Stripe.Event.Request | null;
}

/** A call that no API request caused: a dispute, a refund that fails days later. */
export function automaticCall(world: World): Call {
  return {
    ...world,
    caller: 'secret',
    nowSeconds: Math.floor(Date.now() / 1000),
    request: null,
  };
}
