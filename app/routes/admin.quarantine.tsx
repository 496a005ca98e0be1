import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import type { QuarantineView } from '../../server/views/stripe-desk.ts';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Money } from '../components/money.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { Pager } from '../components/pager.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatDateTime, humanize, sentence } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Quarantine');

export async function loader({ request, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const query = new URL(request.url).searchParams;
  const resolved = query.has('resolved');
  const cursor = query.get('cursor') ?? undefined;
  const page = await context.services.stripeDesk.quarantine({ resolved, cursor });
  return json({ ...toWire(page), resolved, isFirstPage: cursor === undefined });
}

export default function QuarantinePage() {
  const { payments, nextCursor, resolved, isFirstPage } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Quarantine"
        lead="Payments that are not what was asked for. None of them is credited until you decide."
        action={
          resolved ? (
            <TextLink to="/admin/quarantine">Show undecided</TextLink>
          ) : (
            <TextLink to="/admin/quarantine?resolved">Show decided</TextLink>
          )
        }
      />
      <Card title={resolved ? 'Decided' : 'To be decided'}>
        {payments.length === 0 ? (
          <EmptyState title={resolved ? 'Nothing was decided yet' : 'No payment waits for you'}>
            A payment comes here when Stripe says something else of it than was asked for.
          </EmptyState>
        ) : (
          <ol className="divide-y divide-line">
            {payments.map((payment) => (
              <PaymentRow key={payment.paymentIntentId} payment={payment} />
            ))}
          </ol>
        )}
        <Pager
          address={(query) =>
            `/admin/quarantine?${new URLSearchParams({ ...(resolved && { resolved: '' }), ...query })}`
          }
          isFirstPage={isFirstPage}
          nextCursor={nextCursor}
        />
      </Card>
    </>
  );
}

function PaymentRow({ payment }: { payment: Wire<QuarantineView> }) {
  const { paymentIntentId, reason, createdAt, paid, asked, resolved } = payment;
  return (
    <li className="flex flex-wrap justify-between gap-x-4 gap-y-1 py-3.5">
      <div className="min-w-0">
        <p className="font-medium">
          <TextLink to={`/admin/quarantine/${paymentIntentId}`}>
            {sentence(reason)}
            <span className="sr-only"> of {paymentIntentId}</span>
          </TextLink>
        </p>
        <p className="text-sm wrap-anywhere text-ink-soft">{paymentIntentId}</p>
        {resolved !== null && (
          <p className="text-sm wrap-anywhere text-ink-soft">
            {humanize(resolved.as)} by {resolved.by}: {resolved.note}
          </p>
        )}
      </div>
      <div className="text-sm sm:text-right">
        <p>
          Paid{' '}
          {paid?.amountMicros ? (
            <Money micros={paid.amountMicros} currency={paid.currency} />
          ) : (
            'unknown'
          )}
        </p>
        <p>
          Asked{' '}
          {asked === null ? (
            'nothing'
          ) : (
            <Money micros={asked.amountMicros} currency={asked.currency} />
          )}
        </p>
        <time dateTime={createdAt} className="block whitespace-nowrap text-ink-soft">
          {formatDateTime(createdAt, 'UTC')}
        </time>
      </div>
    </li>
  );
}
