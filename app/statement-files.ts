/** The files that a statement can be downloaded as. */

export interface StatementFile {
  href: string;
  /** `CSV` beside a statement's name. */
  name: string;
  /** What is in it. */
  title: string;
}

/** Whether a text can be the number of a statement. */
export function isStatementNumber(text: string): boolean {
  return /^[\w-]{1,40}$/.test(text);
}

/** The files of the statement of that number. */
export function statementFiles(number: string): StatementFile[] {
  const file = (name: string, title: string, path: string) => ({
    href: `/account/statements/${number}/${path}`,
    name,
    title,
  });
  return [
    file('PDF', 'The statement as a document', 'statement.pdf'),
    file('CSV', 'The figures, for a spreadsheet', 'statement.csv'),
    file('Entries', 'Every entry of the month with its fingerprint, as CSV', 'events.csv'),
  ];
}
