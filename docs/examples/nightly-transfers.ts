/**
 * A cron job: charges yesterday's file transfers. Run it twice, or again after a crash: what is
 * charged is answered as it was, and charged no second time.
 *
 *     WALLET_API_KEY=sk_… node --import tsx docs/examples/nightly-transfers.ts
 */
import { createBillingClient, describeRefusal, keyOf } from 'prepaid-wallet/client';
import { apiKey, url, userId } from './settings.ts';

const ITEMS_A_CALL = 500;

interface Transfer {
  readonly id: number;
  readonly userId: string;
  readonly bytes: number;
  readonly endedAt: Date;
}

/** Stands for your own table. */
function transfersOf(day: Date): Transfer[] {
  return Array.from({ length: 20 }, (_, index) => ({
    id: 1_000 + index,
    userId,
    bytes: 4_096 * (index + 1),
    endedAt: new Date(day.getTime() + index * 60_000),
  }));
}

const day = new Date();
day.setUTCHours(0, 0, 0, 0);
day.setUTCDate(day.getUTCDate() - 1);
const transfers = transfersOf(day);

// A night job may wait: it is not a caller on the line.
const billing = createBillingClient({ url, apiKey, timeoutMs: 300_000, maxTries: 20 });
const sums = { charged: 0, replayed: 0, refused: 0 };
let chargedMicros = 0n;

for (let start = 0; start < transfers.length; start += ITEMS_A_CALL) {
  const items = transfers.slice(start, start + ITEMS_A_CALL);
  const answers = await billing.usage.chargeBatch.mutate({
    items: items.map((transfer) => ({
      userId: transfer.userId,
      usage: { type: 'file_transfer', bytes: transfer.bytes },
      // The key says what is charged, so every run of any day makes the same one. One of
      // `makeKey()` would charge again with each run.
      referenceId: keyOf('transfer', day.toISOString().slice(0, 10), transfer.id),
      occurredAt: transfer.endedAt.toISOString(),
      // It has happened: what the wallet lacks becomes arrears.
      overrun: 'arrears',
    })),
  });
  for (const [index, answer] of answers.entries()) {
    if (!answer.ok) {
      sums.refused += 1;
      console.error(`transfer ${items[index]?.id}: ${describeRefusal(answer)}`);
    } else if (answer.replayed) {
      sums.replayed += 1;
    } else {
      sums.charged += 1;
      chargedMicros += BigInt(answer.amountMicros);
    }
  }
}

console.log(
  `${sums.charged} charged (${chargedMicros} micros), ${sums.replayed} by an earlier run, ` +
    `${sums.refused} refused`,
);
process.exitCode = sums.refused > 0 ? 1 : 0;
