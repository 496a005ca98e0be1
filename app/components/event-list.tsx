import type { EventRow, EventTone } from '../events.ts';

const amountTones: Record<EventTone, string> = {
  in: 'text-accent',
  out: 'text-ink',
  held: 'text-ink-soft',
  neutral: 'text-ink-soft',
};

interface EventListProps {
  events: EventRow[];
  /** Adds to each row a disclosure with how its amount came about. */
  withDetails?: boolean;
}

/** Events of a wallet, newest first: a row each on a desk, stacked on a phone. */
export function EventList({ events, withDetails = false }: EventListProps) {
  return (
    <ol className="divide-y divide-line">
      {events.map((event) => (
        <li
          key={event.seq}
          id={`event-${event.seq}`}
          className="scroll-mt-4 py-3.5 target:-mx-3 target:rounded-lg target:bg-accent-soft target:px-3"
        >
          <div className="flex justify-between gap-4">
            <div className="min-w-0">
              <p className="font-medium break-words">{event.title}</p>
              <p className="text-sm break-words text-ink-soft">
                {event.subtitle && (
                  <>
                    {event.subtitle}
                    <span className="hidden sm:inline"> · </span>
                  </>
                )}
                <time dateTime={event.occurredAt} className="block whitespace-nowrap sm:inline">
                  {event.occurredAtText}
                </time>
              </p>
            </div>
            <div className="shrink-0 text-right tabular-nums">
              <p className={`font-semibold ${amountTones[event.tone]}`}>{event.amount ?? '—'}</p>
              {event.amountNote && <p className="text-sm text-ink-soft">{event.amountNote}</p>}
              <p className="text-sm text-ink-soft">Balance {event.balanceAfter}</p>
            </div>
          </div>
          {withDetails && <EventDetails event={event} />}
        </li>
      ))}
    </ol>
  );
}

function EventDetails({ event }: { event: EventRow }) {
  return (
    <details className="mt-1 text-sm">
      <summary className="inline-flex min-h-8 items-center rounded font-medium text-accent underline underline-offset-2">
        {event.isPriced ? 'How this was priced' : 'Details'}
        <span className="sr-only"> of event {event.seq}</span>
      </summary>
      <dl className="mt-2 grid gap-x-6 gap-y-1 rounded-lg bg-canvas px-4 py-3 sm:grid-cols-[auto_1fr]">
        {event.facts.map(({ label, value }) => (
          <div key={label} className="contents">
            <dt className="text-ink-soft">{label}</dt>
            <dd className="mb-1.5 min-w-0 break-words sm:mb-0">{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
