import { type ActionFunctionArgs, json, redirect } from '@remix-run/node';
import { z } from 'zod';

/*
 * Uses up the link of the page `/confirm-payment`, which calls this itself when a person presses the
 * button: opening a link, as the scanners of mail do, uses nothing up.
 */

const startSchema = z.object({ token: z.string().max(200) });

export function loader() {
  return redirect('/');
}

export async function action({ request, context }: ActionFunctionArgs) {
  const parsed = startSchema.safeParse(Object.fromEntries(await request.formData()));
  const reply = parsed.success
    ? await context.services.autoTopUps.startRecovery(parsed.data.token)
    : { ok: false, message: 'This link is not one of ours.' };
  // The answer holds a client secret, which no cache may keep.
  return json(reply, { status: reply.ok ? 200 : 422, headers: { 'Cache-Control': 'no-store' } });
}
