import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { limitBody } from './body-limit.ts';
import { requestId } from './request-id.ts';

const app = new Hono()
  .use(requestId())
  .use(limitBody(10))
  .post('/', async (c) => c.text(await c.req.text()));

describe('limitBody', () => {
  it('lets a body of the limit through unchanged', async () => {
    const response = await app.request('/', { method: 'POST', body: '0123456789' });
    expect(await response.text()).toBe('0123456789');
  });

  it.each([
    ['that declares its length', { 'content-length': '11' }],
    ['that does not', { 'transfer-encoding': 'chunked' }],
  ])('refuses a longer one %s, naming the limit', async (_, headers) => {
    const response = await app.request('/', {
      method: 'POST',
      body: '0123456789x',
      headers: { ...headers, 'x-request-id': 'request-1' },
    });
    expect(response.status).toBe(413);
    expect(response.headers.get('connection')).toBe('close');
    expect(await response.json()).toEqual({
      error: {
        code: 'PAYLOAD_TOO_LARGE',
        message: 'The body is larger than 10 bytes.',
        requestId: 'request-1',
      },
    });
  });
});
