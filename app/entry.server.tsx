import { PassThrough } from 'node:stream';
import type {
  ActionFunctionArgs,
  AppLoadContext,
  EntryContext,
  LoaderFunctionArgs,
} from '@remix-run/node';
import { createReadableStreamFromReadable } from '@remix-run/node';
import { isRouteErrorResponse, RemixServer } from '@remix-run/react';
import { isbot } from 'isbot';
import { renderToPipeableStream } from 'react-dom/server';
import { DocumentContext } from './document-context.ts';

const RENDER_TIMEOUT_MS = 10_000;

/** Renders a page. People get it as it is made; crawlers wait for the whole of it. */
export default function handleRequest(
  request: Request,
  responseStatusCode: number,
  responseHeaders: Headers,
  remixContext: EntryContext,
  loadContext: AppLoadContext,
): Promise<Response> {
  const waitForAll = isbot(request.headers.get('user-agent') ?? '');
  const { cspNonce, requestId } = loadContext;

  return new Promise((resolve, reject) => {
    let status = responseStatusCode;
    let shellSent = false;

    const send = (): void => {
      shellSent = true;
      const body = new PassThrough();
      responseHeaders.set('Content-Type', 'text/html; charset=utf-8');
      keepPrivate(responseHeaders);
      resolve(
        new Response(createReadableStreamFromReadable(body), { headers: responseHeaders, status }),
      );
      stream.pipe(body);
    };

    const stream = renderToPipeableStream(
      <DocumentContext.Provider value={{ cspNonce, requestId }}>
        <RemixServer context={remixContext} url={request.url} abortDelay={RENDER_TIMEOUT_MS} />
      </DocumentContext.Provider>,
      {
        nonce: cspNonce,
        ...(waitForAll ? { onAllReady: send } : { onShellReady: send }),
        onShellError: reject,
        onError(error) {
          status = 500;
          // A failure of the shell rejects the promise and is reported by the caller.
          if (shellSent) loadContext.reportError(error);
        },
      },
    );

    setTimeout(() => stream.abort(), RENDER_TIMEOUT_MS + 1_000).unref();
  });
}

/** Answers the browser's data requests, which hold the same private facts as the pages. */
export function handleDataRequest(response: Response): Response {
  keepPrivate(response.headers);
  return response;
}

/** Reports what a loader, an action or a view did not expect. */
export function handleError(
  error: unknown,
  { request, context }: LoaderFunctionArgs | ActionFunctionArgs,
): void {
  // An address or a method that does not exist is an answer and no failure.
  if (request.signal.aborted || isRouteErrorResponse(error)) return;
  context.reportError(error);
}

/** A balance must not stay in a shared cache, nor come back with the Back button after sign-out. */
function keepPrivate(headers: Headers): void {
  if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'private, no-store');
}
