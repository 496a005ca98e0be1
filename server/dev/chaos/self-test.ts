/**
 * A check that cannot fail proves nothing: here the journal and then the ledger of a played chapter
 * are put wrong on purpose, each in its own way, and every wrong must be found.
 */
import type { Sql } from '../../store/sql.ts';
import { check, type Problem } from './check.ts';
import { type JournalEntry, readJournal } from './journal.ts';
import { readWallets, verifyAll, type WalletsLedger } from './ledger-of-wallets.ts';

interface Doctored {
  readonly title: string;
  readonly expected: Problem;
  readonly journal: readonly JournalEntry[];
  readonly ledger: WalletsLedger;
}

/** Doctors copies, then the database itself, which must not be used for anything else after. */
export async function selfTest(
  sql: Sql,
  { prefix, journalPath }: { readonly prefix: string; readonly journalPath: string },
): Promise<{ notes: string[]; failures: string[] }> {
  const notes: string[] = [];
  const failures: string[] = [];
  const journal = readJournal(journalPath);
  const ledger = await readWallets(sql, prefix);
  const before = check(journal, ledger, { everyHoldIsOver: true });
  for (const { title, expected, ...doctored } of doctor(journal, ledger)) {
    const found = check(doctored.journal, doctored.ledger, { everyHoldIsOver: true });
    const isFound =
      found.length > before.length && found.some(({ problem }) => problem === expected);
    (isFound ? notes : failures).push(`${title}: ${isFound ? expected : 'not found'}`);
  }
  for (const { title, problem } of await doctorDatabase(sql, prefix, journal)) {
    (problem === null ? failures : notes).push(`${title}: ${problem ?? 'not found'}`);
  }
  return { notes, failures };
}

/** Copies of the journal and the ledger, each with one thing wrong. */
export function doctor(journal: readonly JournalEntry[], ledger: WalletsLedger): Doctored[] {
  // Of a wallet that was topped up, for the journal is to forget a top-up of it.
  const charge = pick(
    journal,
    ({ write, answer }) =>
      write.kind === 'charge' && answer?.ok === true && write.userId.endsWith(':hot'),
  );
  const captured = pick(
    journal,
    ({ write, answer }) => write.kind === 'capture' && answer?.ok === true,
  );
  const event = pick(
    ledger.events,
    ({ userId, key }) => userId === charge.write.userId && key === charge.write.key,
  );
  const withEntry = (entry: JournalEntry) =>
    journal.map((other) => (other.write.id === entry.write.id ? entry : other));
  const withEvents = (events: WalletsLedger['events']) => ({ ...ledger, events });
  const dearer = (amountMicros: string) => String(BigInt(amountMicros) + 1n);
  return [
    {
      title: 'an acknowledged charge is gone from the ledger',
      expected: 'LOST',
      journal,
      ledger: withEvents(ledger.events.filter((other) => other !== event)),
    },
    {
      title: 'a charge has two events',
      expected: 'DOUBLED',
      journal,
      ledger: withEvents([...ledger.events, event]),
    },
    {
      title: 'a charge stands under a second key',
      expected: 'DOUBLED',
      journal,
      ledger: withEvents([...ledger.events, { ...event, key: 'another' }]),
    },
    {
      title: 'a charge moved another amount',
      expected: 'WRONG_AMOUNT',
      journal,
      ledger: withEvents(
        ledger.events.map((other) =>
          other === event ? { ...event, balanceDeltaMicros: event.balanceDeltaMicros - 1n } : other,
        ),
      ),
    },
    {
      title: 'a caller was told another amount',
      expected: 'WRONG_AMOUNT',
      journal: withEntry({
        ...charge,
        answer: { ok: true, amountMicros: dearer(charge.write.amountMicros) },
      }),
      ledger,
    },
    {
      title: 'a caller was told another place in the ledger',
      expected: 'WRONG_SEQ',
      journal: withEntry({ ...charge, answer: { ok: true, seq: String(event.seq + 1n) } }),
      ledger,
    },
    {
      title: 'a refused charge was posted',
      expected: 'REFUSED_BUT_POSTED',
      journal: withEntry({ ...charge, answer: { ok: false, code: 'INSUFFICIENT_FUNDS' } }),
      ledger,
    },
    {
      title: 'a wallet was said not to exist',
      expected: 'WRONG_REFUSAL',
      journal: withEntry({ ...charge, answer: { ok: false, code: 'WALLET_NOT_FOUND' } }),
      ledger,
    },
    {
      title: 'a charge was never answered',
      expected: 'UNRESOLVED',
      journal: withEntry({ write: charge.write, unanswered: {} }),
      ledger,
    },
    {
      title: 'nobody asked for a charge',
      expected: 'NOT_ASKED_FOR',
      journal: journal.filter((other) => other !== charge),
      ledger,
    },
    {
      title: 'a wallet was overdrawn',
      expected: 'OVERSPENT',
      journal,
      ledger: withEvents(
        ledger.events.map((other) =>
          other === event ? { ...event, balanceMicros: event.heldMicros - 1n } : other,
        ),
      ),
    },
    {
      title: 'a delivered minute was not billed',
      expected: 'WRONG_BILL',
      journal: withEntry({
        ...captured,
        write: { ...captured.write, amountMicros: dearer(captured.write.amountMicros) },
      }),
      ledger,
    },
    {
      title: 'a wallet does not end where its answers do',
      expected: 'WRONG_SUM',
      journal: journal.filter(
        ({ write }) => !(write.kind === 'top_up' && write.userId === charge.write.userId),
      ),
      ledger,
    },
  ];
}

