import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useLoaderData, useNavigation } from '@remix-run/react';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { Field } from '../components/field.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { PriceChanges } from '../components/price-changes.tsx';
import { TextLink } from '../components/text-link.tsx';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { monthBefore, monthSpan } from '../past-span.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Rehearsal');

export async function loader({ request, params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { rateCardDesk, repricingDesk } = context.services;
  const card = await rateCardDesk.get(params.cardId ?? '');
  if (card === null) throw notFound();
  const asked = new URL(request.url).searchParams.get('month');
  const span = asked === null ? null : monthSpan(asked);
  const { id, name, currency } = card;
  return json({
    card: { id, name, currency },
    month: asked ?? monthBefore(new Date()),
    isWrong: asked !== null && span === null,
    result: span && toWire(await repricingDesk.rehearse(id, span)),
  });
}

export default function RehearsalPage() {
  const { card, month, isWrong, result } = useLoaderData<typeof loader>();
  const busy = useNavigation().state !== 'idle';
  return (
    <>
      <PageHeader
        title="Rehearsal"
        lead={`What customers would have paid by ${card.name}. Nothing is written.`}
        action={<TextLink to={`/admin/rate-cards/${card.id}`}>Back to the card</TextLink>}
      />
      <div className="grid gap-5">
        <Card title="Usage of a month">
          <Form method="get" noValidate className="grid items-end gap-3 sm:grid-cols-[1fr_auto]">
            <Field
              name="month"
              type="month"
              label="Month (UTC)"
              placeholder="2026-10"
              required
              defaultValue={month}
              error={isWrong ? 'Write the month as 2026-10.' : undefined}
            />
            <Button busy={busy}>Rehearse</Button>
          </Form>
          {result && (
            <p className="mt-4">
              <TextLink
                to={`/admin/rate-cards/${card.id}/rehearsal.csv?${new URLSearchParams({ month })}`}
                reloadDocument
              >
                Every customer as CSV
              </TextLink>
            </p>
          )}
        </Card>
        {result && (
          <PriceChanges
            totals={result.totals}
            currency={card.currency}
            finished={result.finished}
          />
        )}
      </div>
    </>
  );
}
