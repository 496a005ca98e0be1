import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import type { RuleFields } from '../../server/http/views/rate-cards.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { Field, inputClass } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { USAGE_TYPES } from '../components/rate-rule-table.tsx';
import { TextLink } from '../components/text-link.tsx';
import { type FormErrors, useFocusFirstError } from '../form-errors.ts';
import { sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { usageTypeName } from '../usage-names.ts';

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
  const form = Object.fromEntries(await request.formData());
  const fields = Object.fromEntries(
    Object.keys(EMPTY_RULE).map((name) => [name, String(form[name] ?? '')]),
  );
  const answer =
    form.intent === 'remove' && target !== null
      ? await rateCardDesk.removeRule(cardId, target, actor)
      : await rateCardDesk.putRule(cardId, withoutSeconds(fields), target, actor);
  if (answer.ok) {
    return redirect(`/admin/rate-cards/${cardId}`);
  }
  const errors: FormErrors = {
    form: `${sentence(answer.message)}.`,
    fields: Object.fromEntries(
      Object.entries(answer.problems).map(([name, message = '']) => [name, sentence(message)]),
    ),
  };
  return json(errors, { status: 409 });
}

/** Only calls are billed by the second; the form has the fields for all types. */
function withoutSeconds(fields: Partial<RuleFields>): Partial<RuleFields> {
  return fields.type === 'call' ? fields : { ...fields, initialSeconds: '', nextSeconds: '' };
}

const FIELDS = [
  { name: 'prefix', label: 'Prefix', hint: 'Digits without plus; empty for anywhere.' },
  { name: 'price', label: 'Price', hint: 'Of a minute, or of one unit: at most six decimals.' },
  { name: 'connectionFee', label: 'Connection fee', hint: 'Charged once for each usage.' },
  { name: 'initialSeconds', label: 'First seconds', hint: 'Calls: billed whole.' },
  { name: 'nextSeconds', label: 'Then by', hint: 'Calls: every further block, in seconds.' },
  { name: 'minimum', label: 'Least', hint: 'That one usage costs; may be empty.' },
  { name: 'maximum', label: 'Most', hint: 'That one usage costs; may be empty.' },
  { name: 'id', label: 'Name in breakdowns', hint: 'Empty: made of type and prefix.' },
  { name: 'more', label: 'Other terms', hint: 'JSON, such as size tiers; may be empty.' },
] as const;

export default function RulePage() {
  const { card, rule } = useLoaderData<typeof loader>();
  const errors = useActionData<typeof action>();
  const formRef = useFocusFirstError(errors);
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
        <Form method="post" ref={formRef} noValidate className="grid gap-5 sm:grid-cols-2">
          {errors?.form && (
            <div className="sm:col-span-2">
              <Notice tone="danger" alert>
                {errors.form}
              </Notice>
            </div>
          )}
          <div className="grid content-start gap-1.5">
            <label htmlFor="type" className="font-medium">
              Type
            </label>
            <select id="type" name="type" defaultValue={values.type} className={inputClass}>
              {USAGE_TYPES.map((type) => (
                <option key={type} value={type}>
                  {usageTypeName(type)}
                </option>
              ))}
            </select>
          </div>
          {FIELDS.map(({ name, label, hint }) => (
            <Field
              key={name}
              name={name}
              label={label}
              hint={hint}
              autoComplete="off"
              spellCheck={false}
              defaultValue={values[name]}
              error={errors?.fields[name]}
            />
          ))}
          <div className="grid content-start gap-1.5">
            <label htmlFor="rounding" className="font-medium">
              Rounding
            </label>
            <select
              id="rounding"
              name="rounding"
              defaultValue={values.rounding}
              className={inputClass}
            >
              <option value="">As the card</option>
              <option value="half_up">Half up</option>
              <option value="half_even">Half to even</option>
              <option value="up">Up</option>
              <option value="down">Down</option>
            </select>
          </div>
          <div className="flex flex-wrap gap-3 sm:col-span-2">
            <Button busy={busy}>Save</Button>
            {rule !== null && (
              <Button tone="danger" name="intent" value="remove">
                Remove this rule
              </Button>
            )}
          </div>
        </Form>
      </Card>
    </>
  );
}
