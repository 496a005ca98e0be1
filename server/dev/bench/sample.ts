/** One real charge of an SMS, so that whatever is made without the API has its size and content. */
import type { Sql } from '../../store/sql.ts';
import { type HttpTarget, openConnection } from './http-connection.ts';
import type { BenchWallet } from './wallets.ts';

export interface ChargeSample {
  readonly amountMicros: bigint;
  readonly requestHash: Buffer;
  readonly actor: string;
  /** The JSON that the ledger keeps, with the price's breakdown. */
  readonly detailText: string;
}

/** Charges one SMS through the API and reads what the ledger kept of it. */
export async function takeSample(
  sql: Sql,
  target: HttpTarget,
  { userId, walletId }: BenchWallet,
): Promise<ChargeSample> {
  const connection = await openConnection(target);
  const usage = { type: 'sms', to: '+14155550132' };
  const answer = await connection.post(
    '/trpc/usage.charge',
    JSON.stringify({ userId, usage, referenceId: '01234567-89ab-4cde-8f01-23456789abcd' }),
  );
  connection.close();
  const [sample] = await sql<ChargeSample[]>`
    select -balance_delta_micros as "amountMicros", request_hash as "requestHash", actor,
      detail::text as "detailText"
    from wallet_events where wallet_id = ${walletId} and type = 'charge'
    order by seq desc limit 1`;
  if (sample === undefined) {
    throw new Error(`the sample was not charged: ${answer.slice(0, 300)}`);
  }
  return sample;
}
