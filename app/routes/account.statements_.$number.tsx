import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { type MetaFunction, useLoaderData } from '@remix-run/react';
import { Card } from '../components/card.tsx';
import { DefinitionList } from '../components/definition-list.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { FeeTable } from '../components/fee-table.tsx';
import { Money } from '../components/money.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { PrintButton } from '../components/print-button.tsx';
import { DescribedStatementDownloads } from '../components/statement-downloads.tsx';
import { TextLink } from '../components/text-link.tsx';
import { UsageTable } from '../components/usage-table.tsx';
import { formatDate, formatDateTime, formatLastDate, formatPeriod } from '../format.ts';
import { notFound, requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { isStatementNumber } from '../statement-files.ts';
import { toWire } from '../wire.ts';

export const meta: MetaFunction<typeof loader> = (args) =>
  pageTitle(args.data ? `Statement ${args.data.statement.number}` : 'Statement')(args);

export async function loader({ params, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const number = params.number ?? '';
  if (!isStatementNumber(number)) throw notFound();
  const statement = await context.services.statements.get(user.id, number);
  if (statement === null) throw notFound();
  const fees = await context.services.statements.fees(statement);
  return json({ statement: toWire(statement), fees: toWire(fees), email: user.email });
}

export default function StatementPage() {
  const { statement, fees, email } = useLoaderData<typeof loader>();
  const { currency, period, number, timezone } = statement;
  const money = (micros: string) => <Money micros={micros} currency={currency} />;
  const moved = (micros: string) => <Money micros={micros} currency={currency} signed />;
  const span = `${formatDate(statement.startsAt, timezone)} to ${formatLastDate(statement.endsAt, timezone)}`;
  return (
    <>
      <p className="mb-3 print:hidden">
        <TextLink to="/account/statements">All statements</TextLink>
      </p>
      <PageHeader
        title={`Statement for ${formatPeriod(period)}`}
        lead={`No. ${number}, for ${email}`}
        action={<PrintButton />}
      />
      <div className="grid gap-5">
        <Card title="Summary">
          <DefinitionList
            items={[
              { label: 'Period', value: `${span} (${timezone})` },
              { label: 'Opening balance', value: money(statement.openingBalanceMicros) },
              { label: 'Top-ups', value: moved(statement.topUpsMicros) },
              { label: 'Promotional credit', value: moved(statement.grantsMicros) },
              { label: 'Usage', value: moved(statement.usageMicros) },
              { label: 'Fees', value: moved(statement.feesMicros) },
              { label: 'Refunds', value: moved(statement.refundsMicros) },
              { label: 'Other', value: moved(statement.otherMicros) },
              { label: 'Closing balance', value: money(statement.closingBalanceMicros) },
              ...(statement.arrearsMicros === '0'
                ? []
                : [{ label: 'Owed at the end', value: money(statement.arrearsMicros) }]),
            ]}
          />
        </Card>
        <Card title="Usage by type">
          {statement.lines.length === 0 ? (
            <EmptyState title="Nothing was used in this month" />
          ) : (
            <UsageTable caption="Usage by type" lines={statement.lines} currency={currency} />
          )}
        </Card>
        {statement.accruedLines.length > 0 && (
          <Card title="Used in this month, deducted in the next">
            <UsageTable
              caption="Used in this month, deducted in the next"
              lines={statement.accruedLines}
              currency={currency}
            />
            <p className="mt-3 font-medium">Together {money(statement.accruedMicros)}</p>
          </Card>
        )}
        {statement.lateLines !== null && statement.lateLines.length > 0 && (
          <Card title="Used in earlier months">
            <UsageTable
              caption="Used in earlier months"
              lines={statement.lateLines}
              currency={currency}
            />
            <p className="mt-3 text-ink-soft">
              Part of the usage above. It was reported after its own month was over.
            </p>
          </Card>
        )}
        {fees.length > 0 && (
          <Card title="Fees">
            <FeeTable fees={fees} currency={currency} timezone={timezone} />
          </Card>
        )}
        <Card title="Downloads" className="print:hidden">
          <DescribedStatementDownloads number={number} />
        </Card>
        <Card title="Proof">
          <p className="text-ink-soft">
            Every entry of your wallet carries a fingerprint that includes the one before it. This
            is the last one of the period: were any entry changed later, it would no longer match.
          </p>
          <p className="mt-3 font-mono text-sm break-all">{statement.headHash}</p>
          <p className="mt-3 text-sm text-ink-soft">
            Entries {statement.fromSeq} to {statement.toSeq}, closed{' '}
            <time dateTime={statement.closedAt}>
              {formatDateTime(statement.closedAt, timezone)}
            </time>
          </p>
        </Card>
      </div>
    </>
  );
}