/**
 * Takes an acknowledged charge out of the ledger, books another once more under a second key, and
 * changes the amount of a third: as the owner, with every guard switched off.
 */
async function doctorDatabase(
  sql: Sql,
  prefix: string,
  journal: readonly JournalEntry[],
): Promise<{ title: string; problem: string | null }[]> {
  const charges = journal.filter(
    ({ write, answer }) => write.kind === 'charge' && answer?.ok && write.userId.endsWith(':hot'),
  );
  const [lost, doubled, wrong] = charges.map(({ write }) => write);
  if (lost === undefined || doubled === undefined || wrong === undefined) {
    throw new Error('the chapter charged too little to be put wrong');
  }
  await sql.unsafe(`
    set session_replication_role = replica;
    delete from wallet_events where key = '${lost.key}';
    update wallet_events set balance_delta_micros = balance_delta_micros - 1
      where key = '${wrong.key}';
    insert into wallet_events (wallet_id, seq, type, balance_delta_micros, held_delta_micros,
        arrears_delta_micros, balance_micros, held_micros, arrears_micros, overdraft_limit_micros,
        key, request_hash, actor, occurred_at, recorded_at, detail, hash)
      select e.wallet_id, w.seq + 1, e.type, e.balance_delta_micros, 0, 0,
        w.balance_micros + e.balance_delta_micros, w.held_micros, w.arrears_micros,
        w.overdraft_limit_micros, gen_random_uuid(), e.request_hash, e.actor, e.occurred_at,
        e.recorded_at, e.detail, e.hash
      from wallet_events e join wallets w on w.id = e.wallet_id where e.key = '${doubled.key}';
    set session_replication_role = origin`);
  const findings = check(journal, await readWallets(sql, prefix), { everyHoldIsOver: true });
  const found = (problem: Problem, reference: string) =>
    findings.some(({ what, ...other }) => other.problem === problem && what.includes(reference))
      ? problem
      : null;
  const { ok, text } = await verifyAll(sql);
  return [
    { title: 'in the database, a charge deleted', problem: found('LOST', lost.reference) },
    { title: 'in the database, a charge doubled', problem: found('DOUBLED', doubled.reference) },
    {
      title: 'in the database, an amount changed',
      problem: found('WRONG_AMOUNT', wrong.reference),
    },
    { title: 'all of that, by ledger -- verify', problem: ok ? null : lastLine(text) },
  ];
}

function pick<T>(items: readonly T[], fits: (item: T) => boolean): T {
  const found = items.find(fits);
  if (found === undefined) {
    throw new Error('the chapter did too little to be put wrong');
  }
  return found;
}

function lastLine(text: string): string {
  return text.slice(text.lastIndexOf('\n') + 1);
}
