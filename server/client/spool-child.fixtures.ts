/**
 * A service with a spool, in a process of its own that tests kill:
 * `SPOOL_CHILD='{…}' node --import tsx spool-child.fixtures.ts`. It prints the reference of each
 * charge that was acknowledged, and how.
 */
import { createBillingClient, createChargeSpool } from './client.ts';

export interface ChildOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly file: string;
  readonly userId: string;
  /** How many charges it makes. */
  readonly charges: number;
  /** When it kills itself, as `kill -9` does; else when nothing waits any more. */
  readonly die: 'after-charges' | 'before-replay' | 'after-replay' | 'never';
}

const options: ChildOptions = JSON.parse(process.env.SPOOL_CHILD ?? '{}');
const { url, apiKey, file, userId, charges, die } = options;

const client = createBillingClient({
  url,
  apiKey,
  async fetch(input, init) {
    const isReplay = String(input).includes('chargeBatch');
    if (isReplay && die === 'before-replay') {
      process.kill(process.pid, 'SIGKILL');
    }
    const response = await fetch(input, init);
    if (isReplay && die === 'after-replay') {
      await response.text();
      process.kill(process.pid, 'SIGKILL');
    }
    return response;
  },
});
const spool = await createChargeSpool(client, { file, timeoutMs: 500 });

for (let index = 0; index < charges; index += 1) {
  const referenceId = `${process.pid}-${index}`;
  const occurredAt = new Date().toISOString();
  const usage = { type: 'email' } as const;
  const said = await spool.charge({ userId, usage, referenceId, occurredAt }, { maxTries: 1 }).then(
    (answer) => (answer.spooled ? 'spooled' : 'charged'),
    (error) => error.code,
  );
  process.stdout.write(`${referenceId} ${said}\n`);
}
if (die === 'after-charges') {
  process.kill(process.pid, 'SIGKILL');
}
if (die === 'never') {
  await spool.close();
} else {
  await spool.drained();
}
