import { type ActionFunctionArgs, json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatCount, formatDateTime, humanize } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Event');

export async function loader({ params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const event = await context.services.stripeDesk.event(params.eventId ?? '');
  if (event === null) throw notFound();
  return json(toWire(event));
}

/** Applies the event again, which is safe at any time. */
export async function action({ params, context }: ActionFunctionArgs) {
  requireSupport(context);
  const replayed = await context.services.stripeDesk.replay(params.eventId ?? '');
  if (replayed === null) throw notFound();
  return json(replayed);
}

export default function EventPage() {
  const event = useLoaderData<typeof loader>();
  const replayed = useActionData<typeof action>();
  const isReplaying = useNavigation().state === 'submitting';
  const instant = (iso: string | null) => (iso === null ? '—' : formatDateTime(iso, 'UTC'));
  return (
    <>
      <PageHeader
        title="Event"
        lead={<span className="wrap-anywhere">{event.type}</span>}
        action={<TextLink to="/admin/inbox">All events</TextLink>}
      />
      <div className="grid gap-5 lg:grid-cols-2">
        <Card title="What became of it">
          <div role="status" className="mb-4 empty:hidden">
            {replayed && (
              <Notice
                tone={replayed.ok ? 'info' : 'danger'}
                title={replayed.ok ? 'Applied again' : 'It could not be applied'}
              >
                {replayed.outcome}
              </Notice>
            )}
          </div>
          <DefinitionList
            items={[
              { label: 'Event', value: event.eventId },
              { label: 'Object', value: event.objectId ?? '—' },
              { label: 'Mode', value: event.livemode ? 'Live' : 'Test' },
              { label: 'API version', value: event.apiVersion ?? '—' },
              { label: 'Status', value: humanize(event.status) },
              { label: 'Outcome', value: event.outcome ?? '—' },
              { label: 'Last error', value: event.lastError ?? '—' },
              { label: 'Failures', value: formatCount(event.failures) },
              { label: 'Dispatches', value: formatCount(event.dispatches) },
              { label: 'Received', value: instant(event.receivedAt) },
              { label: 'Done', value: instant(event.finishedAt) },
              ...(event.status === 'waiting'
                ? [{ label: 'Next dispatch', value: instant(event.nextDispatchAt) }]
                : []),
            ]}
          />
          <Form method="post" className="mt-5 grid gap-2">
            <Button tone="secondary" busy={isReplaying} className="justify-self-start">
              Replay
            </Button>
            <p className="text-sm text-ink-soft">
              Asks Stripe anew and applies what it says. Doing it twice changes nothing that was
              done.
            </p>
          </Form>
        </Card>
        <Card title="What Stripe sent">
          <p className="mb-3 text-sm text-ink-soft">
            {event.trimmedAt === null
              ? 'Names, addresses and secrets are not shown.'
              : `All but the ids was deleted on ${instant(event.trimmedAt)}.`}
          </p>
          <pre className="rounded-lg bg-canvas p-3 text-sm wrap-anywhere whitespace-pre-wrap">
            {event.payload}
          </pre>
        </Card>
      </div>
    </>
  );
}
