import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import { Card } from '../components/card.tsx';
import { DataTable } from '../components/data-table.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Money } from '../components/money.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { StatementDownloads } from '../components/statement-downloads.tsx';
import { TextLink } from '../components/text-link.tsx';
import { absoluteMicros, formatPeriod } from '../format.ts';
import { requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Statements');

export async function loader({ context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  return json({ statements: toWire(await context.services.statements.list(user.id)) });
}

export default function StatementsPage() {
  const { statements } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader title="Statements" lead="One for each closed month." />
      <Card>
        {statements.length === 0 ? (
          <EmptyState title="No statement yet">
            Each month is closed into one soon after it is over.
          </EmptyState>
        ) : (
          <DataTable
            caption="Statements"
            columns={[
              { key: 'month', title: 'Month' },
              { key: 'usage', title: 'Usage', numeric: true },
              { key: 'closing', title: 'Closing balance', numeric: true },
            ]}
            rows={statements.map((statement) => ({
              key: statement.number,
              cells: {
                month: (
                  <>
                    <TextLink to={`/account/statements/${statement.number}`}>
                      {formatPeriod(statement.period)}
                    </TextLink>
                    <span className="block text-sm font-normal whitespace-nowrap text-ink-soft">
                      No. {statement.number}
                    </span>
                    <div className="text-sm">
                      <StatementDownloads number={statement.number} period={statement.period} />
                    </div>
                  </>
                ),
                usage: (
                  <Money
                    micros={absoluteMicros(statement.usageMicros)}
                    currency={statement.currency}
                  />
                ),
                closing: (
                  <Money micros={statement.closingBalanceMicros} currency={statement.currency} />
                ),
              },
            }))}
          />
        )}
      </Card>
    </>
  );
}
