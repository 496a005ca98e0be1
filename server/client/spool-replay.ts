/** Sending what was spooled: in order, each line with its own key, and what becomes of each. */
import type { CallOptions } from './calls.ts';
import { BillingError } from './errors.ts';
import type { CaptureInput, ChargeInput, Procedures, VoidInput } from './procedures.ts';
import { describeRefusal, type Refusal } from './refusals.ts';

/** A write that may wait. Its input holds its key, so it is done once, however often it is sent. */
export type SpoolEntry =
  | { readonly kind: 'charge'; readonly input: ChargeInput }
  | { readonly kind: 'capture'; readonly input: CaptureInput }
  | { readonly kind: 'void'; readonly input: VoidInput };

/** What the service did not take. It stands in the file `….rejected` too. */
export interface Rejected {
  /** The write as it was spooled; null for a line that cannot be read. */
  readonly entry: SpoolEntry | null;
  /** A refusal's code, `BAD_REQUEST`, `INTERNAL_SERVER_ERROR`, or `UNREADABLE_LINE`. */
  readonly code: string;
  /** What is wrong, for people. */
  readonly message: string;
}

/** What became of a line: settled, or to be sent another time. */
export type Verdict =
  | { readonly settled: true; readonly rejected: Rejected | null }
  | {
      readonly settled: false;
      readonly error: BillingError;
      /** Whether other lines were settled beside it, so that the service as such works. */
      readonly othersSettled: boolean;
    };

export type Writes = Pick<Procedures, 'usage' | 'holds'>;

/** Sends one write and returns the service's answer. */
export function sendEntry(writes: Writes, entry: SpoolEntry, options: CallOptions) {
  switch (entry.kind) {
    case 'charge':
      return writes.usage.charge.mutate(entry.input, options);
    case 'capture':
      return writes.holds.capture.mutate(entry.input, options);
    case 'void':
      return writes.holds.void.mutate(entry.input, options);
    default: {
      const unknown: never = entry;
      throw new TypeError(`unknown kind ${unknown}`);
    }
  }
}

/** The entry of a line; null for what is none. */
function parseEntry(line: string): SpoolEntry | null {
  try {
    const { kind, input } = JSON.parse(line);
    const known = kind === 'charge' || kind === 'capture' || kind === 'void';
    return known && typeof input === 'object' && input !== null ? { kind, input } : null;
  } catch {
    return null;
  }
}

/**
 * Sends lines in order, charges together, until one has to wait; the answer is then shorter than
 * the lines. Throws what is no `BillingError`.
 */
export async function sendLines(
  writes: Writes,
  lines: readonly string[],
  options: CallOptions,
): Promise<Verdict[]> {
  const entries = lines.map(parseEntry);
  const verdicts: Verdict[] = [];
  while (verdicts.length < entries.length) {
    const rest = entries.slice(verdicts.length);
    const kind = rest[0]?.kind;
    const end = rest.findIndex((entry) => entry?.kind !== kind);
    const run = end < 0 ? rest : rest.slice(0, end);
    const answers = await sendRun(writes, run, options);
    const waits = answers.findIndex(({ settled }) => !settled);
    const waiting = answers[waits];
    if (waiting !== undefined) {
      const othersSettled = answers.some(({ settled }) => settled);
      return [...verdicts, ...answers.slice(0, waits), { ...waiting, othersSettled } as Verdict];
    }
    verdicts.push(...answers);
  }
  return verdicts;
}

/** Sends entries of one kind. The answer is shorter than they are when one has to wait. */
async function sendRun(
  writes: Writes,
  entries: readonly (SpoolEntry | null)[],
  options: CallOptions,
): Promise<Verdict[]> {
  const verdicts = await sendTogether(writes, entries, options);
  if (entries.length === 1 || !verdicts.some(isTooLarge)) {
    return verdicts;
  }
  // Their request was too large, which need not be true of any of them.
  const half = Math.ceil(entries.length / 2);
  const first = await sendRun(writes, entries.slice(0, half), options);
  return first.every(({ settled }) => settled)
    ? [...first, ...(await sendRun(writes, entries.slice(half), options))]
    : first;
}

function isTooLarge(verdict: Verdict): boolean {
  return verdict.settled && verdict.rejected?.code === 'PAYLOAD_TOO_LARGE';
}

function sendTogether(
  writes: Writes,
  entries: readonly (SpoolEntry | null)[],
  options: CallOptions,
): Promise<Verdict[]> {
  const charges = entries.filter((entry) => entry?.kind === 'charge');
  return charges.length > 1
    ? sendCharges(writes, charges, options)
    : // Made in one tick, these share a request.
      Promise.all(entries.map((entry) => sendOne(writes, entry, options)));
}

async function sendCharges(
  writes: Writes,
  charges: readonly Extract<SpoolEntry, { kind: 'charge' }>[],
  options: CallOptions,
): Promise<Verdict[]> {
  try {
    const items = charges.map(({ input }) => input);
    const answers = await writes.usage.chargeBatch.mutate({ items }, options);
    if (answers.length !== charges.length) {
      throw new TypeError('the service answered another number of charges than it was sent');
    }
    return charges.map((entry, index) => verdictOf(entry, answers[index] as Answered));
  } catch (error) {
    const failure = billingErrorOf(error);
    if (failure.code === 'PAYLOAD_TOO_LARGE') {
      return charges.map((entry) => verdictOfFailure(entry, failure));
    }
    // A malformed charge fails its batch as a whole, and only alone is it found.
    return PER_LINE.has(failure.code)
      ? Promise.all(charges.map((entry) => sendOne(writes, entry, options)))
      : [verdictOfFailure(null, failure)];
  }
}

/** Errors that may be about a single line, and not about the service or the key. */
const PER_LINE: ReadonlySet<string> = new Set(['BAD_REQUEST', 'INTERNAL_SERVER_ERROR']);

async function sendOne(
  writes: Writes,
  entry: SpoolEntry | null,
  options: CallOptions,
): Promise<Verdict> {
  if (entry === null) {
    const message = 'the line is damaged, and was not sent';
    return { settled: true, rejected: { entry, code: 'UNREADABLE_LINE', message } };
  }
  try {
    return verdictOf(entry, await sendEntry(writes, entry, options));
  } catch (error) {
    return verdictOfFailure(entry, billingErrorOf(error));
  }
}

function verdictOfFailure(entry: SpoolEntry | null, error: BillingError): Verdict {
  const { code, message } = error;
  return code === 'BAD_REQUEST' || code === 'PAYLOAD_TOO_LARGE'
    ? { settled: true, rejected: { entry, code, message } }
    : { settled: false, error, othersSettled: false };
}

type Answered = { ok: true } | Refusal;

function verdictOf(entry: SpoolEntry, answer: Answered): Verdict {
  if (answer.ok) {
    return { settled: true, rejected: null };
  }
  const { code } = answer;
  return { settled: true, rejected: { entry, code, message: describeRefusal(answer) } };
}

function billingErrorOf(error: unknown): BillingError {
  if (error instanceof BillingError) {
    return error;
  }
  throw error;
}
