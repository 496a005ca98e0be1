import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import { AlertsForm, readAlertsForm } from '../components/alerts-form.tsx';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Field } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { SpendingLimits } from '../components/spending-limits.tsx';
import { SubscriptionList } from '../components/subscription-list.tsx';
import { TextLink } from '../components/text-link.tsx';
import { refusal, refusalInit } from '../credentials.server.ts';
import { type FormErrors, fieldErrors, useFocusFirstError } from '../form-errors.ts';
import { microsToAmount } from '../format.ts';
import { requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Settings');

const passwordSchema = z
  .object({
    currentPassword: z.string().min(1, { error: 'Enter your current password.' }).max(1024),
    newPassword: z.string().min(1, { error: 'Enter a new password.' }).max(1024, {
      error: 'This password is too long.',
    }),
    repeatedPassword: z.string(),
  })
  .refine(({ newPassword, repeatedPassword }) => newPassword === repeatedPassword, {
    path: ['repeatedPassword'],
    error: 'This is not the same as the new password.',
  });

export async function loader({ request, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const { walletId, timezone, currency } = await context.services.wallets.ofUser(user.id);
  const { alerts: alertServices, spendingLimits, statements, subscriptions } = context.services;
  const [alerts, limits, statementsByMail, fees] = await Promise.all([
    alertServices.get(user.id),
    spendingLimits.ofUser(user.id),
    statements.sendsByMail(user.id),
    subscriptions.current(walletId),
  ]);
  const { exponent } = context.services.topUps.limits(currency);
  const query = new URL(request.url).searchParams;
  return json({
    email: user.email,
    timezone,
    currency,
    limits: toWire(limits),
    fees: toWire(fees),
    alerts: {
      byMail: alerts.byMail,
      amounts: alerts.thresholds.map(({ thresholdMicros }) =>
        microsToAmount(thresholdMicros, exponent),
      ),
    },
    statementsByMail,
    saved: (['changed', 'alerts', 'statements'] as const).find((name) => query.has(name)) ?? null,
  });
}

export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireUser(context);
  const form = await request.formData();
  if (form.get('intent') === 'alerts') {
    const typed = readAlertsForm(form);
    const answer = await context.services.alerts.save({ userId: user.id, ...typed });
    if (answer.ok) return redirect('/account/settings?alerts#alerts');
    return json({ errors: null, alerts: { ...typed, problems: answer.problems } }, { status: 400 });
  }
  if (form.get('intent') === 'statements') {
    await context.services.statements.sendByMail(user.id, form.has('byMail'));
    return redirect('/account/settings?statements#statements');
  }
  const parsed = passwordSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) {
    return json({ errors: fieldErrors(parsed.error), alerts: null }, { status: 400 });
  }

  const { currentPassword, newPassword } = parsed.data;
  const result = await context.services.accounts.changePassword({
    userId: user.id,
    currentPassword,
    newPassword,
    ip: context.ip,
  });
  if (!result.ok) {
    const fields = { INVALID_CREDENTIALS: 'currentPassword', WEAK_PASSWORD: 'newPassword' };
    return json({ errors: refusal(result, fields), alerts: null }, refusalInit(result));
  }
  return redirect('/account/settings?changed', { headers: { 'Set-Cookie': result.setCookie } });
}

const SAVED = {
  changed: 'Your password was changed.',
  alerts: 'Your alerts were saved.',
  statements: 'Your choice about statements was saved.',
} as const;

export default function SettingsPage() {
  const { email, timezone, currency, limits, fees, alerts, statementsByMail, saved } =
    useLoaderData<typeof loader>();
  const answer = useActionData<typeof action>();
  const errors = answer?.errors ?? undefined;
  return (
    <>
      <PageHeader title="Settings" />
      <div className="grid max-w-2xl gap-5">
        {saved !== null && answer === undefined && (
          <div role="status">
            <Notice>{SAVED[saved]}</Notice>
          </div>
        )}
        <Card title="Account">
          <DefinitionList
            items={[
              { label: 'Email', value: email },
              { label: 'Currency', value: currency },
              {
                label: 'Time zone',
                hint: 'Your months begin and end by it',
                value: timezone,
              },
            ]}
          />
        </Card>
        <Card title="Automatic top-up">
          <p>
            Charge a saved card when your wallet runs low.{' '}
            <TextLink to="/account/auto-top-up">Automatic top-up</TextLink>
          </p>
        </Card>
        {fees.length > 0 && (
          <Card title="Recurring fees">
            <SubscriptionList subscriptions={fees} currency={currency} timezone={timezone} />
          </Card>
        )}
        {limits.length > 0 && (
          <div id="limits">
            <Card title="Spending limits">
              <SpendingLimits limits={limits} currency={currency} timezone={timezone} />
            </Card>
          </div>
        )}
        <div id="alerts">
          <Card title="Low-balance alerts">
            <AlertsForm
              key={alerts.amounts.join()}
              currency={currency}
              saved={alerts}
              refused={answer?.alerts ?? null}
            />
          </Card>
        </div>
        <div id="statements">
          <Card title="Statements">
            <StatementsForm byMail={statementsByMail} />
          </Card>
        </div>
        <Card title="Change password">
          <PasswordForm email={email} errors={errors} />
        </Card>
      </div>
    </>
  );
}

function StatementsForm({ byMail }: { byMail: boolean }) {
  const busy = useNavigation().formData?.get('intent') === 'statements';
  return (
    <Form method="post" className="grid gap-5">
      <input type="hidden" name="intent" value="statements" />
      <label className="flex min-h-11 items-center gap-3">
        <input type="checkbox" name="byMail" defaultChecked={byMail} className="size-5" />
        Mail me each month's statement
      </label>
      <Button busy={busy} className="justify-self-start">
        Save
      </Button>
    </Form>
  );
}

function PasswordForm({ email, errors }: { email: string; errors: FormErrors | undefined }) {
  const busy = useNavigation().formData?.has('currentPassword') ?? false;
  const formRef = useFocusFirstError(errors);
  return (
    <Form method="post" ref={formRef} noValidate className="grid gap-5">
      {errors?.form && (
        <Notice tone="danger" alert>
          {errors.form}
        </Notice>
      )}
      {/* Lets a password manager know whose password this is. */}
      <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
      <Field
        name="currentPassword"
        label="Current password"
        type="password"
        autoComplete="current-password"
        required
        error={errors?.fields.currentPassword}
      />
      <Field
        name="newPassword"
        label="New password"
        hint="At least 8 characters."
        type="password"
        autoComplete="new-password"
        required
        error={errors?.fields.newPassword}
      />
      <Field
        name="repeatedPassword"
        label="New password again"
        type="password"
        autoComplete="new-password"
        required
        error={errors?.fields.repeatedPassword}
      />
      <Button busy={busy} className="justify-self-start">
        Change password
      </Button>
    </Form>
  );
}
