import { type AppLoadContext, json, redirect } from '@remix-run/node';
import type { SessionUser } from '../server/views/accounts.ts';

/** The signed-in user; without one, the visitor is sent to sign in. */
export function requireUser(context: AppLoadContext): SessionUser {
  if (context.user === null) throw redirect('/login');
  return context.user;
}

/** The signed-in member of the support staff; to everyone else the page or file does not exist. */
export function requireSupport(context: AppLoadContext): SessionUser {
  if (context.user?.role !== 'support') throw fileNotFound(context);
  return context.user;
}

/** The answer for what does not exist, or not for this user. */
export function notFound(): Response {
  return json(null, { status: 404, statusText: 'Not Found' });
}

/** The same where no page stands around it, as for a file: an error in the shape of the API's. */
export function fileNotFound({ requestId }: AppLoadContext): Response {
  const error = { code: 'NOT_FOUND', message: 'There is nothing here.', requestId };
  return json({ error }, { status: 404, statusText: 'Not Found' });
}
