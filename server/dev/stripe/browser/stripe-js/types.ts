/** Shapes that the stand-in's Stripe.js passes around; only its type checker reads this file. */

export interface StripeError {
  type: string;
  code?: string;
  message?: string;
  [field: string]: unknown;
}

/** A payment or setup intent as a publishable key sees it. */
export interface Intent {
  id: string;
  object: 'payment_intent' | 'setup_intent';
  status: string;
  client_secret: string;
  amount?: number;
  currency?: string;
  setup_future_usage?: string | null;
  next_action: null | { type: string; use_stripe_sdk?: { stripe_js: string } };
  last_payment_error?: StripeError | null;
  last_setup_error?: StripeError | null;
}

/** What the frame made of the card that was typed or chosen. */
export interface Collected {
  paymentMethod?: { id: string };
  setupFutureUsage?: string | null;
  error?: StripeError;
}

export interface Appearance {
  theme?: string;
  variables?: Record<string, string>;
}

export interface ElementsOptions {
  clientSecret?: string;
  mode?: string;
  amount?: number;
  currency?: string;
  setupFutureUsage?: string | null;
  customerSessionClientSecret?: string;
  appearance?: Appearance;
}

/** Parameters of an API call, nested as in Stripe's documentation. */
export interface Params {
  [name: string]: string | number | boolean | null | undefined | Params;
}

export interface ConfirmOptions {
  elements?: import('./elements.js').Elements;
  clientSecret?: string;
  confirmParams?: {
    return_url?: string;
    payment_method?: string;
    payment_method_data?: { billing_details?: Params };
  };
  redirect?: 'always' | 'if_required';
}

export type Handler = (payload: unknown) => void;
