import { Link, type LinkProps } from '@remix-run/react';
import type { ButtonHTMLAttributes } from 'react';

const shape =
  'inline-flex min-h-11 items-center justify-center gap-2 rounded-lg px-5 py-2 text-center ' +
  'font-semibold motion-safe:transition-colors disabled:opacity-60';

const tones = {
  primary: 'bg-accent text-white hover:bg-accent-strong',
  secondary: 'border border-line-strong bg-surface text-ink hover:bg-accent-soft',
  danger: 'bg-danger text-white hover:brightness-90',
} as const;

type Tone = keyof typeof tones;

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  tone?: Tone;
  /** Shows that the work is under way and refuses another press. */
  busy?: boolean;
}

export function Button({
  tone = 'primary',
  busy = false,
  disabled = false,
  type = 'submit',
  className = '',
  children,
  ...rest
}: ButtonProps) {
  return (
    <button
      {...rest}
      type={type}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={`${shape} ${tones[tone]} ${className}`}
    >
      {busy && <Spinner />}
      {children}
    </button>
  );
}

export function ButtonLink({
  tone = 'primary',
  className = '',
  ...rest
}: LinkProps & { tone?: Tone }) {
  return <Link {...rest} className={`${shape} ${tones[tone]} ${className}`} />;
}

function Spinner() {
  return (
    <span
      aria-hidden="true"
      className="size-4 motion-safe:animate-spin rounded-full border-2 border-current border-t-transparent"
    />
  );
}
