import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { type OriginCheckOptions, originCheck } from './origin-check.ts';
import { requestId } from './request-id.ts';

const APP_URL = 'https://wallet.example.com';

function appWith(options: Partial<OriginCheckOptions> = {}) {
  return new Hono()
    .use(requestId())
    .use(originCheck({ appUrl: APP_URL, exemptPaths: ['/api/stripe/webhook'], ...options }))
    .all('*', (c) => c.text('done'));
}

async function statusOf(
  headers: Record<string, string>,
  { method = 'POST', path = '/account', options = {} as Partial<OriginCheckOptions> } = {},
): Promise<number> {
  const response = await appWith(options).request(`http://127.0.0.1:3000${path}`, {
    method,
    headers: { cookie: 'session=x', ...headers },
  });
  return response.status;
}

describe('originCheck', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
    'refuses %s from another site, in JSON with the request id',
    async (method) => {
      const response = await appWith().request('/account', {
        method,
        headers: { origin: 'https://evil.example', 'x-request-id': 'request-1' },
      });
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({
        error: { code: 'BAD_ORIGIN', requestId: 'request-1' },
      });
    },
  );

  it.each([
    { origin: APP_URL },
    { referer: `${APP_URL}/account/top-up` },
    { origin: 'https://WALLET.example.com:443' },
  ])("lets the program's own pages through: %o", async (headers) => {
    expect(await statusOf(headers)).toBe(200);
  });

  it.each([
    {},
    { origin: 'null' },
    { origin: 'null', referer: `${APP_URL}/account` },
    { origin: 'http://wallet.example.com' },
    { origin: 'https://wallet.example.com:8443' },
    { origin: 'https://wallet.example.com.evil.example' },
    { origin: 'https://evil.example', referer: APP_URL },
    { referer: `https://evil.example/?${APP_URL}` },
    { origin: 'file://wallet.example.com' },
  ])('refuses what is not exactly that origin: %o', async (headers) => {
    expect(await statusOf(headers)).toBe(403);
  });

  it.each(['GET', 'HEAD', 'OPTIONS'])('lets %s from anywhere through', async (method) => {
    expect(await statusOf({ origin: 'https://evil.example' }, { method })).toBe(200);
  });

  it.each([
    ['/api/stripe/webhook', 200],
    ['/api/stripe/webhook/x', 200],
    ['/api/stripe/webhooks', 403],
    ['/account/api/stripe/webhook', 403],
    ['/api/stripe/webhook/../../../account', 403],
  ])('exempts the named paths and those below them only: %s', async (path, status) => {
    expect(await statusOf({}, { path })).toBe(status);
  });

  it('lets a Bearer token through, which no other site can make a browser send', async () => {
    const response = await appWith().request('/trpc/usage.charge', {
      method: 'POST',
      headers: { authorization: 'Bearer sk_x' },
    });
    expect(response.status).toBe(200);
  });

  it('does not let a Bearer token excuse a cookie', async () => {
    expect(await statusOf({ authorization: 'Bearer sk_x', origin: 'https://evil.example' })).toBe(
      403,
    );
  });

  it('accepts the host that was asked only where it is told to', async () => {
    const headers = { host: '127.0.0.1:3000', origin: 'http://127.0.0.1:3000' };
    expect(await statusOf(headers)).toBe(403);
    expect(await statusOf(headers, { options: { allowOwnHost: true } })).toBe(200);
    expect(
      await statusOf(
        { ...headers, origin: 'http://127.0.0.1:4000' },
        { options: { allowOwnHost: true } },
      ),
    ).toBe(403);
  });
});
