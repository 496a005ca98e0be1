/**
 * An SMS sender: says what a text costs, reserves it when it is submitted, and charges it only when
 * the network has delivered it.
 *
 *     WALLET_API_KEY=sk_… node --import tsx docs/examples/sms-sender.ts
 */
import { createBillingClient, describeRefusal, makeKey } from 'prepaid-wallet/client';
import { apiKey, url, userId } from './settings.ts';

const billing = createBillingClient({ url, apiKey });

/** Stands for the network: tells later whether the message arrived. */
async function submitToNetwork(to: string, _body: string): Promise<'delivered' | 'failed'> {
  return to.endsWith('0') ? 'failed' : 'delivered';
}

async function send(to: string, body: string): Promise<void> {
  // One emoji makes a text UCS-2: 70 characters a segment and no longer 160. The quote counts as the
  // charge will.
  const usage = { type: 'sms', to, body } as const;
  const quote = await billing.usage.quote.query({ userId, usage });
  if (!quote.ok) {
    console.log(`not sent: ${quote.code}`);
    return;
  }
  console.log(`to ${to}: ${quote.breakdown.units} segments, ${quote.amountMicros} micros`);

  // Store the id with the message before anything else: after a crash the same id finds the hold.
  const messageId = makeKey();
  const held = await billing.holds.authorize.mutate({
    userId,
    key: messageId,
    usage,
    // As long as the network may take to report. What it never reports is released then.
    ttlSeconds: 3_600,
  });
  if (!held.ok) {
    console.log(`not sent: ${describeRefusal(held)}`);
    return;
  }
  const { holdId } = held;
  switch (await submitToNetwork(to, body)) {
    case 'delivered': {
      const charged = await billing.holds.capture.mutate({ holdId, usage, overrun: 'arrears' });
      console.log(charged.ok ? `charged ${charged.amountMicros}` : describeRefusal(charged));
      break;
    }
    case 'failed': {
      const released = await billing.holds.void.mutate({ holdId });
      console.log(released.ok ? `released ${released.releasedMicros}` : describeRefusal(released));
      break;
    }
  }
}

await send('+14155550132', 'Your parcel is at the door.');
await send('+14155550132', `Your parcel is at the door. ${'📦'.repeat(40)}`);
await send('+14155550130', 'Nobody will read this.');
