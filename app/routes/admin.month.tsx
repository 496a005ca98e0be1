import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useLoaderData, useNavigation } from '@remix-run/react';
import type { MonthFailure } from '../../server/http/views/admin.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DataTable } from '../components/data-table.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatCount, formatDateTime, formatPeriod, humanize } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Month');

export async function loader({ context }: LoaderFunctionArgs) {
  requireSupport(context);
  return json(toWire(await context.services.admin.month()));
}

/** Closes what is due: also the wallets that failed, whose next try would come later. */
export async function action({ context }: ActionFunctionArgs) {
  const user = requireSupport(context);
  await context.services.admin.startBilling(`support:${user.id}`);
  return redirect('/admin/month');
}

export default function AdminMonthPage() {
  const { status, ranges, failures } = useLoaderData<typeof loader>();
  const isStarting = useNavigation().state !== 'idle';
  const instant = (iso: string | null) => (iso === null ? '—' : formatDateTime(iso, 'UTC'));
  return (
    <>
      <PageHeader
        title={`Month of ${formatPeriod(status.period)}`}
        lead="How far its closing is, and which wallets could not be closed. Times in UTC."
      />
      <div className="grid gap-5">
        <Card title="Closing">
          <DefinitionList
            items={[
              { label: 'Status', value: humanize(status.status) },
              ...Object.entries(status.wallets).map(([name, count]) => ({
                label: `Wallets ${name}`,
                value: formatCount(count),
              })),
              {
                label: 'Ranges done',
                value: `${formatCount(ranges.finished)} of ${formatCount(ranges.planned)}`,
              },
              { label: 'Attempts at ranges', value: formatCount(ranges.attempts) },
              { label: 'Started', value: instant(status.startedAt) },
              { label: 'Finished', value: instant(status.finishedAt) },
              { label: 'Next run', value: instant(status.nextRunAt) },
            ]}
          />
          <Form method="post" className="mt-5 grid gap-2">
            <Button busy={isStarting} className="justify-self-start">
              {failures.length === 0 ? 'Close what is due' : 'Try again now'}
            </Button>
            <p className="text-sm text-ink-soft">Doing it twice changes nothing that was done.</p>
          </Form>
        </Card>
        <Card title="Failures">
          {failures.length === 0 ? (
            <EmptyState title="No wallet failed">
              A wallet that could not be closed is listed here with why, until it is.
            </EmptyState>
          ) : (
            <Failures failures={failures} />
          )}
        </Card>
      </div>
    </>
  );
}

function Failures({ failures }: { failures: Wire<MonthFailure>[] }) {
  return (
    <DataTable
      caption="Wallets that could not be closed"
      columns={[
        { key: 'wallet', title: 'Wallet' },
        { key: 'reason', title: 'Reason' },
        { key: 'attempts', title: 'Attempts', numeric: true },
      ]}
      rows={failures.map(({ walletId, sqlstate, message, attempts, failedAt, retryAt }) => ({
        key: walletId,
        cells: {
          wallet: (
            <TextLink to={`/admin/wallets/${walletId}`}>
              <span className="break-all sm:whitespace-nowrap">{walletId}</span>
            </TextLink>
          ),
          reason: (
            <>
              {message} ({sqlstate})
              <span className="block text-sm text-ink-soft">
                {formatDateTime(failedAt, 'UTC')}
                {retryAt !== null && `, again at ${formatDateTime(retryAt, 'UTC')}`}
              </span>
            </>
          ),
          attempts: formatCount(attempts),
        },
      }))}
    />
  );
}
