import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useLoaderData } from '@remix-run/react';
import type { InboxEventView, InboxFilter, InboxStatus } from '../../server/views/stripe-desk.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Field, SelectField } from '../components/field.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { Pager } from '../components/pager.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatCount, formatDateTime } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Stripe inbox');

const STATUSES: Readonly<Record<InboxStatus, string>> = {
  waiting: 'Waiting',
  applied: 'Applied',
  ignored: 'Ignored',
  unhandled: 'Unhandled',
  dead: 'Dead',
};

const isStatus = (value: string | null): value is InboxStatus =>
  value !== null && Object.hasOwn(STATUSES, value);

export async function loader({ request, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const query = new URL(request.url).searchParams;
  const status = query.get('status');
  const filter: InboxFilter = {
    status: isStatus(status) ? status : null,
    type: typed(query.get('type')),
    objectId: typed(query.get('object')),
  };
  const cursor = query.get('cursor') ?? undefined;
  const [counts, page] = await Promise.all([
    context.services.admin.inbox(),
    context.services.stripeDesk.events(filter, { cursor }),
  ]);
  return json({ ...toWire(page), counts, filter, isFirstPage: cursor === undefined });
}

/** What a person typed, as far as Stripe's types and ids go; null when there is nothing. */
function typed(text: string | null): string | null {
  const trimmed = text?.trim() ?? '';
  return /^[\w.]{1,100}$/.test(trimmed) ? trimmed : null;
}

export default function InboxPage() {
  const { events, nextCursor, counts, filter, isFirstPage } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Stripe inbox"
        lead="What Stripe told us, and what became of it. Times in UTC."
      />
      <div className="grid gap-5">
        <Counts counts={counts} />
        <Card>
          <Filter filter={filter} />
          {events.length === 0 ? (
            <EmptyState
              title={counts.received === 0 ? 'Stripe has told nothing yet' : 'No such event'}
            >
              {counts.received === 0 ? (
                'Each event that its webhooks bring is listed here.'
              ) : (
                <TextLink to="/admin/inbox">Show all events</TextLink>
              )}
            </EmptyState>
          ) : (
            <ol className="divide-y divide-line">
              {events.map((event) => (
                <EventRow key={event.eventId} event={event} />
              ))}
            </ol>
          )}
          <Pager
            address={(query) => address(filter, query)}
            isFirstPage={isFirstPage}
            nextCursor={nextCursor}
          />
        </Card>
      </div>
    </>
  );
}

function Counts({ counts }: { counts: Record<string, number> }) {
  const shown = ['received', 'waiting', 'applied', 'ignored', 'unhandled', 'dead'];
  return (
    <Card title="Events so far">
      <dl className="grid grid-cols-2 gap-x-6 gap-y-3 sm:grid-cols-6">
        {shown.map((name) => (
          <div key={name}>
            <dt className="text-sm text-ink-soft">
              {isStatus(name) ? STATUSES[name] : 'Received'}
            </dt>
            <dd className="text-lg font-semibold tabular-nums">{formatCount(counts[name] ?? 0)}</dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}

function Filter({ filter }: { filter: InboxFilter }) {
  return (
    <Form
      method="get"
      className="mb-3 grid items-end gap-3 sm:grid-cols-[auto_1fr_1fr_auto]"
      key={JSON.stringify(filter)}
    >
      <SelectField
        name="status"
        label="Status"
        defaultValue={filter.status ?? ''}
        options={[['', 'All'], ...Object.entries(STATUSES)]}
      />
      <Field
        name="type"
        label="Type begins with"
        placeholder="payment_intent."
        autoComplete="off"
        spellCheck={false}
        defaultValue={filter.type ?? ''}
      />
      <Field
        name="object"
        label="Object"
        placeholder="pi_…"
        autoComplete="off"
        spellCheck={false}
        defaultValue={filter.objectId ?? ''}
      />
      <Button tone="secondary">Apply</Button>
    </Form>
  );
}

function EventRow({ event }: { event: Wire<InboxEventView> }) {
  const { eventId, type, objectId, status, outcome, lastError, failures, receivedAt } = event;
  return (
    <li className="flex flex-wrap justify-between gap-x-4 gap-y-1 py-3.5">
      <div className="min-w-0">
        <p className="font-medium wrap-anywhere">
          <TextLink to={`/admin/inbox/${eventId}`}>
            {type}
            <span className="sr-only"> {eventId}</span>
          </TextLink>
        </p>
        <p className="text-sm wrap-anywhere text-ink-soft">{objectId ?? eventId}</p>
        {lastError !== null && (
          <p className="text-sm wrap-anywhere text-danger">
            {lastError} ({formatCount(failures)}×)
          </p>
        )}
      </div>
      <div className="text-sm sm:text-right">
        <p className={status === 'dead' ? 'font-semibold text-danger' : 'font-semibold'}>
          {STATUSES[status]}
        </p>
        <p className="wrap-anywhere text-ink-soft">{outcome}</p>
        <time dateTime={receivedAt} className="block whitespace-nowrap text-ink-soft">
          {formatDateTime(receivedAt, 'UTC')}
        </time>
      </div>
    </li>
  );
}

function address(filter: InboxFilter, query: Record<string, string>): string {
  const { status, type, objectId } = filter;
  const given = Object.entries({ status, type, object: objectId, ...query });
  const set = given.filter((entry): entry is [string, string] => entry[1] !== null);
  return `/admin/inbox?${new URLSearchParams(set)}`;
}
