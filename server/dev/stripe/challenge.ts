import type { Call } from './call.ts';

export const AUTHENTICATION_FAILED =
  'We are unable to authenticate your payment method. Please choose a different payment method and try again.';

interface Challenged {
  id: string;
  client_secret: string | null;
}

/** Where the cardholder passes 3-D Secure, in a frame or, with a return URL, as a page. */
function challengeUrl(call: Call, intent: Challenged, returnUrl?: string): string {
  const url = new URL('/endive/three-d-secure', call.baseUrl);
  url.searchParams.set('intent', intent.id);
  url.searchParams.set('client_secret', intent.client_secret ?? '');
  if (returnUrl !== undefined) url.searchParams.set('return_url', returnUrl);
  return url.href;
}

/**
 * The `next_action` that leads to the challenge, alike for payment and setup intents: shown in
 * the page by Stripe.js, otherwise a page that the browser is sent away to.
 */
export function nextAction(
  call: Call,
  intent: Challenged,
  way: { returnUrl: string | undefined; useStripeSdk: boolean },
) {
  if (way.useStripeSdk || way.returnUrl === undefined) {
    return {
      type: 'use_stripe_sdk',
      use_stripe_sdk: { type: 'three_d_secure_redirect', stripe_js: challengeUrl(call, intent) },
    };
  }
  return {
    type: 'redirect_to_url',
    redirect_to_url: {
      return_url: way.returnUrl,
      url: challengeUrl(call, intent, way.returnUrl),
    },
  };
}
