import { randomUUID } from 'node:crypto';
import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { RefundableTopUp } from '../../server/views/payment-refunds.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { ConfirmBox } from '../components/confirm-box.tsx';
import { DataTable } from '../components/data-table.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Field, SelectField } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import type { RefusedForm } from '../form-errors.ts';
import { formatDateTime, formatMoney, humanize } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { isAsked, type Refund } from '../refunds.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { usePolling } from '../use-polling.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Refund to the card');

const actionSchema = z.object({
  key: z.uuid(),
  topUpId: z.uuid().or(z.literal('')),
  amount: z.string(),
  reason: z.string(),
});

export async function loader({ request, params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const refundable = await context.services.refundDesk.ofWallet(params.walletId ?? '');
  if (refundable === null) throw notFound();
  const { wallet, ...view } = refundable;
  const { walletId, userId, currency } = wallet;
  return json({
    ...toWire(view),
    // A form that is sent twice asks once.
    key: randomUUID(),
    wasAsked: new URL(request.url).searchParams.has('asked'),
    walletId,
    userId,
    currency,
  });
}

export async function action({ request, params, context }: ActionFunctionArgs) {
  const user = requireSupport(context);
  const walletId = params.walletId ?? '';
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) throw notFound();
  const { topUpId, ...typed } = parsed.data;
  const asked = await context.services.refundDesk.askBySupport({
    ...typed,
    walletId,
    topUpId: topUpId === '' ? null : topUpId,
    confirmed: form.get('confirmed') === 'yes',
    actor: `support:${user.id}`,
  });
  return asked.ok
    ? redirect(`/admin/wallets/${encodeURIComponent(walletId)}/refund?asked`)
    : refuseForm(form, errorsOf(asked), { status: 422 });
}

export default function AdminRefundPage() {
  const view = useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>()?.refused;
  const { walletId, userId, wasAsked, refunds, currency } = view;
  usePolling(refunds.some(isAsked));
  return (
    <>
      <PageHeader
        title="Refund to the card"
        lead={<span className="wrap-anywhere">Wallet of {userId}</span>}
        action={<TextLink to={`/admin/wallets/${walletId}`}>The wallet</TextLink>}
      />
      <div className="grid gap-5 lg:grid-cols-2">
        {wasAsked && !refused && (
          <div role="status" className="lg:col-span-2">
            <Notice>The refund is taken from the wallet. Below is how it stands.</Notice>
          </div>
        )}
        <Card title="Refund">
          {view.refundableMicros === '0' ? (
            <EmptyState title="Nothing can go back to a card now">
              What is spent, on hold, granted, owed or disputed stays.
            </EmptyState>
          ) : (
            // Once something is refunded it begins anew: nobody sends the same twice by mistake.
            <RefundForm key={refunds[0]?.refundId} refused={refused} />
          )}
        </Card>
        <Card title="Top-ups">
          <TopUpTable topUps={view.topUps} currency={currency} />
        </Card>
        {refunds.length > 0 && (
          <Card title="Refunds" className="lg:col-span-2">
            <RefundTable refunds={refunds} currency={currency} />
          </Card>
        )}
      </div>
    </>
  );
}

function RefundForm({ refused }: { refused: RefusedForm | undefined }) {
  const { key, currency, refundableMicros, topUps, isAutoTopUpOn } = useLoaderData<typeof loader>();
  const isSending = useNavigation().state === 'submitting';
  const most = (micros: string) => `at most ${formatMoney(micros, currency)}`;
  return (
    <CheckedForm refused={refused} className="grid gap-5">
      {isAutoTopUpOn && (
        <Notice tone="warning" title="Automatic top-up is on">
          When too little is left, it charges the card again.
        </Notice>
      )}
      <input type="hidden" name="key" value={key} />
      <SelectField
        name="topUpId"
        label="What to refund"
        options={[
          ['', `All unspent money, ${most(refundableMicros)}`],
          ...topUps
            .filter((topUp) => topUp.refundableMicros !== '0')
            .map(
              (topUp) =>
                [
                  topUp.topUpId,
                  `Top-up of ${formatDateTime(topUp.createdAt, 'UTC')}, ${most(topUp.refundableMicros)}`,
                ] as const,
            ),
        ]}
      />
      <Field
        name="amount"
        label={`Amount in ${currency}`}
        hint="Empty for all of it."
        inputMode="decimal"
        autoComplete="off"
      />
      <Field
        name="reason"
        label="Why"
        hint="Its user reads it in the history. Kept for ever, with your name and the time."
        autoComplete="off"
        maxLength={500}
        required
      />
      <ConfirmBox name="confirmed">
        Send it back to the card: without an amount, all of it. This cannot be undone.
      </ConfirmBox>
      <Button busy={isSending} className="justify-self-start">
        Refund
      </Button>
    </CheckedForm>
  );
}

function TopUpTable(props: { topUps: Wire<RefundableTopUp>[]; currency: string }) {
  const { topUps, currency } = props;
  return (
    <DataTable
      caption="Top-ups, those credited last first"
      columns={[
        { key: 'when', title: 'When (UTC)' },
        { key: 'paid', title: 'Paid', numeric: true },
        { key: 'left', title: 'May go back', numeric: true },
      ]}
      rows={topUps.map(({ topUpId, createdAt, amountMicros, refundableMicros, kind }) => ({
        key: topUpId,
        cells: {
          when: (
            <>
              {formatDateTime(createdAt, 'UTC')}
              {kind === 'auto' && <span className="block text-sm text-ink-soft">Automatic</span>}
            </>
          ),
          paid: <Money micros={amountMicros} currency={currency} />,
          left: <Money micros={refundableMicros} currency={currency} />,
        },
      }))}
    />
  );
}

function RefundTable({ refunds, currency }: { refunds: Refund[]; currency: string }) {
  return (
    <DataTable
      caption="Refunds, the newest first"
      columns={[
        { key: 'state', title: 'State (UTC)' },
        { key: 'by', title: 'Asked for' },
        { key: 'amount', title: 'Amount', numeric: true },
      ]}
      rows={refunds.map((refund) => ({
        key: refund.refundId,
        cells: {
          state: (
            <>
              {humanize(refund.status)}
              <span className="block text-sm font-normal text-ink-soft">
                {formatDateTime(refund.createdAt, 'UTC')}
              </span>
              <span className="block text-sm font-normal wrap-anywhere text-ink-soft">
                {stateNote(refund)}
              </span>
            </>
          ),
          by: (
            <span className="wrap-anywhere">
              {refund.requestedBy ?? 'At Stripe'}
              <span className="block text-sm text-ink-soft">{refund.reason}</span>
            </span>
          ),
          amount: <Money micros={refund.amountMicros} currency={currency} />,
        },
      }))}
    />
  );
}

function stateNote({ status, failureCode, attempts }: Refund): string | null {
  return status === 'reserved' && attempts > 0
    ? `Stripe was asked again ${attempts}×`
    : failureCode;
}
