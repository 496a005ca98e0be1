import { Link, type LinkProps } from '@remix-run/react';

export function TextLink({ className = '', ...rest }: LinkProps) {
  return (
    <Link
      {...rest}
      className={`font-medium text-accent underline underline-offset-2 hover:text-accent-strong ${className}`}
    />
  );
}
