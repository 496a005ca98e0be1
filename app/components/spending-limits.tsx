import type { LimitView } from '../../server/views/spending-limits.ts';
import { describeLimit, describeReset, describeStanding } from '../limits.ts';
import type { Wire } from '../wire.ts';
import { DefinitionList } from './definition-list.tsx';
import { Money } from './money.tsx';

interface SpendingLimitsProps {
  limits: Wire<LimitView>[];
  currency: string;
  timezone: string;
}

/** Limits that an operator has set, and how they stand, for the user who cannot change them. */
export function SpendingLimits({ limits, currency, timezone }: SpendingLimitsProps) {
  return (
    <>
      <p className="mb-3 text-ink-soft">
        Usage that would pass one of these is refused. Support sets them; ask there to change one.
      </p>
      <DefinitionList
        items={limits.map((limit) => ({
          label: describeLimit(limit),
          hint: `${describeStanding(limit, currency)}. ${describeReset(limit, timezone)}`,
          value: (
            <>
              At most <Money micros={limit.amountMicros} currency={currency} />
            </>
          ),
        }))}
      />
    </>
  );
}
