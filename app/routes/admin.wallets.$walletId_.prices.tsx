import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { RateCardList } from '../components/rate-card-list.tsx';
import { TextLink } from '../components/text-link.tsx';
import { sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Own prices');

export async function loader({ params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const own = await context.services.rateCardDesk.ownCards(params.walletId ?? '');
  if (own === null) throw notFound();
  return json(toWire(own));
}

/** Begins the customer's first own card. */
export async function action({ params, context }: ActionFunctionArgs) {
  const user = requireSupport(context);
  const { rateCardDesk } = context.services;
  const answer = await rateCardDesk.draftOwn(params.walletId ?? '', `support:${user.id}`);
  return answer.ok
    ? redirect(`/admin/rate-cards/${answer.id}`)
    : json({ message: answer.message }, { status: 409 });
}

export default function OwnPricesPage() {
  const { walletId, userId, currency, cards } = useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>();
  const busy = useNavigation().state !== 'idle';
  return (
    <>
      <PageHeader
        title="Own prices"
        lead={
          <span className="wrap-anywhere">{`Rate cards in ${currency} for ${userId} alone.`}</span>
        }
        action={<TextLink to={`/admin/wallets/${walletId}`}>Back to the wallet</TextLink>}
      />
      <div className="grid gap-5">
        {refused && (
          <Notice tone="danger" alert>
            {sentence(refused.message)}.
          </Notice>
        )}
        <Card title={cards.length === 0 ? 'No own prices' : 'Own cards'}>
          {cards.length === 0 ? (
            <Form method="post">
              <p className="mb-4 text-ink-soft">
                The general prices apply. A card of their own says only what differs: where it has
                no rule, the general one counts.
              </p>
              <Button busy={busy}>Begin a card of their own</Button>
            </Form>
          ) : (
            <RateCardList cards={cards} />
          )}
        </Card>
      </div>
    </>
  );
}
