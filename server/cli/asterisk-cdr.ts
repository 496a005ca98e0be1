/**
 * Reads the call records that Asterisk's `cdr_csv` module writes (`Master.csv`): no header, one
 * record a line, text fields quoted with quotes doubled, fields in this order:
 *
 *     accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp, lastdata, start, answer,
 *     end, duration, billsec, disposition, amaflags, uniqueid, userfield
 *
 * and, with `newcdrcolumns`, also peeraccount, linkedid, sequence. `uniqueid` and `userfield` are
 * written only where cdr.conf has `loguniqueid=yes` and `loguserfield=yes`; without them a record
 * cannot be told from another and is refused.
 */
import { createHash } from 'node:crypto';
import { CsvLineError, splitCsvLine } from '../rating/csv-line.ts';
import { isParty, maxUnitsOfType } from '../rating/usage.ts';
import { type Line, readLines } from './lines.ts';
import { type LocalTimeReader, localTimeReader } from './local-time.ts';

const fieldNames = [
  'accountcode',
  'src',
  'dst',
  'dcontext',
  'clid',
  'channel',
  'dstchannel',
  'lastapp',
  'lastdata',
  'start',
  'answer',
  'end',
  'duration',
  'billsec',
  'disposition',
  'amaflags',
  'uniqueid',
  'userfield',
] as const;
const newColumnNames = ['peeraccount', 'linkedid', 'sequence'] as const;

type FieldName = (typeof fieldNames)[number] | (typeof newColumnNames)[number];
type Fields = Readonly<Partial<Record<FieldName, string>>>;

/** Fields that may hold the user whom a call is charged to. */
export const userFields = [
  'accountcode',
  'src',
  'dst',
  'dcontext',
  'userfield',
  'peeraccount',
] as const;
export type UserField = (typeof userFields)[number];

/** Fields that may hold the name under which the switch authorized a call. */
export const referenceFields = ['uniqueid', 'linkedid', 'userfield'] as const;
export type ReferenceField = (typeof referenceFields)[number];

/** Asterisk's names of how a call ended (`ast_cdr_disp2str`). */
const dispositions = ['ANSWERED', 'NO ANSWER', 'BUSY', 'FAILED', 'CONGESTION', 'UNKNOWN'] as const;
export type Disposition = (typeof dispositions)[number];

/** No record of Asterisk comes near this; it bounds the memory that a broken file can take. */
const maxLineLength = 16_384;

export interface CallRecord {
  /** Names this leg for ever: see `referenceOf`; or what the `referenceField` option names. */
  readonly referenceId: string;
  readonly uniqueId: string;
  readonly accountcode: string;
  /** The caller as the switch writes it: not always a number, and empty when withheld. */
  readonly src: string;
  readonly dst: string;
  readonly startedAt: Date;
  readonly answeredAt: Date | undefined;
  readonly endedAt: Date | undefined;
  /** Seconds from start to end, ringing included. */
  readonly durationSeconds: number;
  /** Seconds from answer to end: what is charged. */
  readonly billsec: number;
  readonly disposition: Disposition;
  /** Whether there is anything to charge: the call was answered and lasted at least a second. */
  readonly billable: boolean;
  /** The value of the field that the `userField` option names. */
  readonly user: string | undefined;
}

export type CallRecordRow =
  | { readonly line: number; readonly ok: true; readonly record: CallRecord }
  /** What is wrong, by field name; never a value, because the fields hold telephone numbers. */
  | { readonly line: number; readonly ok: false; readonly error: string };

export interface AsteriskCdrOptions {
  /** IANA zone of the switch's clock; default UTC, as with `usegmtime=yes`. */
  readonly timezone?: string;
  /** The field that says whose call it is; a record to be charged must then have it. */
  readonly userField?: UserField;
  /** The field by which the switch authorized its calls; a record to be charged must then have it. */
  readonly referenceField?: ReferenceField;
}

/**
 * Reads call records one by one, in the order of the file. A row that cannot be read gives an error
 * with its line number and the rest goes on; blank lines are passed over. A line is always one
 * record, as Asterisk writes it, so that an unclosed quote spoils no other row.
 *
 * @throws RangeError for a time zone that the runtime does not know, before anything is read.
 */
export function parseAsteriskCdr(
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  options: AsteriskCdrOptions = {},
): AsyncGenerator<CallRecordRow> {
  return readRows(source, localTimeReader(options.timezone ?? 'UTC'), options);
}

async function* readRows(
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  readTime: LocalTimeReader,
  fields: NamedFields,
): AsyncGenerator<CallRecordRow> {
  for await (const line of readLines(source, maxLineLength)) {
    if (line.text?.trim() !== '') {
      yield readRow(line, readTime, fields);
    }
  }
}

type NamedFields = Pick<AsteriskCdrOptions, 'userField' | 'referenceField'>;

/** What is wrong with a row; caught where the row is turned into its result. */
class RowError extends Error {}

