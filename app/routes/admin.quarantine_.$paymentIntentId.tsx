import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { QuarantineView } from '../../server/http/views/stripe-desk.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DataTable } from '../components/data-table.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Field } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { type FormErrors, fieldErrors, useFocusFirstError } from '../form-errors.ts';
import { formatDateTime, humanize, sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Payment in quarantine');

const DECISIONS = [
  { as: 'credited', label: 'Credit it to the wallet below' },
  { as: 'refunded', label: 'It was refunded at Stripe, all of it' },
  { as: 'dismissed', label: 'Dismiss it: nothing is credited' },
] as const;

const actionSchema = z.object({
  as: z.enum(['credited', 'refunded', 'dismissed'], { error: 'Choose what happens to it.' }),
  walletId: z.string().trim().max(100, { error: 'This is no wallet id.' }),
  note: z
    .string()
    .trim()
    .min(1, { error: 'Say why: it is kept with your decision.' })
    .max(1_000, { error: 'Use at most 1,000 characters.' }),
});

export async function loader({ params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const payment = await context.services.stripeDesk.quarantined(params.paymentIntentId ?? '');
  if (payment === null) throw notFound();
  return json(toWire(payment));
}

export async function action({ request, params, context }: ActionFunctionArgs) {
  const user = requireSupport(context);
  const paymentIntentId = params.paymentIntentId ?? '';
  const parsed = actionSchema.safeParse(Object.fromEntries(await request.formData()));
  if (!parsed.success) {
    return json<FormErrors>(fieldErrors(parsed.error), { status: 400 });
  }
  const { as, walletId, note } = parsed.data;
  const answer = await context.services.stripeDesk.resolve({
    paymentIntentId,
    as,
    walletId,
    note,
    actor: `support:${user.id}`,
  });
  if (answer.ok) {
    return redirect(`/admin/quarantine/${encodeURIComponent(paymentIntentId)}`);
  }
  const aboutWallet = ['WALLET_NOT_FOUND', 'WALLET_CLOSED', 'CURRENCY_DIFFERS'];
  const errors: FormErrors = aboutWallet.includes(answer.code)
    ? { fields: { walletId: answer.message } }
    : { form: answer.message, fields: {} };
  return json(errors, { status: 409 });
}

export default function QuarantinedPaymentPage() {
  const payment = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Payment in quarantine"
        lead={<span className="wrap-anywhere">{payment.paymentIntentId}</span>}
        action={<TextLink to="/admin/quarantine">All payments</TextLink>}
      />
      <div className="grid gap-5 lg:grid-cols-2">
        <BothSides payment={payment} />
        {payment.resolved === null ? (
          <Decide payment={payment} />
        ) : (
          <Decided resolved={payment.resolved} />
        )}
      </div>
    </>
  );
}

function BothSides({ payment }: { payment: Wire<QuarantineView> }) {
  const { reason, createdAt, paid, asked } = payment;
  const mode = (livemode: boolean) => (livemode ? 'Live' : 'Test');
  const amount = (micros: string | null, currency: string) =>
    micros === null ? currency : <Money micros={micros} currency={currency} />;
  const rows = [
    {
      key: 'Amount',
      paid: paid && amount(paid.amountMicros, paid.currency),
      asked: asked && amount(asked.amountMicros, asked.currency),
    },
    { key: 'Customer', paid: paid?.customerId, asked: asked?.customerId },
    { key: 'Mode', paid: paid && mode(paid.livemode), asked: asked && mode(asked.livemode) },
    { key: 'Payment', paid: payment.paymentIntentId, asked: asked?.paymentIntentId },
  ];
  return (
    <Card title={sentence(reason)}>
      <DataTable
        caption="What was paid, and what was asked for"
        columns={[
          { key: 'what', title: 'What' },
          { key: 'paid', title: 'Paid at Stripe' },
          { key: 'asked', title: 'Asked for' },
        ]}
        rows={rows.map(({ key, ...sides }) => ({
          key,
          cells: {
            what: key,
            paid: <span className="wrap-anywhere">{sides.paid ?? '—'}</span>,
            asked: <span className="wrap-anywhere">{sides.asked ?? '—'}</span>,
          },
        }))}
      />
      <div className="mt-4">
        <DefinitionList
          items={[
            { label: 'In quarantine since', value: formatDateTime(createdAt, 'UTC') },
            ...(asked === null
              ? []
              : [
                  { label: 'Top-up', value: asked.topUpId, hint: humanize(asked.status) },
                  { label: 'User', value: asked.userId },
                  { label: 'Wallet', value: asked.walletId },
                ]),
          ]}
        />
      </div>
    </Card>
  );
}

function Decide({ payment }: { payment: Wire<QuarantineView> }) {
  const errors = useActionData<typeof action>();
  const isDeciding = useNavigation().state !== 'idle';
  const formRef = useFocusFirstError(errors);
  return (
    <Card title="Decide">
      <Form method="post" ref={formRef} noValidate className="grid gap-5">
        {errors?.form && (
          <Notice tone="danger" alert>
            {errors.form}
          </Notice>
        )}
        <fieldset
          className="grid gap-1"
          aria-describedby={errors?.fields.as ? 'as-error' : undefined}
        >
          <legend className="mb-1 font-medium">What happens to it</legend>
          {DECISIONS.map(({ as, label }) => (
            <label key={as} className="flex min-h-11 items-center gap-3">
              <input type="radio" name="as" value={as} className="size-5 shrink-0 accent-accent" />
              {label}
            </label>
          ))}
          {errors?.fields.as && (
            <p id="as-error" role="alert" className="text-sm font-medium text-danger">
              {errors.fields.as}
            </p>
          )}
        </fieldset>
        <Field
          name="walletId"
          label="Wallet id"
          hint="Only for a credit. What was received is credited, once."
          autoComplete="off"
          spellCheck={false}
          defaultValue={payment.asked?.walletId}
          error={errors?.fields.walletId}
        />
        <Field
          name="note"
          label="Why"
          hint="Kept for ever, with your name and the time."
          autoComplete="off"
          maxLength={1_000}
          required
          error={errors?.fields.note}
        />
        <Button busy={isDeciding} className="justify-self-start">
          Decide
        </Button>
      </Form>
    </Card>
  );
}

function Decided({ resolved }: { resolved: NonNullable<Wire<QuarantineView>['resolved']> }) {
  return (
    <Card title={`Decided: ${resolved.as}`}>
      <DefinitionList
        items={[
          { label: 'By', value: resolved.by },
          { label: 'At', value: formatDateTime(resolved.at, 'UTC') },
          { label: 'Why', value: resolved.note },
          ...(resolved.walletId === null
            ? []
            : [
                { label: 'Credited wallet', value: resolved.walletId },
                { label: 'By its event', value: resolved.seq },
              ]),
        ]}
      />
    </Card>
  );
}
