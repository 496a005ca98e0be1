import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import type { LimitView } from '../../server/views/spending-limits.ts';
import type { UsageOverview } from '../../server/views/usage.ts';
import type { WalletView } from '../../server/views/wallets.ts';
import { AvailableBalance } from '../components/available-balance.tsx';
import { ButtonLink } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { EventList } from '../components/event-list.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { ReachedLimits } from '../components/reached-limits.tsx';
import { TextLink } from '../components/text-link.tsx';
import { UsageChart } from '../components/usage-chart.tsx';
import { UsageTable } from '../components/usage-table.tsx';
import { WalletNotices } from '../components/wallet-notices.tsx';
import { describeEvent } from '../events.ts';
import { describeForecast, describeReach } from '../forecast.ts';
import { formatDateTime, formatPeriod } from '../format.ts';
import { requireUser } from '../guards.server.ts';
import { bindingLimit, stopsUsage } from '../limits.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Overview');

const LATEST_EVENTS = 6;
const LATEST_TOP_UPS = 5;

export async function loader({ context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const { wallets, statements, topUps, autoTopUps, usage, spendingLimits } = context.services;
  const wallet = await wallets.ofUser(user.id);
  const { walletId, currency, timezone } = wallet;
  const [overview, limits, page, closed, recentTopUps, autoTopUp, freezing] = await Promise.all([
    usage.overview(wallet),
    spendingLimits.ofUser(user.id),
    wallets.events(walletId, { limit: LATEST_EVENTS }),
    statements.list(user.id),
    topUps.list(user.id, LATEST_TOP_UPS),
    autoTopUps.get(user.id),
    topUps.freezing(user.id),
  ]);
  const statement = closed[0];
  return json({
    wallet: toWire(wallet),
    freezing: toWire(freezing),
    usage: toWire(overview),
    limits: toWire(limits),
    events: page.events.map((event) => describeEvent(event, currency, timezone)),
    statement: statement ? { number: statement.number, period: statement.period } : null,
    autoTopUpIsPaused: autoTopUp.settings?.status === 'paused',
    pendingTopUps: recentTopUps
      .filter(({ status }) => status === 'processing' || status === 'requires_action')
      .map(({ topUpId, kind, status, amountMicros }) => ({
        topUpId,
        follow: kind === 'auto' ? '/account/auto-top-up' : `/account/top-up/${topUpId}`,
        needsAction: status === 'requires_action',
        amountMicros: amountMicros.toString(),
      })),
  });
}

export default function OverviewPage() {
  const { wallet, freezing, usage, limits, events, statement, ...topUps } =
    useLoaderData<typeof loader>();
  const { pendingTopUps, autoTopUpIsPaused } = topUps;
  const { currency, timezone } = wallet;
  const limit = bindingLimit(limits, wallet.availableMicros);
  const reached = limits.filter((each) => stopsUsage(each, each === limit ? usage.reach : []));
  return (
    <>
      <PageHeader title="Overview" />
      <div className="grid gap-5">
        <WalletNotices wallet={wallet} freezing={freezing} />
        <ReachedLimits limits={reached} currency={currency} timezone={timezone} />
        {autoTopUpIsPaused && (
          <Notice tone="warning" title="Automatic top-up is paused">
            Your wallet is not topped up when it runs low.{' '}
            <TextLink to="/account/auto-top-up">See why</TextLink>
          </Notice>
        )}
        {pendingTopUps.map(({ topUpId, follow, needsAction, amountMicros }) => (
          <Notice key={topUpId}>
            A payment of <Money micros={amountMicros} currency={currency} />{' '}
            {needsAction ? 'waits for you to confirm it.' : 'is on its way.'}{' '}
            <TextLink to={follow}>Follow it</TextLink>
          </Notice>
        ))}
        <div className="grid gap-5 lg:grid-cols-2">
          <BalanceCard wallet={wallet} usage={usage} limit={limit} />
          <ForecastCard wallet={wallet} usage={usage} limit={limit} />
        </div>
        <Card title="Usage this month">
          <MonthUsage usage={usage} currency={currency} />
        </Card>
        <Card
          title="Latest activity"
          action={<TextLink to="/account/activity">All activity</TextLink>}
        >
          {events.length === 0 ? (
            <EmptyState title="No activity yet" />
          ) : (
            <EventList events={events} />
          )}
        </Card>
        <Card
          title="Latest statement"
          action={<TextLink to="/account/statements">All statements</TextLink>}
        >
          {statement === null ? (
            <EmptyState title="No statement yet">
              Each month is closed into one soon after it is over.
            </EmptyState>
          ) : (
            <TextLink to={`/account/statements/${statement.number}`}>
              {formatPeriod(statement.period)}
            </TextLink>
          )}
        </Card>
      </div>
    </>
  );
}

interface WalletUsage {
  wallet: Wire<WalletView>;
  usage: Wire<UsageOverview>;
  /** The one that leaves less than is available, if any does. */
  limit: Wire<LimitView> | undefined;
}

/** What the month costs, and how far the money goes. */
function ForecastCard({ wallet, usage, limit }: WalletUsage) {
  const { month, end, endsOn, basis } = describeForecast(usage, wallet, limit);
  return (
    <Card title={formatPeriod(usage.period)}>
      <DefinitionList
        items={[
          {
            label: 'Usage so far, without monthly fees',
            value: <Money micros={usage.spentMicros} currency={wallet.currency} />,
          },
          ...(usage.feesMicros === '0'
            ? []
            : [
                {
                  label: 'Fees for the month',
                  hint: 'Taken when it is closed',
                  value: <Money micros={usage.feesMicros} currency={wallet.currency} />,
                },
              ]),
          { label: 'Forecast for the month', value: month === null ? 'None' : `about ${month}` },
          {
            label: 'When your money runs out',
            value: (
              <>
                {end}
                {endsOn !== null && (
                  <span className="block text-sm font-normal text-ink-soft">{endsOn}</span>
                )}
              </>
            ),
          },
        ]}
      />
      <p className="mt-3 text-sm text-ink-soft">{basis}</p>
    </Card>
  );
}

function MonthUsage({ usage, currency }: { usage: Wire<UsageOverview>; currency: string }) {
  const { lines, days, period, today } = usage;
  if (lines.length === 0) return <EmptyState title="Nothing used yet this month" />;
  return (
    <div className="grid items-start gap-x-10 lg:grid-cols-2">
      <UsageChart period={period} today={today} days={days} currency={currency} />
      <UsageTable caption="Usage this month" lines={lines} currency={currency} />
    </div>
  );
}

function BalanceCard({ wallet, usage, limit }: WalletUsage) {
  const { currency, timezone, arrearsMicros, overdraftLimitMicros } = wallet;
  const { grantsMicros, grantsExpireAt } = wallet;
  const reach =
    limit !== undefined && stopsUsage(limit, usage.reach) ? null : describeReach(usage.reach);
  const money = (micros: string) => <Money micros={micros} currency={currency} />;
  return (
    <Card>
      <h2 className="text-ink-soft">Available to spend</h2>
      <AvailableBalance micros={wallet.availableMicros} currency={currency} />
      {limit !== undefined && (
        <p className="mt-1">
          A spending limit leaves {money(limit.leftMicros)} of it until{' '}
          {formatDateTime(limit.resetsAt, timezone)}.
        </p>
      )}
      {reach !== null && <p className="mt-1 text-ink-soft">{reach}</p>}
      <ButtonLink to="/account/top-up" className="my-6">
        Add funds
      </ButtonLink>
      <DefinitionList
        items={[
          { label: 'Balance', value: money(wallet.balanceMicros) },
          ...(grantsMicros === '0'
            ? []
            : [
                {
                  label: 'of it promotional credit',
                  hint: grantsExpireAt
                    ? `Spent first; some of it expires ${formatDateTime(grantsExpireAt, timezone)}`
                    : 'Spent first',
                  value: money(grantsMicros),
                },
              ]),
          {
            label: 'On hold',
            hint: 'Reserved for usage in progress, not spent',
            value: money(wallet.heldMicros),
          },
          ...(overdraftLimitMicros === '0'
            ? []
            : [{ label: 'Credit limit', value: money(overdraftLimitMicros) }]),
          ...(arrearsMicros === '0' ? [] : [{ label: 'Owed', value: money(arrearsMicros) }]),
        ]}
      />
    </Card>
  );
}
