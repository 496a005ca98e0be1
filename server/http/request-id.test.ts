import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { requestId } from './request-id.ts';

const app = new Hono().use(requestId()).get('/', (c) => c.text(c.get('requestId')));

async function idsFor(inbound?: string) {
  const response = await app.request('/', inbound ? { headers: { 'x-request-id': inbound } } : {});
  return { inside: await response.text(), outside: response.headers.get('x-request-id') };
}

describe('requestId', () => {
  it("keeps the caller's own id and names it in the answer", async () => {
    expect(await idsFor('call-0123.456_x')).toEqual({
      inside: 'call-0123.456_x',
      outside: 'call-0123.456_x',
    });
  });

  it.each([undefined, 'short', 'x'.repeat(65), 'with blanks in it', '{"json":"12345"}'])(
    'makes an id of its own for %s',
    async (inbound) => {
      const { inside, outside } = await idsFor(inbound);
      expect(inside).toMatch(/^[0-9a-f-]{36}$/);
      expect(outside).toBe(inside);
    },
  );

  it('never gives two requests the same id', async () => {
    expect((await idsFor()).inside).not.toBe((await idsFor()).inside);
  });
});
