import { expect, test } from 'vitest';
import type { LoadContext } from '../server/http/load-context.ts';
import type { TopUpView } from '../server/views/top-ups.ts';
import type { WalletView } from '../server/views/wallets.ts';
import { loader } from './routes/account.top-up_.$topUpId.tsx';

test('a page that says "received" never shows the balance from before the credit', async () => {
  const topUpId = '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10';
  // The credit comes while the page is being loaded.
  let isCredited = false;
  const topUp: Partial<TopUpView> = {
    topUpId,
    status: 'succeeded',
    currency: 'USD',
    amountMicros: 25_000_000n,
    failureMessage: null,
    creditedSeq: 2n,
    refundedMicros: 0n,
    refundingMicros: 0n,
    dispute: null,
    disputedMicros: 0n,
    createdAt: new Date(0),
    updatedAt: new Date(0),
  };
  const context = {
    user: { id: 'u', email: 'u@example.com', role: 'user' },
    services: {
      topUps: {
        get: async () => {
          await Promise.resolve();
          isCredited = true;
          return topUp as TopUpView;
        },
      },
      wallets: {
        ofUser: async (): Promise<Partial<WalletView>> => ({
          walletId: 'w',
          availableMicros: isCredited ? 25_000_000n : 0n,
        }),
      },
    },
  } as unknown as LoadContext;

  const response = await loader({
    request: new Request(`http://localhost/account/top-up/${topUpId}`),
    params: { topUpId },
    context: { ...context },
  });
  expect(await response.json()).toMatchObject({
    creditedSeq: '2',
    availableMicros: '25000000',
  });
});
