import { Money } from './money.tsx';

interface AvailableBalanceProps {
  micros: string;
  currency: string;
}

/** The figure that a page is about. It breaks sooner than make a narrow page scroll sideways. */
export function AvailableBalance(props: AvailableBalanceProps) {
  return (
    <p
      data-testid="available-balance"
      className="mt-1 text-3xl font-semibold tracking-tight wrap-anywhere min-[400px]:text-4xl sm:text-5xl [&>span]:whitespace-normal"
    >
      <Money {...props} />
    </p>
  );
}
