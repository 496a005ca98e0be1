/** What `npm run ledger -- verify` and `rebuild` take, by running them. */
import { z } from 'zod';
import { runLedger } from '../../cli/ledger.ts';

export interface LedgerCheck {
  readonly events: number;
  readonly seconds: number;
  readonly perSecond: number;
}

const REPORT = z.object({ events: z.number(), found: z.number(), durationMs: z.number() });

/**
 * Runs the command on a database.
 * @throws Error with what it printed when it finds a difference
 */
export async function ledgerCheck(
  command: 'verify' | 'rebuild',
  databaseUrl: string,
): Promise<LedgerCheck> {
  let printed = '';
  const write = (text: string) => {
    printed += text;
  };
  const exitCode = await runLedger(
    [command, '--json'],
    { DATABASE_URL: databaseUrl },
    { out: write, err: write },
  );
  if (exitCode !== 0) {
    throw new Error(`ledger ${command} found differences:\n${printed.slice(0, 2_000)}`);
  }
  const { events, found, durationMs } = REPORT.parse(JSON.parse(printed));
  if (found !== 0) {
    throw new Error(`ledger ${command} found ${found} differences`);
  }
  const seconds = durationMs / 1000;
  return { events, seconds, perSecond: events / seconds };
}
