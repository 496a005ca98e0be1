/** One line of comma-separated values (RFC 4180), in fields and back. */

/** A field that is not quoted correctly; the message says which, never what it holds. */
export class CsvLineError extends Error {}

/**
 * The fields of one line: quoted with quotes doubled, or bare without quotes.
 * @throws CsvLineError
 */
export function splitCsvLine(text: string): string[] {
  const values: string[] = [];
  const field = /"((?:[^"]|"")*)"|([^",]*)/y;
  for (let at = 0; at <= text.length; at = field.lastIndex + 1) {
    field.lastIndex = at;
    const match = field.exec(text);
    const end = field.lastIndex;
    if (match === null || (end < text.length && text[end] !== ',')) {
      throw new CsvLineError(`field ${values.length + 1} is not quoted correctly`);
    }
    values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return values;
}

/** The line of some fields, without its break; only fields that need it are quoted. */
export function joinCsvLine(values: readonly string[]): string {
  return values
    .map((value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value))
    .join(',');
}
