import { type ActionFunctionArgs, json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useActionData, useLoaderData } from '@remix-run/react';
import type { LookedUpPrices } from '../../server/views/prices.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Field, SelectField } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { formatDateTime } from '../format.ts';
import { requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { type Price, priceWords, termsWords } from '../price-words.ts';
import { usageTypeName } from '../usage-names.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Prices');

export async function loader({ context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const prices = await context.services.prices.ofUser(user.id, { number: '', country: '' });
  return json(toWire(prices));
}

/** Looks a destination up: it is posted, because a number is private and an address is not. */
export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireUser(context);
  const form = await request.formData();
  const asked = {
    number: String(form.get('number') ?? '').slice(0, 64),
    country: String(form.get('country') ?? ''),
  };
  const { lookedUp } = await context.services.prices.ofUser(user.id, asked);
  return json({ asked, lookedUp: toWire({ lookedUp }).lookedUp });
}

const NOTHING_ASKED = { asked: { number: '', country: '' }, lookedUp: undefined };

export default function PricesPage() {
  const { currency, timezone, anywhere, upcoming, countries } = useLoaderData<typeof loader>();
  const { asked, lookedUp } = useActionData<typeof action>() ?? NOTHING_ASKED;
  return (
    <>
      <PageHeader title="Prices" lead={`What your usage costs now, in ${currency}.`} />
      <div className="grid gap-5">
        {upcoming !== null && (
          <Notice title={`New prices from ${formatDateTime(upcoming.from, timezone)}`}>
            {upcoming.anywhere.length === 0
              ? 'Look a destination up to see whether its price changes.'
              : 'What changes is listed below. Usage until then costs what it costs now.'}
          </Notice>
        )}
        <Card title="Everywhere, unless a destination has its own price">
          {anywhere.length === 0 ? (
            <EmptyState title="No prices yet">Usage cannot be charged in {currency}.</EmptyState>
          ) : (
            <PriceList prices={anywhere} currency={currency} />
          )}
        </Card>
        {upcoming !== null && upcoming.anywhere.length > 0 && (
          <Card title={`From ${formatDateTime(upcoming.from, timezone)}`}>
            <PriceList prices={upcoming.anywhere} currency={currency} />
          </Card>
        )}
        <Card title="Price to a destination">
          <Form
            method="post"
            className="grid items-end gap-3 sm:grid-cols-[1fr_1fr_auto]"
            key={JSON.stringify(asked)}
          >
            <Field
              name="number"
              label="Number or its beginning"
              placeholder="+44 20"
              inputMode="tel"
              autoComplete="off"
              defaultValue={asked.number}
            />
            <SelectField
              name="country"
              label="Or a country"
              defaultValue={asked.country}
              options={[['', '—'], ...countries.map(({ code, name }) => [code, name] as const)]}
            />
            <Button tone="secondary">Look up</Button>
          </Form>
          {lookedUp === null
            ? asked.number !== '' && <p className="mt-4">This is no telephone number.</p>
            : lookedUp && <LookedUp found={lookedUp} currency={currency} />}
        </Card>
      </div>
    </>
  );
}

function LookedUp({ found, currency }: { found: Wire<LookedUpPrices>; currency: string }) {
  const { what, prices, longer, more, upcoming, moreUpcoming } = found;
  return (
    <div className="mt-6 grid gap-5">
      <section aria-label={`Prices to ${what}`}>
        <h3 className="font-semibold">{what}</h3>
        {prices.length === 0 ? (
          <p>There is no price for it: usage to it is refused.</p>
        ) : (
          <PriceList prices={prices} currency={currency} />
        )}
      </section>
      {upcoming.length > 0 && (
        <section aria-label="After the next change">
          <h3 className="font-semibold">After the next change</h3>
          <PriceList prices={upcoming} currency={currency} />
          {moreUpcoming && <p className="mt-2 text-ink-soft">More may change: type more digits.</p>}
        </section>
      )}
      {longer.length > 0 && (
        <section aria-label="Numbers that begin so">
          <h3 className="font-semibold">Numbers that begin so, with prices of their own</h3>
          <PriceList prices={longer} currency={currency} />
          {more && <p className="mt-2 text-ink-soft">There are more: type more digits.</p>}
        </section>
      )}
    </div>
  );
}

function PriceList({ prices, currency }: { prices: Price[]; currency: string }) {
  return (
    <dl className="divide-y divide-line">
      {prices.map((price) => (
        <div
          key={`${price.isOwn}${price.type}${price.prefix}`}
          className="flex flex-wrap justify-between gap-x-6 gap-y-1 py-3"
        >
          <dt className="font-medium">
            {usageTypeName(price.type)}
            {price.prefix !== '' && ` to +${price.prefix}…`}
            {price.isOwn && <span className="block text-sm text-ink-soft">Your own price</span>}
          </dt>
          <dd className="min-w-0 tabular-nums sm:text-right">
            {priceWords(price, currency)}
            {termsWords(price, currency).map((words) => (
              <span key={words} className="block text-sm text-ink-soft">
                {words}
              </span>
            ))}
          </dd>
        </div>
      ))}
    </dl>
  );
}
