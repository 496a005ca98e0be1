import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { AutoTopUpView } from '../../server/views/auto-top-ups.ts';
import { describeAttempt, describeAutoTopUp, latestRefusal } from '../auto-top-up.ts';
import { AutoTopUpForm } from '../components/auto-top-up-form.tsx';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DataTable } from '../components/data-table.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatDate, formatDateTime, formatMoney } from '../format.ts';
import { notFound, requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { usePolling } from '../use-polling.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Automatic top-up');

const amount = z.string();
const actionSchema = z.discriminatedUnion('intent', [
  z.object({
    intent: z.literal('save'),
    threshold: amount,
    mode: z.enum(['restore', 'add']),
    amount,
    monthlyCap: amount,
    consent: z.string().max(32).optional(),
  }),
  z.object({ intent: z.literal('turn-off') }),
  z.object({ intent: z.literal('resume') }),
  z.object({ intent: z.literal('recover') }),
]);

export async function loader({ request, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  return json({
    view: toWire(await context.services.autoTopUps.get(user.id)),
    wasSaved: new URL(request.url).searchParams.has('saved'),
  });
}

export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireUser(context);
  const { autoTopUps } = context.services;
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) throw notFound();
  const input = parsed.data;
  switch (input.intent) {
    case 'save': {
      const { consent, ...terms } = input;
      const saved = await autoTopUps.save({
        ...terms,
        userId: user.id,
        consentVersion: consent ?? null,
      });
      return saved.ok
        ? redirect('/account/auto-top-up?saved')
        : refuseForm(form, errorsOf(saved), { status: 422 });
    }
    case 'turn-off':
      await autoTopUps.turnOff(user.id);
      return redirect('/account/auto-top-up?saved');
    case 'resume': {
      const resumed = await autoTopUps.resume(user.id);
      return resumed.ok
        ? redirect('/account/auto-top-up?saved')
        : refuseForm(form, errorsOf(resumed), { status: 422 });
    }
    case 'recover': {
      const token = await autoTopUps.renewRecovery(user.id);
      return token === null
        ? redirect('/account/auto-top-up')
        : redirect(`/confirm-payment?${new URLSearchParams({ token })}`);
    }
  }
}

export default function AutoTopUpPage() {
  const { view, wasSaved } = useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>()?.refused;
  const { settings, attempts } = view;
  usePolling(attempts.some(({ state }) => state === 'charging'));
  return (
    <>
      <PageHeader
        title="Automatic top-up"
        lead="Charges a saved card when your wallet runs low, so that calls do not break off."
      />
      <div className="grid max-w-2xl gap-5">
        {wasSaved && !refused && (
          <div role="status">
            <Notice>Your settings were saved.</Notice>
          </div>
        )}
        {refused?.form && refused.intent !== 'save' && (
          <Notice tone="danger" alert>
            {refused.form}
          </Notice>
        )}
        {settings !== null && <StateCard view={view} settings={settings} />}
        <Card title={settings === null || settings.status === 'off' ? 'Turn it on' : 'Settings'}>
          {view.hasCard ? (
            <AutoTopUpForm view={view} refused={refused} />
          ) : (
            <EmptyState title="Save a card first">
              Automatic top-up charges your{' '}
              <TextLink to="/account/payment-methods">saved cards</TextLink>.
            </EmptyState>
          )}
        </Card>
        {attempts.length > 0 && <AttemptsCard view={view} />}
      </div>
    </>
  );
}

type View = Wire<AutoTopUpView>;

function StateCard({ view, settings }: { view: View; settings: NonNullable<View['settings']> }) {
  const state = describeAutoTopUp(settings, view, latestRefusal(view.attempts));
  const money = (micros: string) => <Money micros={micros} currency={view.currency} />;
  const intent = useNavigation().formData?.get('intent');
  return (
    <Card title="How it stands">
      <div className="grid gap-4">
        <Notice tone={state.tone} title={state.title}>
          {state.text}
        </Notice>
        <Form method="post" className="flex flex-wrap gap-3">
          {state.action === 'recover' && (
            <Button name="intent" value="recover" busy={intent === 'recover'}>
              Confirm the payment
            </Button>
          )}
          {state.action === 'resume' && (
            <Button name="intent" value="resume" busy={intent === 'resume'}>
              Go on
            </Button>
          )}
          {settings.status !== 'off' && (
            <Button name="intent" value="turn-off" tone="secondary" busy={intent === 'turn-off'}>
              Turn off
            </Button>
          )}
        </Form>
        <DefinitionList
          items={[
            {
              label: 'Charged this month',
              hint: `Of a cap of ${formatMoney(settings.monthlyCapMicros, view.currency)}`,
              value: money(settings.usedMicros),
            },
            ...(settings.nextTryAt === null || settings.status !== 'on'
              ? []
              : [
                  {
                    label: 'Next try',
                    value: formatDateTime(settings.nextTryAt, view.timezone),
                  },
                ]),
            {
              label: 'You agreed',
              hint: `To the text of ${settings.consentVersion}`,
              value: formatDate(settings.consentedAt, view.timezone),
            },
          ]}
        />
      </div>
    </Card>
  );
}

function AttemptsCard({ view }: { view: View }) {
  return (
    <Card title="Last charges">
      <DataTable
        caption="Last automatic charges"
        columns={[
          { key: 'when', title: 'When' },
          { key: 'state', title: 'Result' },
          { key: 'amount', title: 'Amount', numeric: true },
        ]}
        rows={view.attempts.map((attempt) => {
          const { state, cards } = describeAttempt(attempt);
          return {
            key: attempt.topUpId,
            cells: {
              when: formatDateTime(attempt.createdAt, view.timezone),
              state: (
                <>
                  {state}
                  {cards.map((card) => (
                    <span key={card} className="block text-sm text-ink-soft">
                      {card}
                    </span>
                  ))}
                </>
              ),
              amount: <Money micros={attempt.amountMicros} currency={view.currency} />,
            },
          };
        })}
      />
    </Card>
  );
}
