import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { BillingStatus, InboxSummary, MailSummary } from '../../server/views/admin.ts';
import type { WalletPage } from '../../server/views/wallets.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { CheckedForm } from '../components/checked-form.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Field } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { fieldErrors } from '../form-errors.ts';
import { formatCount, formatDateTime, formatPeriod, humanize } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { refuseForm } from '../refuse-form.server.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Admin');

const actionSchema = z.discriminatedUnion('intent', [
  z.object({ intent: z.literal('start_month') }),
  z.object({ intent: z.literal('revive_mails') }),
  z.object({
    intent: z.literal('find_wallets'),
    query: z.string().trim().min(1, { error: 'Enter a user id or an email address.' }).max(320, {
      error: 'This is too long.',
    }),
  }),
]);

export async function loader({ context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { admin } = context.services;
  const [billing, inbox, ledger, mail] = await Promise.all([
    admin.billing(),
    admin.inbox(),
    admin.ledger(),
    admin.mail(),
  ]);
  return json(toWire({ billing, inbox, ledger, mail }));
}

/** The search is a POST, so that no user id and no email address stands in an address or an access log. */
export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireSupport(context);
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) {
    return refuseForm(form, fieldErrors(parsed.error), { status: 400 });
  }
  if (parsed.data.intent === 'start_month') {
    await context.services.admin.startBilling(`support:${user.id}`);
    return redirect('/admin');
  }
  if (parsed.data.intent === 'revive_mails') {
    await context.services.admin.reviveMails();
    return redirect('/admin');
  }
  const { query } = parsed.data;
  const found = toWire(await context.services.walletDesk.find(query));
  return json({ found: { query, ...found } });
}

export default function AdminPage() {
  const { billing, inbox, ledger, mail } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader title="Admin" lead="How the whole system stands. Times in UTC." />
      <div className="grid gap-5 lg:grid-cols-2">
        <FindWallets />
        <MonthCard billing={billing} />
        <Card title="Stripe inbox" action={<TextLink to="/admin/inbox">Events</TextLink>}>
          <DefinitionList items={inboxItems(inbox)} />
        </Card>
        <MailCard mail={mail} />
        <Card title="Ledger">
          <DefinitionList
            items={[
              { label: 'Wallets', value: formatCount(ledger.wallets) },
              { label: 'Events in their histories', value: formatCount(ledger.events) },
              ...ledger.totals.map(({ currency, balanceMicros }) => ({
                label: `All balances in ${currency}`,
                value: <Money micros={balanceMicros} currency={currency} />,
              })),
            ]}
          />
        </Card>
      </div>
    </>
  );
}

function MonthCard({ billing }: { billing: Wire<BillingStatus> }) {
  const isStarting = useNavigation().formData?.get('intent') === 'start_month';
  const instant = (iso: string | null) => (iso === null ? '—' : formatDateTime(iso, 'UTC'));
  return (
    <Card title={`Month of ${formatPeriod(billing.period)}`}>
      <DefinitionList
        items={[
          { label: 'Status', value: humanize(billing.status) },
          ...counts(billing.wallets).map(({ label, value }) => ({
            label: `Wallets ${label.toLowerCase()}`,
            value,
          })),
          { label: 'Started', value: instant(billing.startedAt) },
          { label: 'Finished', value: instant(billing.finishedAt) },
          { label: 'Next run', value: instant(billing.nextRunAt) },
        ]}
      />
      <Form method="post" className="mt-5 grid gap-2">
        <input type="hidden" name="intent" value="start_month" />
        <Button busy={isStarting} className="justify-self-start">
          Close the month
        </Button>
        <p className="text-sm text-ink-soft">Doing it twice changes nothing that was done.</p>
      </Form>
    </Card>
  );
}

