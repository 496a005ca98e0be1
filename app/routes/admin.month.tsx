import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { MonthFailure } from '../../server/views/admin.ts';
import { ArrearsTermsForm } from '../components/arrears-terms-form.tsx';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DataTable } from '../components/data-table.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { fieldErrors } from '../form-errors.ts';
import { formatCount, formatDateTime, formatPeriod, humanize } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { errorsOf, refuseForm } from '../refuse-form.server.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Month');

const days = z
  .string()
  .trim()
  .refine((text) => /^\d{1,3}$/.test(text) && Number(text) <= 365, {
    error: 'Enter a whole number of days, at most 365.',
  })
  .transform(Number);
const actionSchema = z.discriminatedUnion('intent', [
  /** Closes what is due: also the wallets that failed, whose next try would come later. */
  z.object({ intent: z.literal('start') }),
  z.object({ intent: z.literal('terms'), graceDays: days, reminderDays: days }),
]);

export async function loader({ request, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { admin } = context.services;
  const [month, terms] = await Promise.all([admin.month(), admin.arrearsTerms()]);
  const isSaved = new URL(request.url).searchParams.has('saved');
  return json({ ...toWire(month), terms: toWire(terms), isSaved });
}

export async function action({ request, context }: ActionFunctionArgs) {
  const actor = `support:${requireSupport(context).id}`;
  const { admin } = context.services;
  const form = await request.formData();
  const parsed = actionSchema.safeParse(Object.fromEntries(form));
  if (!parsed.success) {
    return refuseForm(form, fieldErrors(parsed.error), { status: 400 });
  }
  if (parsed.data.intent === 'start') {
    await admin.startBilling(actor);
    return redirect('/admin/month');
  }
  const { graceDays, reminderDays } = parsed.data;
  if (await admin.changeArrearsTerms({ graceDays, reminderDays }, actor)) {
    return redirect('/admin/month?saved');
  }
  const problems = { reminderDays: 'That would be before the month is closed.' };
  return refuseForm(form, errorsOf({ problems }), { status: 422 });
}

export default function AdminMonthPage() {
  const { status, ranges, failures, terms, isSaved } = useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>()?.refused;
  const isStarting = useNavigation().formData?.get('intent') === 'start';
  const instant = (iso: string | null) => (iso === null ? '—' : formatDateTime(iso, 'UTC'));
  return (
    <>
      <PageHeader
        title={`Month of ${formatPeriod(status.period)}`}
        lead="How far its closing is, and which wallets could not be closed. Times in UTC."
      />
      <div className="grid gap-5">
        <Card title="Closing">
          <DefinitionList
            items={[
              { label: 'Status', value: humanize(status.status) },
              ...Object.entries(status.wallets).map(([name, count]) => ({
                label: `Wallets ${name}`,
                value: formatCount(count),
              })),
              {
                label: 'Ranges done',
                value: `${formatCount(ranges.finished)} of ${formatCount(ranges.planned)}`,
              },
              { label: 'Attempts at ranges', value: formatCount(ranges.attempts) },
              { label: 'Started', value: instant(status.startedAt) },
              { label: 'Finished', value: instant(status.finishedAt) },
              { label: 'Next run', value: instant(status.nextRunAt) },
            ]}
          />
          <Form method="post" className="mt-5 grid gap-2">
            <input type="hidden" name="intent" value="start" />
            <Button busy={isStarting} className="justify-self-start">
              {failures.length === 0 ? 'Close what is due' : 'Try again now'}
            </Button>
            <p className="text-sm text-ink-soft">Doing it twice changes nothing that was done.</p>
          </Form>
        </Card>
        <Card title="Failures">
          {failures.length === 0 ? (
            <EmptyState title="No wallet failed">
              A wallet that could not be closed is listed here with why, until it is.
            </EmptyState>
          ) : (
            <Failures failures={failures} />
          )}
        </Card>
        <Card title="When something is owed">
          <ArrearsTermsForm terms={terms} refused={refused} isSaved={isSaved} />
        </Card>
      </div>
    </>
  );
}

function Failures({ failures }: { failures: Wire<MonthFailure>[] }) {
  return (
    <DataTable
      caption="Wallets that could not be closed"
      columns={[
        { key: 'wallet', title: 'Wallet' },
        { key: 'reason', title: 'Reason' },
        { key: 'attempts', title: 'Attempts', numeric: true },
      ]}
      rows={failures.map(({ walletId, sqlstate, message, attempts, failedAt, retryAt }) => ({
        key: walletId,
        cells: {
          wallet: (
            <TextLink to={`/admin/wallets/${walletId}`}>
              <span className="break-all sm:whitespace-nowrap">{walletId}</span>
            </TextLink>
          ),
          reason: (
            <>
              {message} ({sqlstate})
              <span className="block text-sm text-ink-soft">
                {formatDateTime(failedAt, 'UTC')}
                {retryAt !== null && `, again at ${formatDateTime(retryAt, 'UTC')}`}
              </span>
            </>
          ),
          attempts: formatCount(attempts),
        },
      }))}
    />
  );
}
