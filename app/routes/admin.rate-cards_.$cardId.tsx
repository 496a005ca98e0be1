import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { useState } from 'react';
import { z } from 'zod';
import type { RateCardLogView } from '../../server/views/rate-cards.ts';
import { Button, ButtonLink } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { ConfirmBox } from '../components/confirm-box.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Field } from '../components/field.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { Pager } from '../components/pager.tsx';
import { RuleFilterForm, RulesOfNumberForm, RuleTable } from '../components/rate-rule-table.tsx';
import { TextLink } from '../components/text-link.tsx';
import { fieldErrors } from '../form-errors.ts';
import { formatDateTime, formatQuantity, humanize, sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Rate card');

export async function loader({ request, params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { rateCardDesk } = context.services;
  const card = await rateCardDesk.get(params.cardId ?? '');
  if (card === null) throw notFound();
  const query = new URL(request.url).searchParams;
  const cursor = query.get('cursor') ?? undefined;
  const filter = {
    type: query.get('type') ?? '',
    prefix: (query.get('prefix') ?? '').replace(/\D/g, '').slice(0, 18),
  };
  const [page, log] = await Promise.all([
    rateCardDesk.rules(card.id, filter, cursor),
    rateCardDesk.log(card.id),
  ]);
  return json(toWire({ card, page, log, filter, isFirstPage: cursor === undefined }));
}

const actionSchema = z.discriminatedUnion('intent', [
  z.object({
    intent: z.literal('rename'),
    name: z
      .string()
      .trim()
      .regex(/^[^\p{Cc}\p{Cs}]{1,100}$/u, { error: 'Use 1 to 100 characters.' }),
  }),
  z.object({
    intent: z.literal('publish'),
    revision: z.coerce.number().int(),
    effectiveFrom: z
      .string()
      .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/, { error: 'Enter a date and a time.' })
      .transform((text) => new Date(`${text}Z`))
      .refine((at) => !Number.isNaN(at.getTime()), { error: 'There is no such date.' })
      .refine((at) => !(at.getTime() < Date.now()), { error: 'This is in the past.' }),
    confirmedPublish: z.literal('yes', { error: 'Confirm what is published.' }),
  }),
  z.object({
    intent: z.literal('discard'),
    confirmedDiscard: z.literal('yes', { error: 'Confirm that the draft is to go.' }),
  }),
  z.object({ intent: z.literal('number'), number: z.string().trim().max(64) }),
]);

export async function action({ request, params, context }: ActionFunctionArgs) {
  const actor = `support:${requireSupport(context).id}`;
  const { rateCardDesk } = context.services;
  const id = params.cardId ?? '';
  if ((await rateCardDesk.get(id)) === null) throw notFound();
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) {
    return refuseForm(form, fieldErrors(parsed.error), { status: 400 });
  }
  const { data } = parsed;
  if (data.intent === 'number') {
    const { rules } = await rateCardDesk.rules(id, { type: '', prefix: '', number: data.number });
    return json({ rules });
  }
  if (data.intent === 'discard') {
    await rateCardDesk.discard(id, actor);
    return redirect('/admin/rate-cards');
  }
  const answer =
    data.intent === 'rename'
      ? await rateCardDesk.rename(id, data.name, actor)
      : await rateCardDesk.publish(
          { id, revision: data.revision, effectiveFrom: data.effectiveFrom },
          actor,
        );
  return answer.ok
    ? redirect(`/admin/rate-cards/${id}`)
    : refuseForm(form, errorsOf({ message: `${sentence(answer.message)}.` }), { status: 409 });
}

export default function RateCardPage() {
  const { card, page, log, filter, isFirstPage } = useLoaderData<typeof loader>();
  const answer = useActionData<typeof action>();
  const ofNumber = answer !== undefined && 'rules' in answer ? answer.rules : null;
  const address = `/admin/rate-cards/${card.id}`;
  const isDraft = card.state === 'draft';
  const editAddress = ({ type, prefix }: { type: string; prefix: string }) =>
    `${address}/rule?${new URLSearchParams({ type, prefix })}`;
  return (
    <>
      <PageHeader
        title={card.version === null ? card.name : `${card.name}, version ${card.version}`}
        lead={
          isDraft
            ? 'A draft: it prices nothing until it is published.'
            : `Published. Prices usage from ${formatDateTime(card.effectiveFrom ?? card.at, 'UTC')} UTC on.`
        }
        action={<TextLink to="/admin/rate-cards">All rate cards</TextLink>}
      />
      <div className="grid gap-5">
        <Card
          title={formatQuantity(card.ruleCount, 'rule')}
          action={<FileLinks isDraft={isDraft} />}
        >
          <RuleFilterForm filter={filter} />
          <RulesOfNumberForm />
          <RuleTable
            rules={ofNumber ?? page.rules}
            currency={card.currency}
            {...(isDraft && { editAddress })}
          />
          {ofNumber === null ? (
            <Pager
              address={(query) => `${address}?${new URLSearchParams({ ...filter, ...query })}`}
              isFirstPage={isFirstPage}
              nextCursor={page.nextCursor}
            />
          ) : (
            <TextLink to={address}>All rules</TextLink>
          )}
        </Card>
        {isDraft && <DraftForms />}
        <Card title="What was done">
          <Log entries={log} />
        </Card>
      </div>
    </>
  );
}