function readRow(line: Line, readTime: LocalTimeReader, fields: NamedFields): CallRecordRow {
  try {
    if (line.text === undefined) {
      throw new RowError(`the line is longer than ${maxLineLength} characters`);
    }
    const record = readRecord(nameFields(splitCsvLine(line.text)), readTime, fields);
    return { line: line.number, ok: true, record };
  } catch (error) {
    if (error instanceof RowError || error instanceof CsvLineError) {
      return { line: line.number, ok: false, error: error.message };
    }
    throw error;
  }
}

function nameFields(values: readonly string[]): Fields {
  const names: readonly FieldName[] = [...fieldNames, ...newColumnNames];
  if (values.length !== fieldNames.length && values.length !== names.length) {
    throw new RowError(
      `${values.length} fields instead of ${fieldNames.length}: ` +
        'cdr.conf needs loguniqueid=yes and loguserfield=yes',
    );
  }
  return Object.fromEntries(values.map((value, index) => [names[index], value]));
}

function readRecord(
  fields: Fields,
  readTime: LocalTimeReader,
  { userField, referenceField }: NamedFields,
): CallRecord {
  const { accountcode = '', src = '', dst = '', uniqueid = '' } = fields;
  const disposition = dispositions.find((known) => known === fields.disposition);
  if (disposition === undefined) {
    throw new RowError(`disposition is none of ${dispositions.join(', ')}`);
  }
  const billsec = readSeconds(fields, 'billsec');
  const record: CallRecord = {
    referenceId:
      referenceField === undefined ? referenceOf(fields) : (fields[referenceField] ?? ''),
    uniqueId: uniqueid,
    accountcode,
    src,
    dst,
    startedAt: readRequiredTime(fields, 'start', readTime),
    answeredAt: readOptionalTime(fields, 'answer', readTime),
    endedAt: readOptionalTime(fields, 'end', readTime),
    durationSeconds: readSeconds(fields, 'duration'),
    billsec,
    disposition,
    billable: disposition === 'ANSWERED' && billsec > 0,
    user: userField === undefined ? undefined : fields[userField],
  };
  if (uniqueid === '') {
    throw new RowError('uniqueid is empty');
  }
  if (src !== '' && !isParty(src)) {
    throw new RowError('src is longer than 64 characters or has control characters');
  }
  if (record.billable && !isParty(dst)) {
    throw new RowError('dst is empty, longer than 64 characters or has control characters');
  }
  if (record.billable && userField !== undefined && (record.user ?? '').trim() === '') {
    throw new RowError(`${userField} is empty: it should name the user`);
  }
  if (record.billable && record.referenceId.trim() === '') {
    throw new RowError(`${referenceField} is empty: it should name the call`);
  }
  return record;
}

function readSeconds(fields: Fields, name: 'duration' | 'billsec'): number {
  const text = fields[name] ?? '';
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= maxUnitsOfType.call)) {
    throw new RowError(`${name} is not a whole number of seconds from 0 to ${maxUnitsOfType.call}`);
  }
  return seconds;
}

function readRequiredTime(fields: Fields, name: 'start', readTime: LocalTimeReader): Date {
  const time = readOptionalTime(fields, name, readTime);
  if (time === undefined) {
    throw new RowError(`${name} is empty`);
  }
  return time;
}

function readOptionalTime(
  fields: Fields,
  name: 'start' | 'answer' | 'end',
  readTime: LocalTimeReader,
): Date | undefined {
  const text = fields[name] ?? '';
  if (text === '') {
    return undefined;
  }
  const time = readTime(text);
  if (time === undefined) {
    throw new RowError(`${name} is not a time like 2031-01-31 23:59:59`);
  }
  return time;
}

/**
 * The reference a leg is charged under: stable over runs, files and time zone options, different
 * for every leg, and without the telephone numbers, which a reference would carry into logs.
 *
 * `uniqueid` alone will not do: it names the caller's channel, and the legs of one call (rung in
 * turn, or first unanswered and then answered) share it. What sets legs apart is both ends, both
 * channels, the result, and when it started and was answered; of these the hash is made. Position in
 * the file is left out, since files are rotated, cut and joined. Durations are left out too: a
 * record that comes again with other seconds is then refused as the same key with another request,
 * where otherwise it would be charged twice.
 *
 * Two rows that agree in all of these are one leg written twice, because one channel can be answered
 * by one other channel only once in a second: they share a reference and are charged once.
 */
function referenceOf(fields: Fields): string {
  const identity = [
    fields.uniqueid,
    fields.sequence,
    fields.src,
    fields.dst,
    fields.channel,
    fields.dstchannel,
    fields.start,
    fields.answer,
    fields.disposition,
  ].map((value) => value ?? '');
  const digest = createHash('sha256').update(JSON.stringify(identity)).digest('hex');
  return `asterisk-${digest.slice(0, 32)}`;
}
