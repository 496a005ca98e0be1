import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { Fault } from '../faults.ts';
import { errorResponse } from './errors.ts';
import type { RequestIdVariables } from './request-id.ts';

/** Answers `PAYLOAD_TOO_LARGE` to bodies above `maxBytes`, whether or not they declare a length. */
export function limitBody(maxBytes: number): MiddlewareHandler<{ Variables: RequestIdVariables }> {
  return bodyLimit({
    maxSize: maxBytes,
    onError(c) {
      const publicMessage = `The body is larger than ${maxBytes} bytes.`;
      const response = errorResponse(
        new Fault('PAYLOAD_TOO_LARGE', { publicMessage }),
        c.get('requestId'),
      );
      // What of the body is still to come is not read.
      response.headers.set('connection', 'close');
      return response;
    },
  });
}
