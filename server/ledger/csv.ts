/**
 * Files of CSV for spreadsheets, written so that nothing in them becomes a formula there.
 * @see https://owasp.org/www-community/attacks/CSV_Injection
 */
import { CsvLineError, joinCsvLine, splitCsvLine } from '../rating/csv-line.ts';

type CsvValue = string | bigint | number | null;

/** One record with its line break. Texts that a spreadsheet would calculate are made plain. */
export function csvLine(values: readonly CsvValue[]): string {
  return `${joinCsvLine(values.map((value) => (value === null ? '' : guarded(String(value)))))}\r\n`;
}

/** The text that {@link csvLine} was given for a field. */
export function unguarded(field: string): string {
  return field.startsWith("'") ? field.slice(1) : field;
}

const number = /^-?\d+(?:\.\d+)?$/;

/**
 * Spreadsheets calculate what begins with one of these signs; an apostrophe before it makes it
 * text. A negative number is no formula, and has to stay a number.
 */
function guarded(text: string): string {
  return /^[=+\-@\t\r\n']/.test(text) && !number.test(text) ? `'${text}` : text;
}

/** A record of a file, with the number of the line on which it begins, counted from 1. */
export interface CsvRecord {
  readonly line: number;
  /** Null when the record is not quoted correctly. */
  readonly fields: readonly string[] | null;
}

/** No record of ours comes near this; it bounds the memory that an unclosed quote can take. */
const maxRecordLength = 4_000_000;

/**
 * Splits text, cut anywhere, into records at CRLF or LF, in bounded memory. A byte order mark at the
 * beginning and empty lines are passed over. A record that is too long is the last one.
 */
export async function* csvRecords(
  chunks: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<CsvRecord> {
  let pending = '';
  let line = 1;
  let isFirst = true;
  for await (const chunk of chunks) {
    pending += isFirst ? chunk.replace(/^\uFEFF/, '') : chunk;
    isFirst = false;
    let start = 0;
    for (let end = recordEnd(pending, start); end !== -1; end = recordEnd(pending, start)) {
      const text = pending.slice(start, end);
      if (text !== '' && text !== '\r') {
        yield recordOf(line, text);
      }
      line += text.split('\n').length;
      start = end + 1;
    }
    pending = pending.slice(start);
    if (pending.length > maxRecordLength) {
      yield { line, fields: null };
      return;
    }
  }
  if (pending !== '') {
    yield recordOf(line, pending);
  }
}

function recordOf(line: number, text: string): CsvRecord {
  try {
    return { line, fields: splitCsvLine(text.endsWith('\r') ? text.slice(0, -1) : text) };
  } catch (error) {
    if (error instanceof CsvLineError) {
      return { line, fields: null };
    }
    throw error;
  }
}

/** Where the record that begins at `start` has its line feed; -1 when it is not there yet. */
function recordEnd(text: string, start: number): number {
  const mark = /["\n]/g;
  mark.lastIndex = start;
  let quoted = false;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    if (match[0] === '"') {
      quoted = !quoted;
    } else if (!quoted) {
      return match.index;
    }
  }
  return -1;
}
