import type { LimitView } from '../../server/views/spending-limits.ts';
import { formatDateTime } from '../format.ts';
import { describeLimit, describeStanding } from '../limits.ts';
import type { Wire } from '../wire.ts';
import { Money } from './money.tsx';
import { Notice } from './notice.tsx';
import { TextLink } from './text-link.tsx';

interface ReachedLimitsProps {
  limits: Wire<LimitView>[];
  currency: string;
  timezone: string;
}

/** What stops usage although there is money, and until when. */
export function ReachedLimits({ limits, currency, timezone }: ReachedLimitsProps) {
  return limits.map((limit) => (
    <Notice
      key={describeLimit(limit)}
      tone="warning"
      title={`Spending limit reached: ${describeLimit(limit)}`}
    >
      At most <Money micros={limit.amountMicros} currency={currency} />,{' '}
      {describeStanding(limit, currency)}. What would pass it is refused until{' '}
      <time dateTime={limit.resetsAt}>{formatDateTime(limit.resetsAt, timezone)}</time>.{' '}
      <TextLink to="/account/settings#limits">Your spending limits</TextLink>
    </Notice>
  ));
}
