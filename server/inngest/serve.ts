import type { Inngest, InngestFunction } from 'inngest';
import { serve } from 'inngest/edge';

export interface InngestHandlerOptions {
  /**
   * Origin at which Inngest reaches this application, such as `https://wallet.example.com`. Without
   * it the SDK believes the request's Host header, which a stranger can choose.
   */
  serveOrigin?: string | undefined;
}

/** The methods to mount: the SDK once answered others with its environment (CVE-2026-42047). */
const METHODS = ['GET', 'PUT', 'POST'];

/**
 * A fetch handler that registers and runs the functions. The request's body must not have been
 * read. In production every request must be signed, also the PUT that registers: an unsigned one
 * could point Inngest at somebody else's server.
 */
export function inngestHandler(
  inngest: Inngest,
  functions: readonly InngestFunction.Like[],
  options: InngestHandlerOptions = {},
): (request: Request) => Promise<Response> {
  const handler = serve({
    client: inngest,
    functions,
    enableUnauthedSync: false,
    ...(options.serveOrigin !== undefined && { serveOrigin: options.serveOrigin }),
  });
  return async (request) => {
    if (!METHODS.includes(request.method)) {
      return new Response(null, { status: 405, headers: { allow: METHODS.join(', ') } });
    }
    return handler(request);
  };
}