function MailCard({ mail: { lastError, ...mail } }: { mail: Wire<MailSummary> }) {
  return (
    <Card title="Mail">
      <DefinitionList
        items={[
          { label: 'Mails that wait to be sent', value: formatCount(mail.waiting) },
          { label: 'of them failed at their last try', value: formatCount(mail.failing) },
          { label: 'Mails sent', value: formatCount(mail.sent) },
          { label: 'Mails given up after three days', value: formatCount(mail.dead) },
          ...(lastError === null ? [] : [{ label: 'Last failure', value: lastError }]),
        ]}
      />
      {mail.dead > 0 && (
        <Form method="post" className="mt-5">
          <input type="hidden" name="intent" value="revive_mails" />
          <Button tone="secondary">Try those given up again</Button>
        </Form>
      )}
    </Card>
  );
}

function inboxItems(inbox: InboxSummary) {
  const count = (number: number) => formatCount(number);
  return [
    { label: 'Events received', value: count(inbox.received) },
    { label: 'Events that wait to be applied', value: count(inbox.waiting) },
    { label: 'Events applied', value: count(inbox.applied) },
    { label: 'Events that change nothing', value: count(inbox.ignored) },
    {
      label: 'Events that do not fit their payment',
      value: <TextLink to="/admin/inbox?status=unhandled">{count(inbox.unhandled)}</TextLink>,
    },
    {
      label: 'Events given up',
      hint: 'Somebody has to look',
      value: <TextLink to="/admin/inbox?status=dead">{count(inbox.dead)}</TextLink>,
    },
    {
      label: 'Payments in quarantine',
      hint: 'Somebody has to decide',
      value: <TextLink to="/admin/quarantine">{count(inbox.quarantined)}</TextLink>,
    },
  ];
}

function counts(numbers: Record<string, number>) {
  return Object.entries(numbers).map(([name, count]) => ({
    label: humanize(name),
    value: formatCount(count),
  }));
}

function FindWallets() {
  const answer = useActionData<typeof action>();
  const refused = answer && 'refused' in answer ? answer.refused : undefined;
  const found = answer && 'found' in answer ? answer.found : undefined;
  return (
    <Card title="Find a wallet">
      <CheckedForm intent="find_wallets" refused={refused} className="mb-5 grid gap-4">
        <Field
          name="query"
          label="User id or email"
          hint="Of a user id, its beginning is enough."
          autoComplete="off"
          spellCheck={false}
          required
          defaultValue={found?.query}
        />
        <Button tone="secondary" className="justify-self-start">
          Find
        </Button>
      </CheckedForm>
      <div role="status">{found && <FoundWallets {...found} />}</div>
    </Card>
  );
}

function FoundWallets({ wallets, nextCursor }: Wire<WalletPage>) {
  if (wallets.length === 0) {
    return (
      <EmptyState title="No wallet of this user">
        An email must be whole; of a user id, the beginning as it is written is enough.
      </EmptyState>
    );
  }
  return (
    <>
      <ul className="divide-y divide-line">
        {wallets.map(({ walletId, userId, status, currency, ...wallet }) => (
          <li key={walletId} className="py-3">
            <DefinitionList
              items={[
                { label: 'User', value: userId },
                {
                  label: 'Wallet',
                  value: <TextLink to={`/admin/wallets/${walletId}`}>{walletId}</TextLink>,
                },
                { label: 'Status', value: humanize(status) },
                {
                  label: 'Balance',
                  value: <Money micros={wallet.balanceMicros} currency={currency} />,
                },
                {
                  label: 'On hold',
                  value: <Money micros={wallet.heldMicros} currency={currency} />,
                },
                {
                  label: 'Arrears',
                  value: <Money micros={wallet.arrearsMicros} currency={currency} />,
                },
              ]}
            />
          </li>
        ))}
      </ul>
      {nextCursor !== null && (
        <p className="mt-3 text-sm text-ink-soft">
          These are the first {formatCount(wallets.length)}. More of the user id finds fewer.
        </p>
      )}
    </>
  );
}
