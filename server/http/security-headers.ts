import type { MiddlewareHandler } from 'hono';
import { NONCE, type SecureHeadersVariables, secureHeaders } from 'hono/secure-headers';

export type { SecureHeadersVariables };

export interface SecurityHeadersOptions {
  /** Where people reach this program; over HTTPS, browsers are told to stay there. */
  readonly appUrl: string;
  /** Another server that speaks Stripe's API and serves its script and frames. */
  readonly stripeApiBase?: string | null;
  /** The WebSocket of a development server that reloads pages, for example `ws://localhost:24678`. */
  readonly devWebSocket?: string | null;
  /** Allow `<style>` and `style=` in pages: a development server injects styles that way. */
  readonly inlineStyles?: boolean;
}

const STRIPE_SCRIPTS = ['https://js.stripe.com', 'https://*.js.stripe.com'];
const ONE_YEAR_SECONDS = 31_536_000;

/**
 * Sets the headers that confine a page to this program and Stripe. The nonce that scripts of the
 * page must carry is `c.get('secureHeadersNonce')`, new for each request.
 * @see https://docs.stripe.com/security/guide#content-security-policy
 */
export function securityHeaders(
  options: SecurityHeadersOptions,
): MiddlewareHandler<{ Variables: SecureHeadersVariables }> {
  const stripeApi = options.stripeApiBase ? [new URL(options.stripeApiBase).origin] : [];
  const webSocket = options.devWebSocket ? [options.devWebSocket] : [];
  const https = new URL(options.appUrl).protocol === 'https:';

  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'self'"],
      scriptSrc: ["'self'", NONCE, ...STRIPE_SCRIPTS, ...stripeApi],
      styleSrc: options.inlineStyles ? ["'self'", "'unsafe-inline'"] : ["'self'"],
      imgSrc: ["'self'", 'data:', 'https://*.stripe.com'],
      connectSrc: ["'self'", 'https://api.stripe.com', ...stripeApi, ...webSocket],
      frameSrc: [...STRIPE_SCRIPTS, 'https://hooks.stripe.com', ...stripeApi],
      objectSrc: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
    },
    strictTransportSecurity: https ? `max-age=${ONE_YEAR_SECONDS}` : false,
    // A same-origin POST must keep its Origin and Referer: the Origin check reads them.
    referrerPolicy: 'strict-origin-when-cross-origin',
    // Some payment methods are confirmed in a window of their own, which reports back.
    crossOriginOpenerPolicy: 'same-origin-allow-popups',
    xFrameOptions: 'DENY',
    permissionsPolicy: {
      payment: ['self', ...STRIPE_SCRIPTS, ...stripeApi],
      camera: [],
      microphone: [],
      geolocation: [],
      usb: [],
    },
  });
}
