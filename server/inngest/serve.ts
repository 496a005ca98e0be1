import type { Inngest, InngestFunction } from 'inngest';
import { serve } from 'inngest/edge';

export interface InngestHandlerOptions {
  /**
   * Origin at which Inngest reaches this application, such as `https://wallet.example.com`. Without
   * it the SDK believes the request's Host header, which a stranger can choose.
   */
  serveOrigin?: string | undefined;
  /** Whether every request must be signed, as in production. */
  signed: boolean;
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
  options: InngestHandlerOptions,
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
    // The SDK would report a stranger's request as a failure of ours.
    if (options.signed && !request.headers.has('x-inngest-signature')) {
      return Response.json({ message: 'Unauthorized' }, { status: 401 });
    }
    if (request.method === 'POST' && !isJson(await request.clone().text())) {
      return Response.json({ message: 'The body is no JSON.' }, { status: 400 });
    }
    return handler(request);
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
