import { type ActionFunctionArgs, json, redirect } from '@remix-run/node';
import { z } from 'zod';
import type { StartReply } from '../top-up-payment.ts';

/*
 * Starts a top-up for the page `/account/top-up`, which calls this itself: an address of its own
 * answers in plain JSON, so that a lost connection leaves the page and its card form as they are.
 */

const startSchema = z.object({ attemptKey: z.uuid(), amount: z.string().max(32) });

export function loader() {
  return redirect('/account/top-up');
}

export async function action({ request, context }: ActionFunctionArgs) {
  const { user, services } = context;
  if (user === null) {
    return answer({ ok: false, code: 'SIGNED_OUT', message: 'You were signed out.' }, 401);
  }
  const parsed = startSchema.safeParse(Object.fromEntries(await request.formData()));
  if (!parsed.success) {
    return answer({ ok: false, code: 'INVALID_AMOUNT', message: 'Enter a valid amount.' }, 400);
  }
  const result = await services.topUps.start({
    userId: user.id,
    receiptEmail: user.email,
    ...parsed.data,
  });
  return answer(result, result.ok ? 200 : statusOf(result.code));
}

function statusOf(code: Extract<StartReply, { ok: false }>['code']): number {
  return code === 'PAYMENT_PROVIDER_UNAVAILABLE' ? 503 : 422;
}

/** The answer holds a client secret, which no cache may keep. */
function answer(reply: StartReply, status: number) {
  return json(reply, { status, headers: { 'Cache-Control': 'no-store' } });
}
