import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import type { RuleFields } from '../../server/views/rate-cards.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { Field, SelectField } from '../components/field.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { usageTypeOptions } from '../usage-names.ts';

export const meta = pageTitle('Rule');

const EMPTY_RULE: RuleFields = {
  type: 'call',
  prefix: '',
  id: '',
  connectionFee: '0',
  price: '',
  initialSeconds: '60',
  nextSeconds: '60',
  minimum: '',
  maximum: '',
  rounding: '',
  more: '',
};

/** The rule that the address names, or null for a new one. */
function targetIn(request: Request): { type: string; prefix: string } | null {
  const query = new URL(request.url).searchParams;
  const type = query.get('type');
  return type === null ? null : { type, prefix: query.get('prefix') ?? '' };
}

export async function loader({ request, params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { rateCardDesk } = context.services;
  const card = await rateCardDesk.get(params.cardId ?? '');
  const target = targetIn(request);
  const rule = target && (await rateCardDesk.rule(card?.id ?? '', target.type, target.prefix));
  if (card?.state !== 'draft' || (target !== null && rule === null)) throw notFound();
  return json({ card: { id: card.id, name: card.name, currency: card.currency }, rule });
}

export async function action({ request, params, context }: ActionFunctionArgs) {
  const actor = `support:${requireSupport(context).id}`;
  const { rateCardDesk } = context.services;
  const cardId = params.cardId ?? '';
  const target = targetIn(request);
  if ((await rateCardDesk.get(cardId))?.state !== 'draft') throw notFound();
  const form = await request.formData();
  const fields = Object.fromEntries(
    Object.keys(EMPTY_RULE).map((name) => [name, String(form.get(name) ?? '')]),
  );
  const answer =
    form.get('intent') === 'remove' && target !== null
      ? await rateCardDesk.removeRule(cardId, target, actor)
      : await rateCardDesk.putRule(cardId, withoutSeconds(fields), target, actor);
  if (answer.ok) {
    return redirect(`/admin/rate-cards/${cardId}`);
  }
  const problems = Object.fromEntries(
    Object.entries(answer.problems).map(([name, message = '']) => [name, `${sentence(message)}.`]),
  );
  const errors = errorsOf({ message: `${sentence(answer.message)}.`, problems });
  return refuseForm(form, errors, { status: 409 });
}

/** Only calls are billed by the second; the form has the fields for all types. */
function withoutSeconds(fields: Partial<RuleFields>): Partial<RuleFields> {
  return fields.type === 'call' ? fields : { ...fields, initialSeconds: '', nextSeconds: '' };
}

const LABELS: Readonly<Record<keyof RuleFields, string>> = {
  type: 'Type',
  prefix: 'Prefix',
  price: 'Price',
  connectionFee: 'Connection fee',
  initialSeconds: 'First seconds',
  nextSeconds: 'Then by',
  minimum: 'Least',
  maximum: 'Most',
  id: 'Name in breakdowns',
  more: 'Other terms',
  rounding: 'Rounding',
};

/** The fields that are typed. */
const FIELDS = [
  { name: 'prefix', hint: 'Digits without plus; empty for anywhere.' },
  { name: 'price', hint: 'Of a minute, or of one unit: at most six decimals.' },
  { name: 'connectionFee', hint: 'Charged once for each usage.' },
  { name: 'initialSeconds', hint: 'Calls: billed whole.' },
  { name: 'nextSeconds', hint: 'Calls: every further block, in seconds.' },
  { name: 'minimum', hint: 'That one usage costs; may be empty.' },
  { name: 'maximum', hint: 'That one usage costs; may be empty.' },
  { name: 'id', hint: 'Empty: made of type and prefix.' },
  { name: 'more', hint: 'JSON, such as size tiers; may be empty.' },
] as const;

const ROUNDINGS = [
  ['', 'As the card'],
  ['half_up', 'Half up'],
  ['half_even', 'Half to even'],
  ['up', 'Up'],
  ['down', 'Down'],
] as const;

export default function RulePage() {
  const { card, rule } = useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>()?.refused;
  const busy = useNavigation().state !== 'idle';
  const values = rule ?? EMPTY_RULE;
  return (
    <>
      <PageHeader
        title={rule === null ? 'Add a rule' : 'Change a rule'}
        lead={`Of the draft ${card.name}. Amounts are in ${card.currency}.`}
        action={<TextLink to={`/admin/rate-cards/${card.id}`}>Back to the draft</TextLink>}
      />
      <Card>
        <CheckedForm refused={refused} labels={LABELS} className="grid gap-5 sm:grid-cols-2">
          <SelectField
            name="type"
            label={LABELS.type}
            defaultValue={values.type}
            options={usageTypeOptions}
          />
          {FIELDS.map(({ name, hint }) => (
            <Field
              key={name}
              name={name}
              label={LABELS[name]}
              hint={hint}
              autoComplete="off"
              spellCheck={false}
              defaultValue={values[name]}
            />
          ))}
          <SelectField
            name="rounding"
            label={LABELS.rounding}
            defaultValue={values.rounding}
            options={ROUNDINGS}
          />
          <div className="flex flex-wrap gap-3 sm:col-span-2">
            <Button busy={busy}>Save</Button>
            {rule !== null && (
              <Button tone="danger" name="intent" value="remove">
                Remove this rule
              </Button>
            )}
          </div>
        </CheckedForm>
      </Card>
    </>
  );
}
