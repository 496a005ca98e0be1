import type { InputHTMLAttributes, ReactNode } from 'react';

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  /** Also the input's id, unless that is given. */
  name: string;
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
}

export const inputClass =
  'min-h-11 w-full rounded-lg border border-line-strong bg-surface px-3 py-2 text-base ' +
  'aria-invalid:border-danger aria-invalid:bg-danger-soft';

/** An input with its label, hint and error bound to it. */
export function Field(props: FieldProps) {
  const { name, id = name, label, hint, error, className = '', ...input } = props;
  const hintId = `${id}-hint`;
  const errorId = `${id}-error`;
  const describedBy = [error && errorId, hint && hintId].filter(Boolean).join(' ');
  return (
    <div className="grid gap-1.5">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      <input
        {...input}
        id={id}
        name={name}
        aria-invalid={error ? true : undefined}
        aria-describedby={describedBy || undefined}
        className={`${inputClass} ${className}`}
      />
      {error && (
        <p id={errorId} role="alert" className="text-sm font-medium text-danger">
          {error}
        </p>
      )}
      {hint && (
        <p id={hintId} className="text-sm text-ink-soft">
          {hint}
        </p>
      )}
    </div>
  );
}
