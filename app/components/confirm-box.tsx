import type { ReactNode } from 'react';
import { useRefusedField } from './checked-form.tsx';
import { FieldError } from './field.tsx';

interface ConfirmBoxProps {
  /** Also its id. */
  name: string;
  /** What it is sent as. */
  value?: string;
  children: ReactNode;
}

/** The box that must be ticked for what cannot be undone. The server asks for it, not a script. */
export function ConfirmBox({ name, value = 'yes', children }: ConfirmBoxProps) {
  const { error, typed, isToldAbove } = useRefusedField(name);
  return (
    <div className="grid gap-1.5">
      <label className="flex min-h-11 items-start gap-3 py-2">
        <input
          type="checkbox"
          id={name}
          name={name}
          value={value}
          required
          defaultChecked={typed === value}
          aria-invalid={error ? true : undefined}
          aria-describedby={error && `${name}-error`}
          className="mt-0.5 size-5 shrink-0 accent-accent"
        />
        <span className="min-w-0">{children}</span>
      </label>
      <FieldError id={name} error={error} isToldAbove={isToldAbove} />
    </div>
  );
}
