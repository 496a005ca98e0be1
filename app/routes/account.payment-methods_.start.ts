import { type ActionFunctionArgs, json, redirect } from '@remix-run/node';
import { z } from 'zod';
import type { SetupReply } from '../card-setup.ts';

/*
 * Begins the setup of a card for the page `/account/payment-methods`, which calls this itself: as
 * with top-ups, an answer in plain JSON leaves the page and its card form as they are.
 */

const startSchema = z.object({ attemptKey: z.uuid() });

export function loader() {
  return redirect('/account/payment-methods');
}

export async function action({ request, context }: ActionFunctionArgs) {
  const { user, services } = context;
  if (user === null) {
    return answer({ ok: false, code: 'SIGNED_OUT', message: 'You were signed out.' }, 401);
  }
  const parsed = startSchema.safeParse(Object.fromEntries(await request.formData()));
  if (!parsed.success) throw json(null, { status: 400 });
  const result = await services.paymentMethods.startAdding({ userId: user.id, ...parsed.data });
  if (result.ok) return answer(result, 200);
  return answer(result, result.code === 'THROTTLED' ? 429 : 503);
}

/** The answer holds a client secret, which no cache may keep. */
function answer(reply: SetupReply, status: number) {
  return json(reply, { status, headers: { 'Cache-Control': 'no-store' } });
}
