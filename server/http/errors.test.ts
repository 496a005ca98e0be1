import { describe, expect, it } from 'vitest';
import { Fault } from '../faults.ts';
import { errorResponse, toErrorBody } from './errors.ts';

describe('toErrorBody', () => {
  it('tells the code, the public message and the request id, and nothing else', () => {
    const fault = new Fault('WALLET_NOT_FOUND', { message: 'select from /srv/app' });
    expect(toErrorBody(fault, 'r-1')).toEqual({
      status: 404,
      headers: {},
      body: {
        error: {
          code: 'WALLET_NOT_FOUND',
          message: 'There is no such wallet.',
          requestId: 'r-1',
        },
      },
    });
  });

  it('answers what it does not know with 500 and a message that says nothing', () => {
    const { status, body } = toErrorBody(new Error('relation "x" at /srv/app.ts:1'), 'r-1');
    expect(status).toBe(500);
    expect(body.error).toEqual({
      code: 'INTERNAL',
      message: 'Something went wrong on our side.',
      requestId: 'r-1',
    });
  });

  it('says when to come back while the database is down', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    expect(toErrorBody(refused, 'r-1')).toMatchObject({
      status: 503,
      headers: { 'retry-after': '2' },
      body: { error: { code: 'DATABASE_UNAVAILABLE' } },
    });
  });
});

describe('errorResponse', () => {
  it('is JSON that no cache keeps', async () => {
    const response = errorResponse(new Fault('THROTTLED', { retryAfterSeconds: 60 }), 'r-1');
    expect(response.status).toBe(429);
    expect(response.headers.get('content-type')).toContain('application/json');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('retry-after')).toBe('60');
    expect(await response.json()).toMatchObject({ error: { code: 'THROTTLED' } });
  });
});
