import { json, redirect } from '@remix-run/node';
import { z } from 'zod';
import type { SignIn } from '../server/http/views/accounts.ts';
import { type FormErrors, fieldErrors } from './form-errors.ts';

const credentialsSchema = z.object({
  email: z.string().trim().min(1, { error: 'Enter your email address.' }).max(254, {
    error: 'This email address is too long.',
  }),
  password: z.string().min(1, { error: 'Enter your password.' }).max(1024, {
    error: 'This password is too long.',
  }),
});

/** Which field a refusal belongs to; one that is not listed belongs to the whole form. */
const fieldOfCode: Partial<Record<Extract<SignIn, { ok: false }>['code'], string>> = {
  EMAIL_TAKEN: 'email',
  INVALID_EMAIL: 'email',
  WEAK_PASSWORD: 'password',
};

/** Reads the form, lets `enter` decide, and opens the account or says what was wrong. */
export async function submitCredentials(
  request: Request,
  enter: (credentials: z.infer<typeof credentialsSchema>) => Promise<SignIn>,
) {
  const form = await request.formData();
  const parsed = credentialsSchema.safeParse(Object.fromEntries(form));
  const email = String(form.get('email') ?? '').slice(0, 254);
  if (!parsed.success) return json({ email, errors: fieldErrors(parsed.error) }, { status: 400 });

  const result = await enter(parsed.data);
  if (result.ok) {
    return redirect('/account', { headers: { 'Set-Cookie': result.setCookie } });
  }
  return json({ email, errors: refusal(result, fieldOfCode) }, refusalInit(result));
}

type Refusal = Extract<SignIn, { ok: false }>;

/** Binds a refusal to its field, or to the form. */
export function refusal(
  { code, message }: Refusal,
  fields: Partial<Record<Refusal['code'], string>>,
): FormErrors {
  const field = fields[code];
  return field === undefined ? { form: message, fields: {} } : { fields: { [field]: message } };
}

/** The status of a refusal; a throttled visitor also learns when to come back. */
export function refusalInit({ code, retryAfterSeconds }: Refusal): ResponseInit {
  if (code !== 'THROTTLED') return { status: 400 };
  return {
    status: 429,
    ...(retryAfterSeconds !== undefined && {
      headers: { 'Retry-After': String(retryAfterSeconds) },
    }),
  };
}
