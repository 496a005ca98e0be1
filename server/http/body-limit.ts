import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { Fault } from '../faults.ts';
import { errorResponse } from './errors.ts';
import type { RequestIdVariables } from './request-id.ts';

/** Answers `PAYLOAD_TOO_LARGE` to bodies above `maxBytes`, whether or not they declare a length. */
export function limitBody(maxBytes: number): MiddlewareHandler<{ Variables: RequestIdVariables }> {
  return bodyLimit({
    maxSize: maxBytes,
    onError: (c) =>
      errorResponse(
        new Fault('PAYLOAD_TOO_LARGE', {
          publicMessage: `The body is larger than ${maxBytes} bytes.`,
        }),
        c.get('requestId'),
      ),
  });
}
