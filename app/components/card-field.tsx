import { PaymentElement, useStripe } from '@stripe/react-stripe-js';
import { Notice } from './notice.tsx';

export type CardState = 'loading' | 'ready' | 'failed';

/** The fields of a card, which are Stripe's own in Stripe's frame, and what stands there instead. */
export function CardField(props: {
  card: CardState;
  onChange(card: CardState): void;
  /** What the person need not fear when the fields do not load. */
  reassurance?: string;
  /** The page to load again then. */
  href: string;
}) {
  const stripe = useStripe();
  const { card, onChange } = props;
  return (
    <div className={card === 'loading' ? 'min-h-56' : undefined}>
      {card === 'loading' && (
        <p className="text-ink-soft" role="status">
          Loading Stripe’s secure card form…
        </p>
      )}
      {stripe && (
        <PaymentElement onReady={() => onChange('ready')} onLoadError={() => onChange('failed')} />
      )}
      {card === 'failed' && (
        <Notice tone="danger" title="The card form could not be loaded" alert>
          {props.reassurance} Check your connection, allow js.stripe.com if you block scripts, and{' '}
          <a href={props.href}>load the page again</a>.
        </Notice>
      )}
    </div>
  );
}
