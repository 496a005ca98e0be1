/**
 * A telephone switch: a call begins only when it is funded, runs as long as it is, and is charged
 * by its final seconds, through an outage of the billing service too.
 *
 *     WALLET_API_KEY=sk_… node --import tsx docs/examples/telephone-switch.ts
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BillingError,
  createBillingClient,
  createChargeSpool,
  describeRefusal,
  makeKey,
} from 'prepaid-wallet/client';
import { apiKey, url, userId } from './settings.ts';

/** Real switches say a minute; the example is in a hurry. */
const HEARTBEAT_SECONDS = 2;

const billing = createBillingClient({ url, apiKey });
const spool = await createChargeSpool(billing, {
  file: '.data/spool/calls',
  onRejected: ({ code, message }) => console.error(`refused later: ${code}: ${message}`),
});

/**
 * Rings, if the wallet can pay, and talks so many seconds, 0 when nobody answers. Returns when the
 * call has ended and is billed, or will be.
 */
async function call(to: string, seconds: number): Promise<void> {
  // The switch's own id of the call would do as well.
  const callId = makeKey();
  const usage = (durationSeconds: number) => ({ type: 'call', to, durationSeconds }) as const;

  // 1. May it start? An estimate of the next minute is reserved. A caller hears silence meanwhile:
  //    better no call than a late one.
  let holdId: string | null = null;
  let fundedSeconds = 60;
  try {
    const authorized = await billing.holds.authorize.mutate(
      { userId, key: callId, usage: usage(60), ttlSeconds: 30 },
      { timeoutMs: 2_000 },
    );
    if (!authorized.ok) {
      console.log(`no call: ${describeRefusal(authorized)}`);
      return;
    }
    holdId = authorized.holdId;
    fundedSeconds = authorized.maxSeconds ?? Number.POSITIVE_INFINITY;
    console.log(`ringing ${to}, funded for ${authorized.maxSeconds} s`);
  } catch (error) {
    // Your decision: a switch that trusts its users lets a first minute through in an outage.
    console.log(`unauthorized for now (${codeOf(error)}), one minute on trust`);
  }

  if (seconds === 0) {
    if (holdId !== null) {
      await spool.void({ holdId });
    }
    console.log('nobody answered: nothing is billed');
    return;
  }

  // 2. While it runs, a heartbeat says how long it has lasted, and hears how long it may last.
  const answeredAtMs = Date.now();
  const elapsedSeconds = () => Math.round((Date.now() - answeredAtMs) / 1000);
  let warned = false;
  while (elapsedSeconds() < Math.min(seconds, fundedSeconds)) {
    await sleep(Math.min(HEARTBEAT_SECONDS, seconds - elapsedSeconds()) * 1000);
    if (holdId === null) {
      continue;
    }
    try {
      const extended = await billing.holds.extend.mutate(
        { holdId, usageSoFar: usage(elapsedSeconds()) },
        { timeoutMs: 1_500 },
      );
      if (!extended.ok) {
        console.log(`disconnected: ${describeRefusal(extended)}`);
        break;
      }
      fundedSeconds = extended.maxSeconds ?? Number.POSITIVE_INFINITY;
      if (extended.lowBalance && !warned) {
        warned = true;
        console.log(`a beep: the funds end at ${fundedSeconds} s`);
      }
    } catch (error) {
      // Whatever the last answer funded still is. The hold lives on its time to live, and bills
      // what was reported should nobody come back for it.
      console.log(`heartbeat missed: ${codeOf(error)}`);
    }
  }

  // 3. The final seconds, whatever happened: spooled when the service is away. With a hold it is
  //    captured; the charge of a call on trust has the call's id as its key.
  const talked = usage(elapsedSeconds());
  const billed =
    holdId === null
      ? await spool.charge({
          userId,
          referenceId: callId,
          usage: talked,
          occurredAt: new Date(answeredAtMs).toISOString(),
        })
      : await spool.capture({ holdId, usage: talked });
  if (!billed.ok) {
    console.error(`not billed: ${describeRefusal(billed)}`);
  } else if (billed.spooled) {
    console.log(`${talked.durationSeconds} s will be billed when the service is back`);
  } else {
    console.log(`${talked.durationSeconds} s billed: ${billed.amountMicros} micros`);
  }
}

function codeOf(error: unknown): string {
  if (error instanceof BillingError && error.retryable) {
    return error.code;
  }
  // A wrong key or a malformed call is no outage.
  throw error;
}

await call('+14155550132', 5);
await call('+14155550132', 0);
await spool.close();
