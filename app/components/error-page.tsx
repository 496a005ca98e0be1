import { isRouteErrorResponse, useNavigationType, useRouteError } from '@remix-run/react';
import { useDocumentContext } from '../document-context.ts';
import { TextLink } from './text-link.tsx';

/** What a person sees when a page could not be made: no stack, a way on, and an id to quote. */
export function ErrorPage() {
  const error = useRouteError();
  const { requestId } = useDocumentContext();
  // After a navigation inside the page the document's own request is not the one that failed.
  const isOwnRequest = useNavigationType() === 'POP';
  const missing = isRouteErrorResponse(error) && error.status === 404;

  return (
    <div className="mx-auto max-w-xl py-12">
      <h1 className="text-3xl font-semibold tracking-tight">
        {missing ? 'This page does not exist' : 'Something went wrong'}
      </h1>
      <p className="mt-3 text-ink-soft">
        {missing
          ? 'The address may be mistyped, or what it showed is no longer there.'
          : 'The page could not be shown. Your balance is not affected by this. Please try again in a moment.'}
      </p>
      <p className="mt-6">
        <TextLink to="/" reloadDocument>
          Go to the start page
        </TextLink>
      </p>
      {!missing && isOwnRequest && requestId && (
        <p className="mt-8 text-sm text-ink-soft">
          If it keeps happening, tell support this request id:{' '}
          <code className="break-all">{requestId}</code>
        </p>
      )}
    </div>
  );
}