function FileLinks({ isDraft }: { isDraft: boolean }) {
  return (
    <p className="flex flex-wrap gap-x-4">
      {isDraft && <TextLink to="rule">Add a rule</TextLink>}
      {isDraft && <TextLink to="import">Import CSV</TextLink>}
      <TextLink to="rules.csv" reloadDocument>
        Export CSV
      </TextLink>
      <TextLink to="rehearsal">Rehearse</TextLink>
      {!isDraft && <TextLink to="rerating">Correct past prices</TextLink>}
    </p>
  );
}

function DraftForms() {
  const { card } = useLoaderData<typeof loader>();
  const answer = useActionData<typeof action>();
  const refused = answer && 'refused' in answer ? answer.refused : undefined;
  const [effectiveFrom, setEffectiveFrom] = useState(refused?.typed.effectiveFrom ?? '');
  const busy = useNavigation().state !== 'idle';
  return (
    <Card title="Publish">
      <DefinitionList
        items={[
          { label: 'Currency', value: card.currency },
          { label: 'Rounding', value: humanize(card.rounding) },
          { label: 'Last changed by', value: card.by },
        ]}
      />
      <CheckedForm intent="publish" refused={refused} className="mt-4 grid gap-5">
        <input type="hidden" name="revision" value={card.revision ?? ''} />
        <Field
          name="effectiveFrom"
          label="Takes effect (UTC)"
          hint="At least a minute from now, and later than every published card of this currency."
          type="datetime-local"
          required
          onChange={(event) => setEffectiveFrom(event.currentTarget.value)}
        />
        <ConfirmBox name="confirmedPublish">
          {formatQuantity(card.ruleCount, 'rule')}, in {card.currency}, price usage from{' '}
          {instantWords(effectiveFrom)} on. Once published, this can never be changed.
        </ConfirmBox>
        <Button busy={busy} className="justify-self-start">
          Publish
        </Button>
      </CheckedForm>
      <CheckedForm
        intent="rename"
        refused={refused}
        className="mt-6 grid gap-5 border-t border-line pt-5"
      >
        <Field
          name="name"
          label="Name"
          autoComplete="off"
          maxLength={100}
          required
          defaultValue={card.name}
        />
        <Button tone="secondary" className="justify-self-start">
          Rename
        </Button>
      </CheckedForm>
      <CheckedForm
        intent="discard"
        refused={refused}
        className="mt-6 grid gap-3 border-t border-line pt-5"
      >
        <ConfirmBox name="confirmedDiscard">
          Throw away its {formatQuantity(card.ruleCount, 'rule')}. This cannot be undone.
        </ConfirmBox>
        <div className="flex flex-wrap gap-3">
          <Button tone="danger">Discard this draft</Button>
          <ButtonLink tone="secondary" to="/admin/rate-cards">
            Keep it for later
          </ButtonLink>
        </div>
      </CheckedForm>
    </Card>
  );
}

/** A typed instant in words; a page without scripts cannot know it before it is sent. */
function instantWords(typed: string): string {
  const at = new Date(`${typed}Z`);
  return Number.isNaN(at.getTime())
    ? 'the instant above'
    : `${formatDateTime(at.toISOString(), 'UTC')} UTC`;
}

function Log({ entries }: { entries: Wire<RateCardLogView>[] }) {
  return (
    <ol className="divide-y divide-line">
      {entries.map(({ seq, at, actor, what }) => (
        <li key={seq} className="flex flex-wrap justify-between gap-x-4 py-2.5">
          <span className="min-w-0 wrap-anywhere">
            {what} <span className="text-ink-soft">by {actor}</span>
          </span>
          <time dateTime={at} className="text-ink-soft">
            {formatDateTime(at, 'UTC')} UTC
          </time>
        </li>
      ))}
    </ol>
  );
}
