import type { TopUpView } from '../../server/views/top-ups.ts';
import type { WalletView } from '../../server/views/wallets.ts';
import { formatDateTime } from '../format.ts';
import type { Wire } from '../wire.ts';
import { Money } from './money.tsx';
import { Notice } from './notice.tsx';
import { TextLink } from './text-link.tsx';

type FreezingTopUp = Pick<Wire<TopUpView>, 'topUpId' | 'amountMicros' | 'dispute'>;

interface WalletNoticesProps {
  wallet: Pick<
    Wire<WalletView>,
    'status' | 'arrearsMicros' | 'suspendsAt' | 'availableMicros' | 'currency' | 'timezone'
  >;
  /** Top-ups whose disputes keep it frozen. */
  freezing: FreezingTopUp[];
}

/** What keeps a wallet from being used as usual, and what can be done about it. */
export function WalletNotices({ wallet, freezing }: WalletNoticesProps) {
  const { status, arrearsMicros, suspendsAt, availableMicros, currency, timezone } = wallet;
  return (
    <>
      {status === 'frozen' && (
        <Notice tone="warning" title="Your wallet is frozen">
          {freezing.length === 0 ? (
            <>
              Nothing can be spent from it for now. Your balance is kept, and you can see why under{' '}
              <TextLink to="/account/activity">Activity</TextLink>.
            </>
          ) : (
            freezing.map((topUp) => (
              <FrozenBy key={topUp.topUpId} topUp={topUp} currency={currency} />
            ))
          )}
        </Notice>
      )}
      {status === 'closed' && (
        <Notice tone="warning" title="Your wallet is closed">
          It can no longer be topped up or spent from.
        </Notice>
      )}
      {availableMicros.startsWith('-') && (
        <Notice tone="warning" title="Your balance is below zero">
          Money went back to your card that was spent already.
          {status === 'open' && ' Your next top-up makes up for it first.'}
        </Notice>
      )}
      {arrearsMicros !== '0' && (
        <Notice tone="warning" title="You owe for past usage or fees">
          <Money micros={arrearsMicros} currency={currency} /> was more than your balance. Your next
          top-up pays it first.
          {suspendsAt !== null &&
            ` Usage stops on ${formatDateTime(suspendsAt, timezone)} unless it is paid before.`}
        </Notice>
      )}
    </>
  );
}

function FrozenBy({ topUp, currency }: { topUp: FreezingTopUp; currency: string }) {
  const { topUpId, amountMicros, dispute } = topUp;
  const isLost = dispute === 'lost';
  return (
    <p>
      The bank of your card {isLost ? 'took back' : 'disputes'}{' '}
      <TextLink to={`/account/top-up/${topUpId}`}>
        a payment of <Money micros={amountMicros} currency={currency} />
      </TextLink>
      .{' '}
      {isLost
        ? 'Please contact support to use your wallet again.'
        : 'Nothing can be spent until that is decided. If you did not mean to dispute it, tell your bank.'}
    </p>
  );
}
