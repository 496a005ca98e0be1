import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import { Card } from '../components/card.tsx';
import { DisputeList, WarningList } from '../components/dispute-lists.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { Pager } from '../components/pager.tsx';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Disputes');

export async function loader({ request, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { walletDesk } = context.services;
  const query = new URL(request.url).searchParams;
  const cursors = { disputes: query.get('disputes'), warnings: query.get('warnings') };
  const [disputes, warnings] = await Promise.all([
    walletDesk.disputes({ cursor: cursors.disputes ?? undefined }),
    walletDesk.warnings({ cursor: cursors.warnings ?? undefined }),
  ]);
  return json({ disputes: toWire(disputes), warnings: toWire(warnings), cursors });
}

export default function DisputesPage() {
  const { disputes, warnings, cursors } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Disputes"
        lead="What banks said of payments, and what it did to the wallets. Newest first; times in UTC."
      />
      <div className="grid gap-5">
        <Card title="Disputes">
          {disputes.disputes.length === 0 ? (
            <EmptyState title="No payment was disputed">
              A dispute takes its money from the wallet, which stays frozen until it is decided.
            </EmptyState>
          ) : (
            <DisputeList disputes={disputes.disputes} timezone="UTC" withWallet />
          )}
          <Pager
            label="Pages of disputes"
            address={({ cursor }) => address({ ...cursors, disputes: cursor ?? null })}
            isFirstPage={cursors.disputes === null}
            nextCursor={disputes.nextCursor}
          />
        </Card>
        <Card title="Warnings of fraud">
          {warnings.warnings.length === 0 ? (
            <EmptyState title="No bank has warned of fraud">
              A warning pauses the automatic top-up of its wallet.
            </EmptyState>
          ) : (
            <WarningList warnings={warnings.warnings} timezone="UTC" withWallet />
          )}
          <Pager
            label="Pages of warnings"
            address={({ cursor }) => address({ ...cursors, warnings: cursor ?? null })}
            isFirstPage={cursors.warnings === null}
            nextCursor={warnings.nextCursor}
          />
        </Card>
      </div>
    </>
  );
}

/** Each list keeps its place while the other one turns a page. */
function address(cursors: Record<string, string | null>): string {
  const given = Object.entries(cursors).filter((entry): entry is [string, string] => !!entry[1]);
  return `/admin/disputes?${new URLSearchParams(given)}`;
}
