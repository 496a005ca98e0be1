import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { QuarantineView } from '../../server/views/stripe-desk.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { DataTable } from '../components/data-table.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Field, RadioField } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { fieldErrors } from '../form-errors.ts';
import { formatDateTime, humanize, sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Payment in quarantine');

const DECISIONS = [
  ['credited', 'Credit it to the wallet below'],
  ['refunded', 'It was refunded at Stripe, all of it'],
  ['dismissed', 'Dismiss it: nothing is credited'],
] as const;

const actionSchema = z.object({
  as: z.enum(['credited', 'refunded', 'dismissed'], { error: 'Choose what happens to it.' }),
  walletId: z
    .string()
    .trim()
    .regex(/^(?:[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})?$/i, { error: 'This is no wallet id.' }),
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
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) {
    return refuseForm(form, fieldErrors(parsed.error), { status: 400 });
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
  const errors = aboutWallet.includes(answer.code)
    ? { fields: { walletId: answer.message } }
    : errorsOf(answer);
  return refuseForm(form, errors, { status: 409 });
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
                  {
                    label: 'Wallet',
                    value: (
                      <TextLink to={`/admin/wallets/${asked.walletId}`}>{asked.walletId}</TextLink>
                    ),
                  },
                ]),
          ]}
        />
      </div>
    </Card>
  );
}

function Decide({ payment }: { payment: Wire<QuarantineView> }) {
  const refused = useActionData<typeof action>()?.refused;
  const isDeciding = useNavigation().state !== 'idle';
  return (
    <Card title="Decide">
      <CheckedForm refused={refused} className="grid gap-5">
        <RadioField name="as" label="What happens to it" options={DECISIONS} />
        <Field
          name="walletId"
          label="Wallet id"
          hint="Only for a credit. What was received is credited, once."
          autoComplete="off"
          spellCheck={false}
          defaultValue={payment.asked?.walletId}
        />
        <Field
          name="note"
          label="Why"
          hint="Kept for ever, with your name and the time."
          autoComplete="off"
          maxLength={1_000}
          required
        />
        <Button busy={isDeciding} className="justify-self-start">
          Decide
        </Button>
      </CheckedForm>
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
                {
                  label: 'Credited wallet',
                  value: (
                    <TextLink to={`/admin/wallets/${resolved.walletId}`}>
                      {resolved.walletId}
                    </TextLink>
                  ),
                },
                { label: 'By its event', value: resolved.seq },
              ]),
        ]}
      />
    </Card>
  );
}
