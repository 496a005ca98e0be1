import { randomUUID } from 'node:crypto';
import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { RefundableTopUp } from '../../server/http/views/payment-refunds.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { ConfirmBox } from '../components/confirm-box.tsx';
import { DataTable } from '../components/data-table.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Field, inputClass } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { type FormErrors, fieldErrors, useFocusFirstError } from '../form-errors.ts';
import { formatDateTime, formatMoney, humanize } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { isAsked, type Refund } from '../refunds.ts';
import { usePolling } from '../use-polling.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Refund to the card');

const actionSchema = z.object({
  key: z.uuid(),
  topUpId: z.uuid().or(z.literal('')),
  amount: z.string().max(32, { error: 'This amount is too long.' }),
  reason: z
    .string()
    .trim()
    .regex(/^[^\p{Cc}\p{Cs}]{1,500}$/u, { error: 'Say why, in at most 500 characters.' }),
  confirmed: z.literal('yes', { error: 'Confirm that the money is to go back.' }),
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
  const parsed = actionSchema.safeParse(Object.fromEntries(await request.formData()));
  if (!parsed.success) {
    return json<FormErrors>(fieldErrors(parsed.error), { status: 400 });
  }
  const { key, topUpId, amount, reason } = parsed.data;
  const asked = await context.services.refundDesk.askBySupport({
    walletId,
    topUpId: topUpId === '' ? null : topUpId,
    amount,
    reason,
    key,
    actor: `support:${user.id}`,
  });
  if (asked.ok) {
    return redirect(`/admin/wallets/${encodeURIComponent(walletId)}/refund?asked`);
  }
  const { field, message } = asked;
  const errors: FormErrors =
    field === null ? { form: message, fields: {} } : { fields: { [field]: message } };
  return json(errors, { status: 422 });
}

export default function AdminRefundPage() {
  const view = useLoaderData<typeof loader>();
  const errors = useActionData<typeof action>();
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
        {wasAsked && !errors && (
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
            <RefundForm key={refunds[0]?.refundId} errors={errors} />
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

function RefundForm({ errors }: { errors: FormErrors | undefined }) {
  const { key, currency, refundableMicros, topUps, isAutoTopUpOn } = useLoaderData<typeof loader>();
  const isSending = useNavigation().state === 'submitting';
  const formRef = useFocusFirstError(errors);
  const most = (micros: string) => `at most ${formatMoney(micros, currency)}`;
  return (
    <Form method="post" ref={formRef} noValidate className="grid gap-5">
      {errors?.form && (
        <Notice tone="danger" alert>
          {errors.form}
        </Notice>
      )}
      {isAutoTopUpOn && (
        <Notice tone="warning" title="Automatic top-up is on">
          When too little is left, it charges the card again.
        </Notice>
      )}
      <input type="hidden" name="key" value={key} />
      <div className="grid gap-1.5">
        <label htmlFor="topUpId" className="font-medium">
          What to refund
        </label>
        <select id="topUpId" name="topUpId" className={inputClass}>
          <option value="">All unspent money, {most(refundableMicros)}</option>
          {topUps
            .filter((topUp) => topUp.refundableMicros !== '0')
            .map((topUp) => (
              <option key={topUp.topUpId} value={topUp.topUpId}>
                {formatDateTime(topUp.createdAt, 'UTC')}, {most(topUp.refundableMicros)}
              </option>
            ))}
        </select>
      </div>
      <Field
        name="amount"
        label={`Amount in ${currency}`}
        hint="Empty for all of it."
        inputMode="decimal"
        autoComplete="off"
        error={errors?.fields.amount}
      />
      <Field
        name="reason"
        label="Why"
        hint="Its user reads it in the history. Kept for ever, with your name and the time."
        autoComplete="off"
        maxLength={500}
        required
        error={errors?.fields.reason}
      />
      <ConfirmBox name="confirmed" error={errors?.fields.confirmed}>
        Send it back to the card: without an amount, all of it. This cannot be undone.
      </ConfirmBox>
      <Button busy={isSending} className="justify-self-start">
        Refund
      </Button>
    </Form>
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
