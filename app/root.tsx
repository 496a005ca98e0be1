import { json, type LinksFunction, type LoaderFunctionArgs } from '@remix-run/node';
import {
  Links,
  Meta,
  type MetaFunction,
  Outlet,
  Scripts,
  ScrollRestoration,
  type ShouldRevalidateFunction,
  useMatches,
  useRouteLoaderData,
} from '@remix-run/react';
import type { ReactNode } from 'react';
import { ErrorPage } from './components/error-page.tsx';
import { SiteHeader } from './components/site-header.tsx';
import { useDocumentContext } from './document-context.ts';
import faviconUrl from './favicon.svg?url';
import { refreshSecondsOf } from './refresh.ts';
import stylesUrl from './styles.css?url';

export const links: LinksFunction = () => [
  { rel: 'icon', href: faviconUrl, type: 'image/svg+xml' },
  { rel: 'stylesheet', href: stylesUrl },
];

export const meta: MetaFunction<typeof loader> = ({ data }) => [
  { title: data?.appName ?? 'Something went wrong' },
];

export function loader({ context }: LoaderFunctionArgs) {
  const { appName, stripeScriptUrl } = context.config;
  return json({ appName, stripeScriptUrl, user: context.user });
}

/** Only signing in and out change what the frame shows. */
export const shouldRevalidate: ShouldRevalidateFunction = ({ formMethod }) =>
  formMethod !== undefined && formMethod !== 'GET';

/** The document around every page, error pages included. */
export function Layout({ children }: { children: ReactNode }) {
  const data = useRouteLoaderData<typeof loader>('root');
  const { cspNonce, requestId } = useDocumentContext();
  const refreshSeconds = refreshSecondsOf(useMatches());
  const appName = data?.appName ?? '';

  return (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        {requestId && <meta name="request-id" content={requestId} />}
        {refreshSeconds !== null && (
          <noscript>
            <meta httpEquiv="refresh" content={String(refreshSeconds)} />
          </noscript>
        )}
        <Meta />
        <Links />
        {data?.stripeScriptUrl && <script src={data.stripeScriptUrl} nonce={cspNonce} />}
      </head>
      <body className="flex min-h-dvh flex-col">
        <a
          href="#main"
          className="sr-only focus:not-sr-only focus:absolute focus:top-2 focus:left-2 focus:z-10 focus:rounded-lg focus:bg-surface focus:px-4 focus:py-2 focus:font-semibold focus:text-accent"
        >
          Skip to content
        </a>
        <SiteHeader appName={appName} user={data?.user ?? null} />
        <main id="main" tabIndex={-1} className="mx-auto w-full max-w-5xl flex-1 px-4 py-8 sm:px-6">
          {children}
        </main>
        <footer className="border-t border-line print:hidden">
          <p className="mx-auto max-w-5xl px-4 py-6 text-sm text-ink-soft sm:px-6">
            {appName && `${appName}. `}Card details go straight to Stripe and are never stored here.
          </p>
        </footer>
        <ScrollRestoration nonce={cspNonce} />
        <Scripts nonce={cspNonce} />
      </body>
    </html>
  );
}

export default function App() {
  return <Outlet />;
}

export function ErrorBoundary() {
  return <ErrorPage />;
}
