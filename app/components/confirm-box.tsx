import type { ReactNode } from 'react';

interface ConfirmBoxProps {
  /** Also its id; it is sent as `yes`. */
  name: string;
  children: ReactNode;
  error?: string | undefined;
}

/** The box that must be ticked for what cannot be undone. The server asks for it, not a script. */
export function ConfirmBox({ name, children, error }: ConfirmBoxProps) {
  const errorId = `${name}-error`;
  return (
    <div className="grid gap-1.5">
      <label className="flex min-h-11 items-center gap-3">
        <input
          type="checkbox"
          id={name}
          name={name}
          value="yes"
          required
          aria-invalid={error ? true : undefined}
          aria-describedby={error ? errorId : undefined}
          className="size-5 shrink-0 accent-accent"
        />
        <span className="min-w-0">{children}</span>
      </label>
      {error && (
        <p id={errorId} role="alert" className="text-sm font-medium text-danger">
          {error}
        </p>
      )}
    </div>
  );
}
