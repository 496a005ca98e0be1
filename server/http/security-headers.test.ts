import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { type SecurityHeadersOptions, securityHeaders } from './security-headers.ts';

async function answer(options: Partial<SecurityHeadersOptions> = {}) {
  const app = new Hono()
    .use(securityHeaders({ appUrl: 'https://wallet.example.com', ...options }))
    .get('/', (c) => c.text(c.get('secureHeadersNonce') ?? ''));
  const response = await app.request('/');
  const policy = response.headers.get('content-security-policy') ?? '';
  const directives = policy.split('; ').map((directive): [string, string[]] => {
    const [name = '', ...values] = directive.split(' ');
    return [name, values];
  });
  return {
    headers: response.headers,
    nonce: await response.text(),
    csp: Object.fromEntries(directives),
  };
}

describe('securityHeaders', () => {
  it('allows Stripe.js what it needs, and nothing else from other hosts', async () => {
    const { csp, nonce } = await answer();
    expect(csp).toEqual({
      'default-src': ["'self'"],
      'script-src': [
        "'self'",
        `'nonce-${nonce}'`,
        'https://js.stripe.com',
        'https://*.js.stripe.com',
      ],
      'style-src': ["'self'"],
      'img-src': ["'self'", 'data:', 'https://*.stripe.com'],
      'connect-src': ["'self'", 'https://api.stripe.com'],
      'frame-src': ['https://js.stripe.com', 'https://*.js.stripe.com', 'https://hooks.stripe.com'],
      'object-src': ["'none'"],
      'base-uri': ["'none'"],
      'form-action': ["'self'"],
      'frame-ancestors': ["'none'"],
    });
  });

  it('gives every request a nonce of its own', async () => {
    const [first, second] = [await answer(), await answer()];
    expect(first.nonce.length).toBeGreaterThanOrEqual(22);
    expect(first.nonce).not.toBe(second.nonce);
  });

  it("allows another Stripe server's script, frames and calls", async () => {
    const { csp } = await answer({ stripeApiBase: 'http://127.0.0.1:4242' });
    for (const directive of ['script-src', 'frame-src', 'connect-src']) {
      expect(csp[directive]).toContain('http://127.0.0.1:4242');
    }
  });

  it("allows a development server's styles and socket only where it is told to", async () => {
    const { csp } = await answer({ inlineStyles: true, devWebSocket: 'ws://localhost:24678' });
    expect(csp['style-src']).toEqual(["'self'", "'unsafe-inline'"]);
    expect(csp['connect-src']).toContain('ws://localhost:24678');
    expect(csp['script-src']?.join()).not.toContain('unsafe');
  });

  it('keeps browsers on HTTPS where the program is reached by it', async () => {
    const https = await answer();
    expect(https.headers.get('strict-transport-security')).toBe('max-age=31536000');
    const http = await answer({ appUrl: 'http://localhost:3000' });
    expect(http.headers.has('strict-transport-security')).toBe(false);
  });

  it('sets the other guards', async () => {
    const { headers } = await answer();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('referrer-policy')).toBe('strict-origin-when-cross-origin');
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin-allow-popups');
    expect(headers.get('permissions-policy')).toBe(
      'payment=(self "https://js.stripe.com" "https://*.js.stripe.com"), camera=(), microphone=(), geolocation=(), usb=()',
    );
  });
});
