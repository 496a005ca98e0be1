import { redirect } from '@remix-run/node';
import type { SignIn } from '../server/views/accounts.ts';
import { errorsOf, refuseForm } from './refuse-form.server.ts';

/** Reads the form, lets `enter` decide, and opens the account or says what was wrong. */
export async function submitCredentials(
  request: Request,
  enter: (credentials: { email: string; password: string }) => Promise<SignIn>,
) {
  const form = await request.formData();
  const text = (name: string) => String(form.get(name) ?? '');
  const result = await enter({ email: text('email'), password: text('password') });
  return result.ok
    ? redirect('/account', { headers: { 'Set-Cookie': result.setCookie } })
    : refuseForm(form, errorsOf(result), refusalInit(result));
}

/** The status of a refusal; a throttled visitor also learns when to come back. */
export function refusalInit({ retryAfterSeconds }: Extract<SignIn, { ok: false }>): ResponseInit {
  return retryAfterSeconds === undefined
    ? { status: 400 }
    : { status: 429, headers: { 'Retry-After': String(retryAfterSeconds) } };
}
