import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { AlertsForm, alertErrors, readAlertsForm } from '../components/alerts-form.tsx';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { Field } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { SpendingLimits } from '../components/spending-limits.tsx';
import { SubscriptionList } from '../components/subscription-list.tsx';
import { TextLink } from '../components/text-link.tsx';
import { refusalInit } from '../credentials.server.ts';
import type { RefusedForm } from '../form-errors.ts';
import { microsToAmount } from '../format.ts';
import { requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Settings');

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
    const alerts = { userId: user.id, ...readAlertsForm(form) };
    const answer = await context.services.alerts.save(alerts);
    return answer.ok
      ? redirect('/account/settings?alerts#alerts')
      : refuseForm(form, alertErrors(answer.problems), { status: 400 });
  }
  if (form.get('intent') === 'statements') {
    await context.services.statements.sendByMail(user.id, form.has('byMail'));
    return redirect('/account/settings?statements#statements');
  }
  const text = (name: string) => String(form.get(name) ?? '');
  const result = await context.services.accounts.changePassword({
    userId: user.id,
    currentPassword: text('currentPassword'),
    newPassword: text('newPassword'),
    repeatedPassword: text('repeatedPassword'),
    ip: context.ip,
  });
  return result.ok
    ? redirect('/account/settings?changed', { headers: { 'Set-Cookie': result.setCookie } })
    : refuseForm(form, errorsOf(result), refusalInit(result));
}

const SAVED = {
  changed: 'Your password was changed.',
  alerts: 'Your alerts were saved.',
  statements: 'Your choice about statements was saved.',
} as const;

export default function SettingsPage() {
  const { email, timezone, currency, limits, fees, alerts, statementsByMail, saved } =
    useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>()?.refused;
  return (
    <>
      <PageHeader title="Settings" />
      <div className="grid max-w-2xl gap-5">
        {saved !== null && refused === undefined && (
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
              refused={refused}
            />
          </Card>
        </div>
        <div id="statements">
          <Card title="Statements">
            <StatementsForm byMail={statementsByMail} />
          </Card>
        </div>
        <Card title="Change password">
          <PasswordForm email={email} refused={refused} />
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

function PasswordForm({ email, refused }: { email: string; refused: RefusedForm | undefined }) {
  const busy = useNavigation().formData?.has('currentPassword') ?? false;
  return (
    <CheckedForm intent="password" refused={refused} className="grid gap-5">
      {/* Lets a password manager know whose password this is. */}
      <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
      <Field
        name="currentPassword"
        label="Current password"
        type="password"
        autoComplete="current-password"
        required
      />
      <Field
        name="newPassword"
        label="New password"
        hint="At least 8 characters."
        type="password"
        autoComplete="new-password"
        required
      />
      <Field
        name="repeatedPassword"
        label="New password again"
        type="password"
        autoComplete="new-password"
        required
      />
      <Button busy={busy} className="justify-self-start">
        Change password
      </Button>
    </CheckedForm>
  );
}
