import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { WalletDeskView } from '../../server/views/wallet-desk.ts';
import { describeForSupport } from '../auto-top-up.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { DisputeList, WarningList } from '../components/dispute-lists.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { EventList } from '../components/event-list.tsx';
import { Field } from '../components/field.tsx';
import { LimitsForm, limitErrors, readLimitsForm } from '../components/limits-form.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { Pager } from '../components/pager.tsx';
import { SubscriptionTable } from '../components/subscription-table.tsx';
import { TextLink } from '../components/text-link.tsx';
import { TopUpTable } from '../components/top-up-table.tsx';
import { describeEvent } from '../events.ts';
import { fieldErrors, type RefusedForm } from '../form-errors.ts';
import { formatDateTime, humanize } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Wallet');

const CURSOR = /^[1-9]\d{0,17}$/;

const actionSchema = z.discriminatedUnion('intent', [
  z.object({
    intent: z.enum(['freeze', 'unfreeze']),
    reason: z
      .string()
      .trim()
      .min(1, { error: 'Say why: its user reads it, and it is kept.' })
      .regex(/^[^\p{Cc}\p{Cs}]{0,500}$/u, { error: 'Use at most 500 characters, on one line.' }),
  }),
  z.object({ intent: z.literal('resume') }),
]);

export async function loader({ request, params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const query = new URL(request.url).searchParams;
  const wanted = query.get('cursor') ?? '';
  const cursor = CURSOR.test(wanted) ? wanted : undefined;
  const found = await context.services.walletDesk.get(params.walletId ?? '', cursor);
  if (found === null) throw notFound();
  const { page, ...desk } = found;
  const { currency, timezone } = desk.wallet;
  return json({
    desk: toWire(desk),
    events: page.events.map((event) => describeEvent(event, currency, timezone)),
    nextCursor: page.nextCursor,
    isFirstPage: cursor === undefined,
    done: query.has('done'),
  });
}

export async function action({ request, params, context }: ActionFunctionArgs) {
  const user = requireSupport(context);
  const walletId = params.walletId ?? '';
  const actor = `support:${user.id}`;
  const { walletDesk } = context.services;
  const form = await request.formData();
  if (form.get('intent') === 'limits') {
    const limits = readLimitsForm(form);
    const answer = await walletDesk.setLimits({ walletId, limits, actor });
    if (answer.ok) return done(walletId);
    return 'problems' in answer
      ? refuseForm(form, limitErrors(answer.problems), { status: 400 })
      : refuseForm(form, errorsOf(answer), { status: 409 });
  }
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) {
    return refuseForm(form, fieldErrors(parsed.error), { status: 400 });
  }
  const input = parsed.data;
  const answer =
    input.intent === 'resume'
      ? await walletDesk.resumeAutoTopUp({ walletId, actor })
      : await walletDesk.changeStatus({
          walletId,
          status: input.intent === 'freeze' ? 'frozen' : 'open',
          reason: input.reason,
          actor,
        });
  return answer.ok ? done(walletId) : refuseForm(form, errorsOf(answer), { status: 409 });
}

function done(walletId: string) {
  return redirect(`/admin/wallets/${encodeURIComponent(walletId)}?done`);
}

export default function WalletPage() {
  const { desk, events, nextCursor, isFirstPage, done: isDone } = useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>()?.refused;
  const { wallet } = desk;
  const { currency, timezone } = wallet;
  return (
    <>
      <PageHeader
        title="Wallet"
        lead={<span className="wrap-anywhere">{`${wallet.walletId}. Times in ${timezone}.`}</span>}
        action={<TextLink to="/admin">Find another wallet</TextLink>}
      />
      <div className="grid gap-5">
        {isDone && refused === undefined && (
          <div role="status">
            <Notice>Done, and recorded with your name.</Notice>
          </div>
        )}
        {refused?.form && refused.intent === 'resume' && (
          <Notice tone="danger" alert>
            {refused.form}
          </Notice>
        )}
        <div className="grid gap-5 lg:grid-cols-2">
          <StandingCard desk={desk} />
          <div className="grid content-start gap-5">
            <StatusCard desk={desk} refused={refused} />
            <AutoTopUpCard desk={desk} />
          </div>
        </div>
        <Card title="Disputes and warnings of fraud">
          {desk.disputes.length + desk.warnings.length === 0 ? (
            <EmptyState title="None">
              A dispute freezes the wallet; a warning pauses its automatic top-up.
            </EmptyState>
          ) : (
            <div className="grid gap-6">
              <DisputeList disputes={desk.disputes} timezone={timezone} />
              <WarningList warnings={desk.warnings} timezone={timezone} />
            </div>
          )}
        </Card>
        <Card
          title="Latest top-ups"
          action={
            <TextLink to={`/admin/wallets/${wallet.walletId}/refund`}>Refund to the card</TextLink>
          }
        >
          {desk.topUps.length === 0 ? (
            <EmptyState title="No top-up yet">Payments by card are listed here.</EmptyState>
          ) : (
            <TopUpTable topUps={desk.topUps} timezone={timezone} />
          )}
        </Card>
        <Card title="Recurring fees">
          {desk.subscriptions.length === 0 ? (
            <EmptyState title="None">
              Plans and rented numbers are added through the API.
            </EmptyState>
          ) : (
            <SubscriptionTable
              subscriptions={desk.subscriptions}
              currency={currency}
              timezone={timezone}
            />
          )}
        </Card>
        <Card title="Spending limits">
          <LimitsForm
            key={JSON.stringify(desk.limits)}
            limits={desk.limits}
            currency={currency}
            exponent={desk.exponent}
            refused={refused}
          />
        </Card>
        <Card title="Events">
          <EventList events={events} withDetails />
          <Pager
            address={(query) => `/admin/wallets/${wallet.walletId}?${new URLSearchParams(query)}`}
            isFirstPage={isFirstPage}
            nextCursor={nextCursor}
          />
        </Card>
      </div>
    </>
  );
}

