import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useLoaderData } from '@remix-run/react';
import { Button, ButtonLink } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { EventList } from '../components/event-list.tsx';
import { SelectField } from '../components/field.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { type EventGroup, eventGroups, isEventGroup } from '../event-groups.ts';
import { describeEvent } from '../events.ts';
import { requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';

export const meta = pageTitle('Activity');

const PAGE_SIZE = 25;
/** What a cursor looks like; an address that was tampered with shows the first page. */
const CURSOR = /^[1-9]\d{0,17}$/;

export async function loader({ request, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const query = new URL(request.url).searchParams;
  const requested = query.get('show');
  const group: EventGroup | null = isEventGroup(requested) ? requested : null;
  const wanted = query.get('cursor') ?? '';
  const cursor = CURSOR.test(wanted) ? wanted : undefined;

  const { walletId, currency, timezone } = await context.services.wallets.ofUser(user.id);
  const page = await context.services.wallets.events(walletId, {
    cursor,
    limit: PAGE_SIZE,
    types: group === null ? undefined : [...eventGroups[group].types],
  });
  const priced = await context.services.wallets.explainEvents(
    walletId,
    page.events.map(({ seq }) => seq),
  );
  return json({
    group,
    timezone,
    isFirstPage: cursor === undefined,
    events: page.events.map((event) =>
      describeEvent(
        event,
        currency,
        timezone,
        priced.find(({ seq }) => seq === event.seq),
      ),
    ),
    nextCursor: page.nextCursor,
  });
}

export default function ActivityPage() {
  const { group, timezone, isFirstPage, events, nextCursor } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Activity"
        lead={`Everything that happened in your wallet, newest first. Times in ${timezone}.`}
      />
      <Card>
        <Filter group={group} />
        {events.length === 0 ? (
          <EmptyState title="Nothing to show">
            {group === null && isFirstPage ? (
              <>
                Your first entry comes with your first top-up.{' '}
                <TextLink to="/account/top-up">Add funds</TextLink>
              </>
            ) : (
              <TextLink to="/account/activity">Show all activity</TextLink>
            )}
          </EmptyState>
        ) : (
          <EventList events={events} withDetails />
        )}
        <nav aria-label="Pages" className="mt-5 flex flex-wrap gap-3 empty:hidden">
          {!isFirstPage && (
            <ButtonLink tone="secondary" to={pageAddress(group, null)}>
              Newest
            </ButtonLink>
          )}
          {nextCursor !== null && (
            <ButtonLink tone="secondary" to={pageAddress(group, nextCursor)}>
              Older
            </ButtonLink>
          )}
        </nav>
      </Card>
    </>
  );
}

function Filter({ group }: { group: EventGroup | null }) {
  return (
    <Form method="get" className="mb-3 flex flex-wrap items-end gap-3" key={group ?? 'all'}>
      <SelectField
        name="show"
        label="Show"
        defaultValue={group ?? 'all'}
        options={[
          ['all', 'All activity'],
          ...Object.entries(eventGroups).map(([key, { label }]) => [key, label] as const),
        ]}
      />
      <Button tone="secondary">Apply</Button>
    </Form>
  );
}

function pageAddress(group: EventGroup | null, cursor: string | null): string {
  const query = new URLSearchParams();
  if (group !== null) query.set('show', group);
  if (cursor !== null) query.set('cursor', cursor);
  return `/account/activity?${query}`;
}
