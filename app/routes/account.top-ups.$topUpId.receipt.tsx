import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { type MetaFunction, useLoaderData } from '@remix-run/react';
import { Card } from '../components/card.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Money } from '../components/money.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { PrintButton } from '../components/print-button.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatDateTime } from '../format.ts';
import { notFound, requireUser } from '../guards.server.ts';
import { moneyBackFacts, moneyBackOf } from '../money-back.ts';
import { pageTitle } from '../page-meta.ts';

export const meta: MetaFunction<typeof loader> = pageTitle('Receipt');

/** There is a receipt as soon as the payment stands in the ledger, and not before. */
export async function loader({ params, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const { topUps, wallets } = context.services;
  const topUp = await topUps.get(user.id, params.topUpId ?? '');
  if (topUp === null || topUp.creditedSeq === null) throw notFound();
  const { walletId, timezone } = await wallets.ofUser(user.id);
  const page = await wallets.events(walletId, {
    cursor: (topUp.creditedSeq + 1n).toString(),
    limit: 1,
  });
  const credit = page.events[0];
  if (credit?.seq !== topUp.creditedSeq) throw notFound();
  return json({
    appName: context.config.appName,
    email: user.email,
    timezone,
    topUpId: topUp.topUpId,
    isAutomatic: topUp.kind === 'auto',
    currency: topUp.currency,
    amountMicros: topUp.amountMicros.toString(),
    receivedAt: credit.recordedAt.toISOString(),
    payment: String(credit.detail.paymentIntentId ?? ''),
    seq: credit.seq.toString(),
    ...moneyBackOf(topUp),
  });
}

export default function ReceiptPage() {
  const receipt = useLoaderData<typeof loader>();
  const { currency, timezone, topUpId, seq } = receipt;
  return (
    <>
      <p className="mb-3 print:hidden">
        <TextLink to={`/account/activity#event-${seq}`}>See it in your activity</TextLink>
      </p>
      <PageHeader
        title="Receipt"
        lead={`${receipt.appName}, for ${receipt.email}`}
        action={<PrintButton />}
      />
      <div className="max-w-2xl">
        <Card>
          <DefinitionList
            items={[
              {
                label: 'Paid',
                value: <Money micros={receipt.amountMicros} currency={currency} />,
              },
              {
                label: 'Received',
                value: (
                  <time dateTime={receipt.receivedAt}>
                    {formatDateTime(receipt.receivedAt, timezone)} ({timezone})
                  </time>
                ),
              },
              ...moneyBackFacts(receipt).map(({ label, micros }) => ({
                label,
                value: <Money micros={micros} currency={currency} />,
              })),
              { label: 'For', value: 'Prepaid credit, added to your wallet in full' },
              ...(receipt.isAutomatic
                ? [{ label: 'Charged', value: 'Automatically, to a saved card' }]
                : []),
              { label: 'Payment service', value: 'Stripe' },
              { label: 'Receipt', value: <span className="break-all">{topUpId}</span> },
              { label: 'Payment', value: <span className="break-all">{receipt.payment}</span> },
            ]}
          />
        </Card>
      </div>
    </>
  );
}
