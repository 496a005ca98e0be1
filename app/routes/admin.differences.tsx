import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import type { DifferenceView } from '../../server/views/stripe-desk.ts';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { Pager } from '../components/pager.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatDateTime, sentence } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Differences');

export async function loader({ request, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const cursor = new URL(request.url).searchParams.get('cursor') ?? undefined;
  const page = await context.services.stripeDesk.differences({ cursor });
  return json({ ...toWire(page), isFirstPage: cursor === undefined });
}

export default function DifferencesPage() {
  const { differences, nextCursor, isFirstPage, compared } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Differences"
        lead="Where Stripe and the ledger disagreed when they were last compared. Times in UTC."
      />
      <p className="mb-5 text-ink-soft">
        {compared === null
          ? 'They were not compared yet.'
          : `Compared ${formatDateTime(compared.at, 'UTC')}: payments and refunds from ${formatDateTime(compared.from, 'UTC')} until ${formatDateTime(compared.to, 'UTC')}, disputes of months before.`}
      </p>
      <Card>
        {differences.length === 0 ? (
          <EmptyState
            title={compared === null ? 'No difference is known' : 'Stripe and the ledger agree'}
          >
            They are compared every day, and by npm run reconcile.
          </EmptyState>
        ) : (
          <ol className="divide-y divide-line">
            {differences.map((difference) => (
              <DifferenceRow key={difference.id} difference={difference} />
            ))}
          </ol>
        )}
        <Pager
          address={(query) => `/admin/differences?${new URLSearchParams(query)}`}
          isFirstPage={isFirstPage}
          nextCursor={nextCursor}
        />
      </Card>
    </>
  );
}

function DifferenceRow({ difference }: { difference: Wire<DifferenceView> }) {
  const { objectId, meaning, atStripe, inLedger, firstSeenAt, lastSeenAt, ...ids } = difference;
  return (
    <li className="py-4">
      <p className="font-medium">{sentence(meaning)}</p>
      <p className="text-sm wrap-anywhere text-ink-soft">
        {objectId}
        {ids.walletId !== null && (
          <>
            {' · '}
            <TextLink to={`/admin/wallets/${ids.walletId}`}>Wallet {ids.walletId}</TextLink>
          </>
        )}
      </p>
      <dl className="mt-2 grid gap-x-6 gap-y-1 text-sm sm:grid-cols-[auto_1fr]">
        <dt className="text-ink-soft">Stripe</dt>
        <dd className="wrap-anywhere">{factsOf(atStripe)}</dd>
        <dt className="text-ink-soft">Ledger</dt>
        <dd className="wrap-anywhere">{factsOf(inLedger)}</dd>
        <dt className="text-ink-soft">Seen</dt>
        <dd>
          {formatDateTime(firstSeenAt, 'UTC')} to {formatDateTime(lastSeenAt, 'UTC')}
        </dd>
      </dl>
    </li>
  );
}

function factsOf(facts: Record<string, string | null> | null): string {
  if (facts === null) return 'Nothing';
  return Object.entries(facts)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
