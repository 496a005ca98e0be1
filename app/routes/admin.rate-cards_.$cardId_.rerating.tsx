import { type ActionFunctionArgs, json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { ReratingProgress } from '../../server/views/repricing.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Field } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { PriceChanges } from '../components/price-changes.tsx';
import { TextLink } from '../components/text-link.tsx';
import { fieldErrors } from '../form-errors.ts';
import { formatQuantity, humanize, sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { timesSpan } from '../past-span.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Correct past prices');

/** What the address asks for: the span, and whether what was too cheap is charged. */
function termsIn(request: Request) {
  const query = new URL(request.url).searchParams;
  const [from, to] = [query.get('from') ?? '', query.get('to') ?? ''];
  return { from, to, debits: query.has('debits'), span: timesSpan(from, to) };
}

export async function loader({ request, params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { rateCardDesk, repricingDesk } = context.services;
  const card = await rateCardDesk.get(params.cardId ?? '');
  if (card === null || card.state === 'draft') throw notFound();
  const { from, to, debits, span } = termsIn(request);
  const { id, name, version, currency } = card;
  return json({
    card: { id, title: `${name}, version ${version}`, currency },
    terms: { from, to, debits },
    isWrong: span === null && from + to !== '',
    preview: span && toWire(await repricingDesk.preview(id, span, debits)),
    // Under this id a run goes on, however often its form is sent.
    reratingId: crypto.randomUUID(),
  });
}

const actionSchema = z.object({
  id: z.uuid(),
  reason: z
    .string()
    .trim()
    .min(1, { error: 'Say why: customers see it with the correction.' })
    .regex(/^[^\p{Cc}\p{Cs}]{0,500}$/u, { error: 'Use at most 500 characters, on one line.' }),
});

export async function action({ request, params, context }: ActionFunctionArgs) {
  const actor = `support:${requireSupport(context).id}`;
  const { span, debits } = termsIn(request);
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success || span === null) {
    const errors = parsed.success
      ? errorsOf({ message: 'The times make no sense.' })
      : fieldErrors(parsed.error);
    return refuseForm(form, errors, { status: 400 });
  }
  const { id, reason } = parsed.data;
  const terms = { id, cardId: params.cardId ?? '', ...span, debits, reason };
  const answer = await context.services.repricingDesk.rerate(terms, actor);
  return answer.ok
    ? json({ done: { id, reason, ...toWire(answer) } })
    : refuseForm(form, errorsOf({ message: `${sentence(answer.message)}.` }), { status: 409 });
}

export default function ReratingPage() {
  const { card, terms, isWrong, preview } = useLoaderData<typeof loader>();
  const answer = useActionData<typeof action>();
  const busy = useNavigation().state !== 'idle';
  return (
    <>
      <PageHeader
        title="Correct past prices"
        lead={`Usage of a past span is priced again by ${card.title}, and the differences are posted.`}
        action={<TextLink to={`/admin/rate-cards/${card.id}`}>Back to the card</TextLink>}
      />
      <div className="grid gap-5">
        {answer && 'done' in answer && <Done done={answer.done} currency={card.currency} />}
        <Card title="Which usage">
          <Form method="get" noValidate className="grid items-start gap-5 sm:grid-cols-2">
            <Field
              name="from"
              type="datetime-local"
              label="From (UTC)"
              defaultValue={terms.from}
              error={isWrong ? 'Choose two times, the first one earlier.' : undefined}
            />
            <Field
              name="to"
              type="datetime-local"
              label="To (UTC)"
              hint="The first moment that is not in it."
              defaultValue={terms.to}
            />
            <label className="flex min-h-11 items-center gap-3 sm:col-span-2">
              <input
                type="checkbox"
                name="debits"
                defaultChecked={terms.debits}
                className="size-5 shrink-0 accent-accent"
              />
              Also charge what was too cheap; what a wallet cannot fund is owed
            </label>
            <Button tone="secondary" busy={busy} className="justify-self-start">
              Preview
            </Button>
          </Form>
        </Card>
        {preview && (
          <PriceChanges
            totals={preview.totals}
            currency={card.currency}
            finished={preview.finished}
          />
        )}
        {preview && <Post />}
      </div>
    </>
  );
}

function Post() {
  const { reratingId } = useLoaderData<typeof loader>();
  const answer = useActionData<typeof action>();
  const refused = answer && 'refused' in answer ? answer.refused : undefined;
  const busy = useNavigation().state !== 'idle';
  const unfinished = answer && 'done' in answer && !answer.done.finished ? answer.done : null;
  return (
    <Card title="Post the differences">
      <CheckedForm refused={refused} className="grid gap-5">
        <input type="hidden" name="id" value={unfinished?.id ?? reratingId} />
        <Field
          name="reason"
          label="Reason"
          hint="Customers see it with the correction."
          autoComplete="off"
          maxLength={500}
          required
          defaultValue={unfinished?.reason}
        />
        <Button busy={busy} className="justify-self-start">
          {unfinished ? 'Go on' : 'Post the differences'}
        </Button>
      </CheckedForm>
    </Card>
  );
}

interface DoneProps {
  done: { id: string; progress: Wire<ReratingProgress>; finished: boolean };
  currency: string;
}

function Done({ done, currency }: DoneProps) {
  const { usages, credits, creditedMicros, debits, debitedMicros, refused } = done.progress;
  return (
    <Card title={done.finished ? 'Posted' : 'Posted so far'}>
      {!done.finished && (
        <Notice tone="warning">There is more than a page waits for: go on below.</Notice>
      )}
      <DefinitionList
        items={[
          { label: 'Looked at', value: formatQuantity(usages, 'usage') },
          {
            label: 'Given back',
            value: <Money micros={creditedMicros} currency={currency} />,
            hint: formatQuantity(credits, 'time'),
          },
          {
            label: 'Charged',
            value: <Money micros={debitedMicros} currency={currency} />,
            hint: formatQuantity(debits, 'time'),
          },
          ...Object.entries(refused).map(([code, count]) => ({
            label: `Not posted: ${humanize(code)}`,
            value: count,
          })),
          { label: 'Id', value: done.id },
        ]}
      />
    </Card>
  );
}
