import { randomUUID } from 'node:crypto';
import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { ConfirmBox } from '../components/confirm-box.tsx';
import { DataTable } from '../components/data-table.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Field } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import type { RefusedForm } from '../form-errors.ts';
import { formatDateTime, microsToAmount } from '../format.ts';
import { notFound, requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { describeRefund, isAsked, type Refund } from '../refunds.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { usePolling } from '../use-polling.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Refund unspent money');

const actionSchema = z.object({ key: z.uuid(), amount: z.string() });

export async function loader({ request, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const refundable = await context.services.refundDesk.ofUser(user.id);
  if (refundable === null) throw notFound();
  const { wallet, exponent, refundableMicros, refunds, isAutoTopUpOn } = refundable;
  return json({
    // A form that is sent twice asks once.
    key: randomUUID(),
    wasAsked: new URL(request.url).searchParams.has('asked'),
    currency: wallet.currency,
    timezone: wallet.timezone,
    isFrozen: wallet.status === 'frozen',
    isAutoTopUpOn,
    refundableMicros: refundableMicros.toString(),
    largestAmount: microsToAmount(refundableMicros, exponent),
    // Who asked is for support to know.
    refunds: toWire(refunds.map((refund) => ({ ...refund, requestedBy: null }))),
  });
}

export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireUser(context);
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) throw notFound();
  const asked = await context.services.refundDesk.askByUser({
    ...parsed.data,
    userId: user.id,
    confirmed: form.get('confirmed') === 'yes',
  });
  return asked.ok
    ? redirect('/account/refund?asked')
    : refuseForm(form, errorsOf(asked), { status: 422 });
}

export default function RefundPage() {
  const view = useLoaderData<typeof loader>();
  const { refunds, wasAsked } = view;
  const refused = useActionData<typeof action>()?.refused;
  usePolling(refunds.some(isAsked));
  return (
    <>
      <PageHeader
        title="Refund unspent money"
        lead="It goes back to the cards that paid it, the last payment first."
        action={<TextLink to="/account/top-up">Add funds</TextLink>}
      />
      <div className="grid max-w-2xl gap-5">
        {wasAsked && !refused && (
          <div role="status">
            <Notice>Your refund is taken from your wallet. Below is how it stands.</Notice>
          </div>
        )}
        <Card title="What may go back">
          {/* Once something is refunded it begins anew: nobody confirms the next one by mistake. */}
          <RefundForm key={refunds[0]?.refundId} refused={refused} />
        </Card>
        {refunds.length > 0 && (
          <Card title="Your refunds">
            <RefundTable refunds={refunds} currency={view.currency} timezone={view.timezone} />
          </Card>
        )}
      </div>
    </>
  );
}

function RefundForm({ refused }: { refused: RefusedForm | undefined }) {
  const { key, currency, refundableMicros, largestAmount, isFrozen, isAutoTopUpOn } =
    useLoaderData<typeof loader>();
  const isSending = useNavigation().state === 'submitting';
  if (refundableMicros === '0') {
    return (
      <EmptyState title="Nothing can go back to a card now">
        Promotional credit and money on hold stay in the wallet.
      </EmptyState>
    );
  }
  if (isFrozen) {
    return (
      <Notice tone="warning" title="Your wallet is frozen">
        Please contact support.
      </Notice>
    );
  }
  if (isAutoTopUpOn) {
    return (
      <Notice tone="warning" title="Automatic top-up is on">
        It would charge your card again when the money has gone.{' '}
        <TextLink to="/account/auto-top-up">Turn it off</TextLink> first.
      </Notice>
    );
  }
  return (
    <CheckedForm refused={refused} className="grid gap-5">
      <input type="hidden" name="key" value={key} />
      <Field
        name="amount"
        label={`Amount in ${currency}`}
        hint={
          <>
            At most <Money micros={refundableMicros} currency={currency} />. Promotional credit and
            money on hold stay in the wallet.
          </>
        }
        inputMode="decimal"
        autoComplete="off"
        required
        defaultValue={largestAmount}
      />
      <ConfirmBox name="confirmed">Send it back to my cards. This cannot be undone.</ConfirmBox>
      <Button busy={isSending} className="justify-self-start">
        Refund
      </Button>
    </CheckedForm>
  );
}

function RefundTable(props: { refunds: Refund[]; currency: string; timezone: string }) {
  const { refunds, currency, timezone } = props;
  return (
    <DataTable
      caption="Your refunds, the newest first"
      columns={[
        { key: 'when', title: 'When' },
        { key: 'state', title: 'How it stands' },
        { key: 'amount', title: 'Amount', numeric: true },
      ]}
      rows={refunds.map((refund) => {
        const { label, text } = describeRefund(refund.status);
        return {
          key: refund.refundId,
          cells: {
            when: formatDateTime(refund.createdAt, timezone),
            state: (
              <>
                {label}
                <span className="block text-sm text-ink-soft">{text}</span>
              </>
            ),
            amount: <Money micros={refund.amountMicros} currency={currency} />,
          },
        };
      })}
    />
  );
}
