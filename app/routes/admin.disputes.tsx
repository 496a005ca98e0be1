import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import { Card } from '../components/card.tsx';
import { DisputeList, WarningList } from '../components/dispute-lists.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Disputes');

export async function loader({ context }: LoaderFunctionArgs) {
  requireSupport(context);
  return json(toWire(await context.services.walletDesk.newest()));
}

export default function DisputesPage() {
  const { disputes, warnings } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Disputes"
        lead="What banks said of payments lately, and what it did to the wallets. Times in UTC."
      />
      <div className="grid gap-5">
        <Card title="Newest disputes">
          {disputes.length === 0 ? (
            <EmptyState title="No payment was disputed" />
          ) : (
            <DisputeList disputes={disputes} timezone="UTC" withWallet />
          )}
        </Card>
        <Card title="Newest warnings of fraud">
          {warnings.length === 0 ? (
            <EmptyState title="No bank has warned of fraud">
              A warning pauses the automatic top-up of its wallet.
            </EmptyState>
          ) : (
            <WarningList warnings={warnings} timezone="UTC" withWallet />
          )}
        </Card>
      </div>
    </>
  );
}
