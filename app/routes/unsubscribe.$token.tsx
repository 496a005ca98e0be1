import { type ActionFunctionArgs, json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useActionData, useLoaderData } from '@remix-run/react';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { TextLink } from '../components/text-link.tsx';
import { notFound } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';

export const meta = pageTitle('Low-balance alerts');

const PRIVATE = { 'Referrer-Policy': 'no-referrer' };

/** Only shows: programs that look at the links of a mail must not stop anything. */
export async function loader({ params, context }: LoaderFunctionArgs) {
  const byMail = await context.services.alerts.mailsOfLink(params.token ?? '');
  if (byMail === null) throw notFound();
  return json({ byMail }, { headers: PRIVATE });
}

/** A person's press, or the one click of a mail program (RFC 8058), which has no cookie. */
export async function action({ params, context }: ActionFunctionArgs) {
  const isStopped = await context.services.alerts.stopMailsOfLink(params.token ?? '');
  if (!isStopped) throw notFound();
  return json({ isStopped }, { headers: PRIVATE });
}

export default function UnsubscribePage() {
  const { byMail } = useLoaderData<typeof loader>();
  const isStopped = useActionData<typeof action>()?.isStopped ?? false;
  return (
    <div className="mx-auto max-w-xl">
      <Card>
        <div className="grid gap-5">
          <h1 className="text-2xl font-semibold tracking-tight sm:text-3xl">Low-balance alerts</h1>
          {isStopped || !byMail ? (
            <p role={isStopped ? 'status' : undefined}>
              No alerts of a low balance are mailed to you. You still see them on your pages, and
              receipts and notices of payments go on.
            </p>
          ) : (
            <>
              <p>
                Stop the mails that tell you when your balance is low? Receipts and notices of
                payments go on.
              </p>
              <Form method="post">
                <Button>Stop these mails</Button>
              </Form>
            </>
          )}
          <p>
            <TextLink to="/account/settings#alerts">Change your alerts</TextLink>
          </p>
        </div>
      </Card>
    </div>
  );
}
