import type { ReactNode } from 'react';

interface CardProps {
  /** Names the section; without it the card is only a frame. */
  title?: string;
  /** A link or a button beside the title. */
  action?: ReactNode;
  className?: string;
  children: ReactNode;
}

export function Card({ title, action, className = '', children }: CardProps) {
  return (
    <section
      aria-label={title}
      className={`min-w-0 rounded-2xl border border-line bg-surface p-4 sm:p-7 print:border-0 print:p-0 ${className}`}
    >
      {title && (
        <div className="mb-4 flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
          <h2 className="text-lg font-semibold">{title}</h2>
          {action}
        </div>
      )}
      {children}
    </section>
  );
}
