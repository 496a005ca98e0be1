import type { ReactNode } from 'react';

const tones = {
  info: 'border-accent bg-accent-soft',
  warning: 'border-warning bg-warning-soft',
  danger: 'border-danger bg-danger-soft',
} as const;

interface NoticeProps {
  tone?: keyof typeof tones;
  title?: string;
  /** Read out at once; for what came up just now and stops the person. */
  alert?: boolean;
  children: ReactNode;
}

export function Notice({ tone = 'info', title, alert = false, children }: NoticeProps) {
  return (
    <div
      role={alert ? 'alert' : undefined}
      className={`rounded-lg border-l-4 px-4 py-3 text-ink ${tones[tone]}`}
    >
      {title && <p className="font-semibold">{title}</p>}
      <div>{children}</div>
    </div>
  );
}