type Desk = Wire<Omit<WalletDeskView, 'page'>>;

function StandingCard({ desk: { wallet, email } }: { desk: Desk }) {
  const { currency, grantsMicros, overdraftLimitMicros } = wallet;
  const money = (micros: string) => <Money micros={micros} currency={currency} />;
  return (
    <Card
      title="How it stands"
      action={<TextLink to={`/admin/wallets/${wallet.walletId}/prices`}>Own prices</TextLink>}
    >
      <DefinitionList
        items={[
          { label: 'User', value: wallet.userId },
          { label: 'Email', value: email ?? 'No account here' },
          { label: 'Status', value: humanize(wallet.status) },
          { label: 'Balance', value: money(wallet.balanceMicros) },
          { label: 'On hold', value: money(wallet.heldMicros) },
          { label: 'Available', value: money(wallet.availableMicros) },
          {
            label: 'Arrears',
            ...(wallet.suspendsAt !== null && {
              hint: `Suspended ${formatDateTime(wallet.suspendsAt, wallet.timezone)} unless paid before`,
            }),
            value: money(wallet.arrearsMicros),
          },
          ...(grantsMicros === '0'
            ? []
            : [{ label: 'Promotional credit in the balance', value: money(grantsMicros) }]),
          ...(overdraftLimitMicros === '0'
            ? []
            : [{ label: 'Credit limit', value: money(overdraftLimitMicros) }]),
          { label: 'Usage is deducted', value: wallet.mode === 'live' ? 'At once' : 'On the 1st' },
        ]}
      />
    </Card>
  );
}

function StatusCard({ desk, refused }: { desk: Desk; refused: RefusedForm | undefined }) {
  const { status } = desk.wallet;
  const busy = useNavigation().formData?.has('reason') ?? false;
  if (status === 'closed') {
    return (
      <Card title="Closed">
        <p>It can no longer be topped up or spent from, and it stays so.</p>
      </Card>
    );
  }
  const isFrozen = status === 'frozen';
  const byDispute = desk.disputes.some(({ freezes }) => freezes);
  return (
    <Card title={isFrozen ? 'Frozen' : 'Freeze'}>
      <CheckedForm
        intent={isFrozen ? 'unfreeze' : 'freeze'}
        refused={refused}
        className="grid gap-5"
      >
        <p className="text-ink-soft">
          {isFrozen
            ? `Nothing can be spent from it.${byDispute ? ' A dispute froze it: whoever unfreezes it decides for every dispute there is.' : ''}`
            : 'Nothing can be spent from a frozen wallet; its balance is kept.'}
        </p>
        <Field
          name="reason"
          label="Why"
          hint="Its user reads this in the activity. Kept for ever, with your name."
          autoComplete="off"
          maxLength={500}
          required
        />
        <Button busy={busy} className="justify-self-start">
          {isFrozen ? 'Unfreeze' : 'Freeze'}
        </Button>
      </CheckedForm>
    </Card>
  );
}

function AutoTopUpCard({ desk: { autoTopUp, wallet } }: { desk: Desk }) {
  const busy = useNavigation().formData?.get('intent') === 'resume';
  if (autoTopUp === null) {
    return (
      <Card title="Automatic top-up">
        <p>It was never turned on.</p>
      </Card>
    );
  }
  const { text, canResume } = describeForSupport(autoTopUp);
  return (
    <Card title="Automatic top-up">
      <p>{text}</p>
      <div className="my-4">
        <DefinitionList
          items={[
            {
              label: 'Below',
              value: <Money micros={autoTopUp.thresholdMicros} currency={wallet.currency} />,
            },
            {
              label: 'Monthly cap',
              value: <Money micros={autoTopUp.monthlyCapMicros} currency={wallet.currency} />,
            },
          ]}
        />
      </div>
      {canResume && (
        <Form method="post">
          <input type="hidden" name="intent" value="resume" />
          <Button tone="secondary" busy={busy}>
            {autoTopUp.status === 'off' ? 'Let its user turn it on' : 'Resume automatic top-up'}
          </Button>
        </Form>
      )}
    </Card>
  );
}
