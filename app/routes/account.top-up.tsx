import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import { ButtonLink } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { RecentTopUps } from '../components/recent-top-ups.tsx';
import { TextLink } from '../components/text-link.tsx';
import { TopUpForm } from '../components/top-up-form.tsx';
import { requireUser } from '../guards.server.ts';
import { moneyBackOf } from '../money-back.ts';
import { pageTitle } from '../page-meta.ts';
import { isOver, topUpPhase } from '../top-up-phase.ts';
import { useHydrated } from '../use-hydrated.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Add funds');

const RECENT_TOP_UPS = 20;
const SHOWN_TOP_UPS = 5;

export async function loader({ context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const { wallets, topUps, paymentMethods, refundDesk } = context.services;
  const wallet = await wallets.ofUser(user.id);
  const [recent, customerSessionSecret, refundable] = await Promise.all([
    topUps.list(user.id, RECENT_TOP_UPS),
    wallet.status === 'open' ? paymentMethods.session(user.id) : null,
    refundDesk.ofUser(user.id),
  ]);
  const now = { isConfirmed: false, nowMs: Date.now() };
  return json({
    availableMicros: wallet.availableMicros.toString(),
    timezone: wallet.timezone,
    status: wallet.status,
    refundableMicros: refundable === null ? null : refundable.refundableMicros.toString(),
    topUps: recent.slice(0, SHOWN_TOP_UPS).map((topUp) => ({
      topUpId: topUp.topUpId,
      isAutomatic: topUp.kind === 'auto',
      phase: topUpPhase(topUp, now),
      amountMicros: topUp.amountMicros.toString(),
      currency: topUp.currency,
      failureMessage: topUp.failureMessage,
      createdAt: topUp.createdAt.toISOString(),
      ...moneyBackOf(topUp),
    })),
    form: {
      ...toWire(topUps.limits(wallet.currency)),
      walletId: wallet.walletId,
      stripePublishableKey: context.config.stripePublishableKey,
      customerSessionSecret,
      overTopUpIds: recent
        .filter((topUp) => isOver(topUpPhase(topUp, now)))
        .map(({ topUpId }) => topUpId),
    },
  });
}

export default function TopUpPage() {
  const { availableMicros, timezone, status, refundableMicros, topUps, form } =
    useLoaderData<typeof loader>();
  const isHydrated = useHydrated();
  return (
    <div className="max-w-xl">
      <PageHeader
        title="Add funds"
        lead={
          <>
            Available now: <Money micros={availableMicros} currency={form.currency} />
          </>
        }
      />
      {status === 'closed' ? (
        <Notice tone="warning" title="Your wallet is closed">
          It can no longer be topped up.
        </Notice>
      ) : status === 'frozen' ? (
        <Notice tone="warning" title="Your wallet is frozen">
          It cannot be topped up for now. <TextLink to="/account">See why</TextLink>
        </Notice>
      ) : (
        <Card>
          <noscript>
            <Notice tone="warning" title="Card entry needs JavaScript">
              The card form is Stripe’s and works only with JavaScript. Turn it on for this page to
              add funds. Everything else here works without it.
            </Notice>
          </noscript>
          {/* Nothing of the form works before scripts do. */}
          {isHydrated ? (
            <TopUpForm {...form} />
          ) : (
            <div className="min-h-96 [@media(scripting:none)]:hidden" />
          )}
        </Card>
      )}
      <div className="mt-5 grid gap-5">
        <RecentTopUps topUps={topUps} timezone={timezone} />
        {refundableMicros !== null && refundableMicros !== '0' && (
          <Card title="Refund unspent money">
            <p className="mb-4">
              Up to <Money micros={refundableMicros} currency={form.currency} /> can go back to the
              cards that paid it.
            </p>
            <ButtonLink to="/account/refund" tone="secondary">
              Refund unspent money
            </ButtonLink>
          </Card>
        )}
      </div>
    </div>
  );
}
