import { randomUUID } from 'node:crypto';
import { createMiddleware } from 'hono/factory';

export interface RequestIdVariables {
  requestId: string;
}

const SANE_ID = /^[A-Za-z0-9._-]{8,64}$/;

/** The caller's own request id where it is fit for logs and headers, else a new one. */
export function chooseRequestId(inbound: string | null | undefined): string {
  return inbound && SANE_ID.test(inbound) ? inbound : randomUUID();
}

/** Gives every request an id, `c.get('requestId')`, and names it in the `x-request-id` header. */
export function requestId() {
  return createMiddleware<{ Variables: RequestIdVariables }>(async (c, next) => {
    const id = chooseRequestId(c.req.header('x-request-id'));
    c.set('requestId', id);
    await next();
    c.res.headers.set('x-request-id', id);
  });
}
