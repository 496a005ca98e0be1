/** What people see instead of a page while the database does not answer; Remix has none without it. */
import type { Context } from 'hono';
import type { Fault } from '../faults.ts';
import type { AppEnv } from './app.ts';

/** Whether a browser asks for a page, and not a program or a script of a page for data. */
export function wantsPage(c: Context<AppEnv>): boolean {
  return (c.req.header('accept') ?? '').includes('text/html');
}

export function unavailablePage({ status, retryAfterSeconds = 1 }: Fault, requestId: string) {
  const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Please come back in a moment</title></head>
<body><main>
<h1>Please come back in a moment</h1>
<p>We cannot answer just now. Your money is safe. What you just sent may or may not have been done:
look at your <a href="/account/activity">activity</a> before you send it again.</p>
<p><a href="/">Go to the start page</a></p>
<p>If it keeps happening, tell support this request id: <code>${requestId}</code></p>
</main></body></html>
`;
  return new Response(page, {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'retry-after': String(retryAfterSeconds),
    },
  });
}
