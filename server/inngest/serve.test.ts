import { createHash, createHmac } from 'node:crypto';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createInngest, stripeEventReceived } from './client.ts';
import { inngestHandler } from './serve.ts';

const SECRET = createHash('sha256').update('a signing key').digest('hex');
const EXECUTION = JSON.stringify({
  ctx: { run_id: 'run' },
  event: { data: { eventId: 'evt_1' }, name: 'stripe/event.received' },
  events: [{ data: { eventId: 'evt_1' }, name: 'stripe/event.received' }],
});

/** The handler as in production, with a function that counts how often it ran. */
function startProduction() {
  const bodies: string[] = [];
  const inngest = createInngest({
    isDev: false,
    signingKey: `signkey-test-${SECRET}`,
    eventKey: 'event-key',
    logger: pino({ level: 'silent' }),
  });
  const fn = inngest.createFunction(
    { id: 'stripe-apply', triggers: stripeEventReceived },
    ({ event }) => {
      bodies.push(event.data.eventId);
    },
  );
  const handler = inngestHandler(inngest, [fn], {
    serveOrigin: 'https://wallet.example.com',
    signed: true,
  });
  const request = (method: string, body?: string, headers: Record<string, string> = {}) =>
    handler(
      new Request('https://wallet.example.com/api/inngest?fnId=prepaid-wallet-stripe-apply', {
        method,
        headers: { host: 'wallet.example.com', ...headers },
        ...(body !== undefined && { body }),
      }),
    );
  return { bodies, request };
}

function signatureOf(body: string, secret: string, atSeconds: number): Record<string, string> {
  const signature = createHmac('sha256', secret).update(body).update(`${atSeconds}`).digest('hex');
  return { 'x-inngest-signature': `t=${atSeconds}&s=${signature}` };
}

describe('inngestHandler', () => {
  const nowSeconds = Math.floor(Date.now() / 1_000);

  it('runs a function for a request that Inngest signed', async () => {
    const { bodies, request } = startProduction();
    const response = await request('POST', EXECUTION, signatureOf(EXECUTION, SECRET, nowSeconds));
    expect(response.status).toBe(200);
    expect(bodies).toEqual(['evt_1']);
  });

  it('refuses a body that is no JSON, whatever its signature claims', async () => {
    const { bodies, request } = startProduction();
    const response = await request('POST', 'a{b', signatureOf('a{b', SECRET, nowSeconds));
    expect(response.status).toBe(400);
    expect(bodies).toEqual([]);
  });

  it.each([
    ['an unsigned GET', 'GET', undefined, {}],
    ['an unsigned PUT', 'PUT', '{}', {}],
    ['an unsigned POST', 'POST', EXECUTION, {}],
    ['a foreign signature', 'POST', EXECUTION, signatureOf(EXECUTION, 'ab12', nowSeconds)],
    ['an old signature', 'POST', EXECUTION, signatureOf(EXECUTION, SECRET, nowSeconds - 600)],
    ['a signature of another body', 'POST', EXECUTION, signatureOf('{}', SECRET, nowSeconds)],
  ])('refuses %s in production and runs nothing', async (_case, method, body, headers) => {
    const { bodies, request } = startProduction();
    const response = await request(method, body, headers);
    expect(response.status).toBe(401);
    expect(await response.json()).toEqual({ message: 'Unauthorized' });
    expect(bodies).toEqual([]);
  });

  it.each(['PATCH', 'DELETE', 'OPTIONS', 'HEAD'])(
    'answers %s with an empty 405',
    async (method) => {
      const { request } = startProduction();
      const response = await request(method);
      expect(response.status).toBe(405);
      expect(await response.text()).toBe('');
    },
  );
});
