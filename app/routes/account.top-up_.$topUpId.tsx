import { json, type LoaderFunctionArgs, redirect, type SerializeFrom } from '@remix-run/node';
import { type ClientLoaderFunctionArgs, type MetaFunction, useLoaderData } from '@remix-run/react';
import { type ReactNode, useEffect } from 'react';
import { AvailableBalance } from '../components/available-balance.tsx';
import { ButtonLink } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { TextLink } from '../components/text-link.tsx';
import { notFound, requireUser } from '../guards.server.ts';
import { describeMoneyBack, moneyBackOf } from '../money-back.ts';
import { pageTitle } from '../page-meta.ts';
import type { RefreshHandle } from '../refresh.ts';
import { tabStorage, topUpAttempts } from '../top-up-attempt.ts';
import { isAwaited, isOver, type TopUpPhase, topUpPhase } from '../top-up-phase.ts';
import { usePolling } from '../use-polling.ts';

export const meta: MetaFunction<typeof loader> = (args) =>
  pageTitle(args.data ? headings[args.data.phase] : 'Payment')(args);

export const handle: RefreshHandle = {
  refreshSeconds: (data) => (isFollowed(data) && isAwaited(data.phase) ? 5 : null),
};

/** Credits nothing: that is for Stripe's signed word alone. */
export async function loader({ request, params, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const topUpId = params.topUpId ?? '';
  if (!/^[\w-]{1,64}$/.test(topUpId)) throw notFound();

  const url = new URL(request.url);
  if (url.searchParams.has('payment_intent')) {
    // A bank's redirect brings a client secret along, which must not stay in the address.
    const isAccepted = url.searchParams.get('redirect_status') !== 'failed';
    throw redirect(`/account/top-up/${topUpId}${isAccepted ? '?confirmed' : ''}`);
  }

  const { wallets, topUps } = context.services;
  const topUp = await topUps.get(user.id, topUpId);
  if (topUp === null) throw notFound();
  // After the top-up: whoever reads that it is credited must not read a balance from before.
  const wallet = await wallets.ofUser(user.id);
  const isConfirmed = url.searchParams.has('confirmed');
  // Other pages know of it only when it is recorded. This one is answered whether Stripe is or not.
  if (isConfirmed) void topUps.noteConfirmed(user.id, topUpId);
  return json({
    topUpId,
    isAutomatic: topUp.kind === 'auto',
    phase: topUpPhase(topUp, { isConfirmed, nowMs: Date.now() }),
    currency: topUp.currency,
    amountMicros: topUp.amountMicros.toString(),
    failureMessage: topUp.failureMessage,
    creditedSeq: topUp.creditedSeq?.toString() ?? null,
    walletId: wallet.walletId,
    availableMicros: wallet.availableMicros.toString(),
    ...moneyBackOf(topUp),
  });
}

type Followed = SerializeFrom<typeof loader>;

function isFollowed(data: unknown): data is Followed {
  return data !== null && typeof data === 'object' && 'phase' in data;
}

let latest: Followed | null = null;

/** A connection lost for a moment while polling leaves what is known on the screen. */
export async function clientLoader({ params, serverLoader }: ClientLoaderFunctionArgs) {
  try {
    latest = await serverLoader<typeof loader>();
    return latest;
  } catch (error) {
    if (error instanceof Error && latest?.topUpId === params.topUpId) return latest;
    throw error;
  }
}
clientLoader.hydrate = true as const;

const headings: Record<TopUpPhase, string> = {
  received: 'Payment received',
  processing: 'Payment processing',
  unfinished: 'Payment not finished',
  action_needed: 'Confirmation needed',
  failed: 'Payment failed',
  canceled: 'Payment canceled',
  under_review: 'Payment under review',
};

export default function FollowTopUpPage() {
  const topUp = useLoaderData<typeof loader>();
  const { phase, topUpId, walletId } = topUp;
  usePolling(isAwaited(phase));
  useEffect(() => {
    if (isOver(phase)) topUpAttempts(walletId, tabStorage()).ended(topUpId);
  }, [phase, walletId, topUpId]);

  return (
    <div className="max-w-xl">
      <Card>
        <div aria-live="polite" className="grid gap-5">
          <h1 className="text-2xl font-semibold tracking-tight sm:text-3xl">{headings[phase]}</h1>
          <PhaseText topUp={topUp} />
        </div>
        {isAwaited(phase) && (
          <noscript>
            <p className="mt-5">
              This page loads again every few seconds.{' '}
              <a className="text-accent underline" href={`/account/top-up/${topUpId}`}>
                Check now
              </a>
            </p>
          </noscript>
        )}
      </Card>
    </div>
  );
}

function PhaseText({ topUp }: { topUp: Followed }) {
  const { phase, currency, creditedSeq, isAutomatic } = topUp;
  // An automatic top-up is gone on with, or another card is chosen for it, where it is set up.
  const wayOn = isAutomatic ? '/account/auto-top-up' : '/account/top-up';
  const back = describeMoneyBack(topUp);
  const amount = <Money micros={topUp.amountMicros} currency={currency} />;
  switch (phase) {
    case 'received':
      return (
        <>
          <p>{amount} was added to your wallet.</p>
          {back !== null && (
            <Notice tone={back.tone === 'bad' ? 'warning' : 'info'} title={back.label}>
              {back.text}
            </Notice>
          )}
          <div>
            <p className="text-ink-soft">Available to spend</p>
            <AvailableBalance micros={topUp.availableMicros} currency={currency} />
          </div>
          <Ways to="/account" label="Go to overview">
            <TextLink to={`/account/activity#event-${creditedSeq}`}>
              See it in your activity
            </TextLink>
            <TextLink to={`/account/top-ups/${topUp.topUpId}/receipt`}>Receipt</TextLink>
          </Ways>
        </>
      );
    case 'processing':
      return (
        <>
          <p>
            Your payment of {amount} was sent. As soon as Stripe confirms it, it is added to your
            wallet; most often that takes a few seconds.
          </p>
          <p className="text-ink-soft">
            This page follows it for you. You may also close it: nothing gets lost, and nothing is
            charged twice.
          </p>
        </>
      );
    case 'unfinished':
      return (
        <>
          <p>
            We have not heard that the payment of {amount} was completed. If you did not finish it,
            nothing was charged; going on with it cannot charge you twice.
          </p>
          <Ways to={wayOn} label="Continue" />
        </>
      );
    case 'action_needed':
      return (
        <>
          <p>
            Your bank wants you to confirm the payment of {amount}. Nothing is charged before you
            do.
          </p>
          <Ways to={wayOn} label="Continue" />
        </>
      );
    case 'failed':
      return (
        <>
          <p>{topUp.failureMessage ?? 'Your card was not accepted.'} Nothing was charged.</p>
          <Ways to={wayOn} label={isAutomatic ? 'See automatic top-up' : 'Try another card'} />
        </>
      );
    case 'canceled':
      return (
        <>
          <p>The payment of {amount} was canceled. Nothing was charged.</p>
          <Ways to="/account/top-up" label="Add funds" />
        </>
      );
    case 'under_review':
      return (
        <p>
          A payment arrived that differs from the {amount} you asked for, so it was not added yet.
          Support is looking at it and nothing is lost. The top-up’s number is{' '}
          <code className="break-all">{topUp.topUpId}</code>.
        </p>
      );
  }
}

/** The next step, and perhaps another. */
function Ways({ to, label, children }: { to: string; label: string; children?: ReactNode }) {
  return (
    <p className="flex flex-wrap items-center gap-x-6 gap-y-3">
      <ButtonLink to={to}>{label}</ButtonLink>
      {children}
    </p>
  );
}
