import { formatPeriod } from '../format.ts';
import { statementFiles } from '../statement-files.ts';

interface StatementDownloadsProps {
  number: string;
  period: string;
}

const link = 'font-medium text-accent underline underline-offset-2 hover:text-accent-strong';

/** A statement's files, one beside the other. */
export function StatementDownloads({ number, period }: StatementDownloadsProps) {
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1">
      {statementFiles(number).map(({ href, name }) => (
        <li key={name}>
          <a href={href} download className={`inline-block py-1 ${link}`}>
            {name}
            <span className="sr-only">, statement for {formatPeriod(period)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

/** The same, with what is in each. */
export function DescribedStatementDownloads({ number }: { number: string }) {
  return (
    <ul className="divide-y divide-line">
      {statementFiles(number).map(({ href, name, title }) => (
        <li key={name} className="flex flex-wrap items-baseline gap-x-4 py-2.5">
          <a href={href} download className={`w-16 ${link}`}>
            {name}
          </a>
          <span className="text-ink-soft">{title}</span>
        </li>
      ))}
    </ul>
  );
}
